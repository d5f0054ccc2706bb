"""How long rows are, and what follows: what a length cuts off, what padding wastes, how full packing is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CUTS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
"""Lengths for which the rows that are cut are counted."""

MICRO_BATCH = 8
"""Rows a padded batch where nobody says otherwise."""

MOST_BINS = 20
_PACKED_TOGETHER = 1_000
"""TRL packs rows a thousand at a time."""
_PACKS_TRIED = 100
_SEED = 42


@dataclass(frozen=True)
class TokenFigures:
    """Token figures of a dataset, by one tokenizer. Lengths are in tokens a row, before anything is cut off."""

    tokenizer: str
    key: str
    rows: int
    total: int
    mean: float
    p50: int
    p95: int
    p99: int
    max: int
    histogram: list[list[int]]
    """[from, to, rows], `to` not included."""
    cut: dict[str, int]
    """Rows that are longer, by length."""
    trained: int
    """Tokens that carry loss, before anything is cut off."""
    untrained_rows: int
    """Rows without a trained token within `max_length`."""
    by_role: dict[str, int]
    """Whose tokens they are; `template` has what stands around the turns."""
    max_length: int
    padding_waste: float
    """Share of a batch that is padding, with rows in random order."""
    padding_waste_sorted: float
    """The same with rows of like length together."""
    packing_fill: float
    """Share of packed sequences that is tokens."""
    advice: str
    estimated: bool = False
    note: str = ""
    """Which tokenizer was used instead, and why, where it is not the one that was asked for."""
    refused: list[int] = field(default_factory=list)
    """The first rows, counted from 1, that the chat template refuses; their turns are counted without it."""
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "TokenFigures":
        """Raises `TypeError` for what another version wrote."""
        return cls(**found)


def lengths_histogram(lengths: Any) -> list[list[int]]:
    """[from, to, rows] for bins that grow with the length; their edges are round.

    `lengths`: (rows,) integers.
    """
    import numpy as np

    if not len(lengths):
        return []
    low, high = int(lengths.min()), int(lengths.max())
    edges: list[int] = []
    for steps in (4, 2, 1):  # to each doubling
        edges = [0, *sorted({int(2**power * (1 + step / steps)) for power in range(3, 31) for step in range(steps)})]
        first = max(place for place, edge in enumerate(edges) if edge <= low)
        last = min(place for place, edge in enumerate(edges) if edge > high)
        edges = edges[first : last + 1]
        if len(edges) <= MOST_BINS + 1:
            break
    counts, _ = np.histogram(lengths, bins=edges)
    return [[start, end, int(count)] for start, end, count in zip(edges, edges[1:], counts, strict=False)]


def padding_waste(lengths: Any, micro_batch: int = MICRO_BATCH, *, grouped: bool = False) -> float:
    """The share of a batch that is padding; `grouped` puts rows of like length together. `lengths`: (rows,)."""
    import numpy as np

    if len(lengths) == 0:
        return 0.0
    order = np.argsort(lengths, kind="stable") if grouped else np.random.default_rng(_SEED).permutation(len(lengths))
    ordered = lengths[order].astype(np.int64)
    longest = np.maximum.reduceat(ordered, np.arange(0, len(ordered), micro_batch))  # (batches,)
    sizes = np.full(len(longest), micro_batch)
    sizes[-1] = len(ordered) - micro_batch * (len(longest) - 1)
    room = int((longest * sizes).sum())
    return 1 - int(ordered.sum()) / room if room else 0.0


def packing_fill(lengths: Any, max_length: int) -> float:
    """How full sequences are that TRL packs (best fit decreasing, a thousand rows at a time). `lengths`: (rows,)."""
    import numpy as np

    clipped = np.minimum(lengths, max_length)
    starts = np.arange(0, len(clipped), _PACKED_TOGETHER)
    if len(starts) > _PACKS_TRIED:
        starts = starts[np.linspace(0, len(starts) - 1, _PACKS_TRIED).astype(int)]
    tokens = sequences = 0
    for start in starts.tolist():
        part = clipped[start : start + _PACKED_TOGETHER]
        tokens += int(part.sum())
        sequences += packed_sequences(part.tolist(), max_length)
    return tokens / (sequences * max_length) if sequences else 0.0


def packed_sequences(lengths: list[int], max_length: int) -> int:
    """How many sequences best fit decreasing makes of rows no longer than `max_length`."""
    from bisect import bisect_left, insort

    free: list[int] = []  # of each sequence, ascending
    count = 0
    for length in sorted(filter(None, lengths), reverse=True):
        place = bisect_left(free, length)
        if place == len(free):
            count += 1
            left = max_length - length
        else:
            left = free.pop(place) - length
        if left:
            insort(free, left)
    return count


def make_figures(
    columns: Mapping[str, Any],
    *,
    tokenizer: str,
    key: str,
    max_length: int,
    micro_batch: int = MICRO_BATCH,
    estimated: bool = False,
    note: str = "",
) -> TokenFigures:
    """Figures from what was counted of each row: `columns` are the `COLUMNS` of `engine.tokens.chunk`, each (rows,)."""
    import numpy as np

    lengths = columns["total"]
    rows = len(lengths)
    total = int(lengths.sum(dtype=np.int64))
    refused = np.flatnonzero(columns["trained"] < 0)
    trained = np.maximum(columns["trained"], 0)
    untrained = int(((trained == 0) | (columns["prompt"] >= max_length)).sum())
    roles = ("system", "user", "assistant", "tool", "text")
    by_role = {role: int(columns[role].sum(dtype=np.int64)) for role in roles}
    by_role["template"] = max(0, total - sum(by_role.values()))
    clipped = np.minimum(lengths, max_length)
    p50, p95, p99 = np.percentile(lengths, (50, 95, 99), method="nearest").astype(int).tolist() if rows else (0, 0, 0)
    waste, fill = padding_waste(clipped, micro_batch), packing_fill(lengths, max_length)
    return TokenFigures(
        tokenizer=tokenizer,
        key=key,
        rows=rows,
        total=total,
        mean=round(total / rows, 2) if rows else 0.0,
        p50=p50,
        p95=p95,
        p99=p99,
        max=int(lengths.max()) if rows else 0,
        histogram=lengths_histogram(lengths),
        cut={str(length): int((lengths > length).sum()) for length in sorted({*CUTS, max_length})},
        trained=int(trained.sum(dtype=np.int64)),
        untrained_rows=untrained,
        by_role={role: count for role, count in by_role.items() if count},
        max_length=max_length,
        padding_waste=round(waste, 4),
        padding_waste_sorted=round(padding_waste(clipped, micro_batch, grouped=True), 4),
        packing_fill=round(fill, 4),
        advice=_advice(lengths, max_length, waste, fill),
        estimated=estimated,
        note=note,
        refused=(refused[:1000] + 1).tolist(),
        warnings=_warnings(rows, total, int(trained.sum(dtype=np.int64)), untrained, len(refused), max_length),
    )


def _advice(lengths: Any, max_length: int, waste: float, fill: float) -> str:
    """One sentence for the planner and for people."""
    if not len(lengths):
        return ""
    full = 1 - waste
    if waste < 0.1:
        said = f"Padding wastes only {waste:.0%} of the compute, so packing would gain little"
    elif fill > full * 1.05:
        said = (
            f"Pack: padding would waste {waste:.0%} of the compute; packed sequences of {max_length:,} tokens "
            f"are {fill:.0%} full"
        )
    else:
        said = (
            f"Do not pack at {max_length:,} tokens: sequences would be {fill:.0%} full, "
            f"padded batches are {full:.0%} full"
        )
    cut = int((lengths > max_length).sum())
    if not cut:
        return said + "."
    share = cut / len(lengths)
    enough = next((length for length in CUTS if length > max_length and (lengths > length).mean() < share / 4), None)
    if enough is None:
        return f"{said}; max_length {max_length:,} cuts {_share(share)} of the rows."
    left = int((lengths > enough).sum())
    fewer = f"{enough:,} would cut {_share(left / len(lengths))}" if left else f"{enough:,} would cut none"
    return f"{said}; max_length {max_length:,} cuts {_share(share)} of the rows, {fewer}."


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def _warnings(rows: int, total: int, trained: int, untrained: int, refused: int, max_length: int) -> list[str]:
    if not rows:
        return []
    said = []
    if refused:
        said.append(f"The chat template refuses {refused:,} of {rows:,} rows; training would stop at the first.")
    if not trained:
        said.append("No token of the dataset is trained.")
    elif untrained:
        said.append(f"{untrained:,} of {rows:,} rows have no trained token within {max_length:,} tokens.")
    if trained == total:
        said.append("Every token of the dataset is trained, the questions too.")
    return said
