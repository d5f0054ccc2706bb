"""How far two raters agree: the share of the same verdicts, and Cohen's kappa, which takes out what chance would give.

Cohen, “A coefficient of agreement for nominal scales” (1960). Intervals are percentiles of a bootstrap over pairs, so
that several votes on one pair do not pass for several pairs (Efron, 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

LABELS = ("left", "right", "tie")
RESAMPLES = 2000
SEED = 20250101
TAIL = 2.5
"""Per cent on either side of a 95 % interval."""


@dataclass(frozen=True)
class Agreement:
    """`votes` on `pairs`. `kappa` is None where both raters gave one and the same verdict throughout."""

    votes: int
    pairs: int
    share: float
    share_interval: tuple[float, float]
    kappa: float | None
    kappa_interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        return {
            "votes": self.votes,
            "pairs": self.pairs,
            "share": self.share,
            "share_interval": list(self.share_interval),
            "kappa": self.kappa,
            "kappa_interval": list(self.kappa_interval) if self.kappa_interval else None,
        }


def agreement(pairs: Sequence[Sequence[tuple[str, str]]]) -> Agreement | None:
    """The agreement of two raters on pairs, each with one or more (label, label); None without any.

    Labels are those of `LABELS`.
    """
    import numpy as np

    pairs = [votes for votes in pairs if votes]
    if not pairs:
        return None
    size = len(LABELS)
    counts = np.zeros((len(pairs), size * size))  # (pairs, one's label × the other's)
    for at, votes in enumerate(pairs):
        for one, other in votes:
            counts[at, LABELS.index(one) * size + LABELS.index(other)] += 1
    random = np.random.default_rng(SEED)
    drawn = np.stack(
        [counts[random.integers(0, len(pairs), len(pairs))].sum(axis=0) for _ in range(RESAMPLES)]
    )  # (resamples, 9)
    share, kappa = _figures(counts.sum(axis=0, keepdims=True))
    shares, kappas = _figures(drawn)
    known = kappas[~np.isnan(kappas)]
    whole = float(kappa[0])
    return Agreement(
        int(counts.sum()),
        len(pairs),
        float(share[0]),
        _interval(shares),
        None if whole != whole else whole,
        _interval(known) if len(known) and whole == whole else None,
    )


def _figures(counts: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Share and kappa of each row of counts, (rows, 9); kappa is NaN where chance alone agrees fully."""
    import numpy as np

    table = counts.reshape(-1, len(LABELS), len(LABELS))
    total = table.sum(axis=(1, 2))
    seen = np.trace(table, axis1=1, axis2=2) / total
    chance = (table.sum(axis=2) * table.sum(axis=1)).sum(axis=1) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = np.where(chance < 1 - 1e-12, (seen - chance) / (1 - chance), np.nan)
    return seen, kappa


def _interval(values: "np.ndarray[Any, Any]") -> tuple[float, float]:
    import numpy as np

    low, high = np.percentile(values, [TAIL, 100 - TAIL])
    return float(low), float(high)
