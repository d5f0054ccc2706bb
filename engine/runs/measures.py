"""Metrics that runs are ranked by: which side of them is better, and which figure of a run counts."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from store.records import Latest

EVAL_LOSS = "eval/loss"
TRAIN_LOSS = "train/loss"

NORMAL_MEDIAN = 0.6745
"""Of the distances of normal noise from its mean, in standard deviations."""

_UNRANKED_PREFIXES = ("system/", "gpu")
_BOOKKEEPING = frozenset({"train/epoch", "train/num_tokens", "train/learning_rate"})
_LOWER = ("loss", "perplexity")
_HIGHER = ("accuracy", "accuracies", "tokens_per_s", "margin", "margins")


def lower_is_better(name: str) -> bool | None:
    """True for losses and perplexity, False for accuracy and speed, `None` for what has no better side."""
    if name.endswith(_LOWER):
        return True
    return False if name.endswith(_HIGHER) else None


def ranked(names: Iterable[str]) -> list[str]:
    """The metrics that say what a run came to: losses first, then by name. The machine's own are left out."""
    told = {name for name in names if name not in _BOOKKEEPING and not name.startswith(_UNRANKED_PREFIXES)}
    return sorted(told, key=lambda name: (name != EVAL_LOSS, name != TRAIN_LOSS, name))


def figure(name: str, latest: Latest | None) -> float | None:
    """What counts of a metric: of evaluations the best (its adapter is the one that is kept), else the last."""
    if latest is None:
        return None
    best = latest.max if lower_is_better(name) is False else latest.min
    value = best if name.startswith("eval/") else latest.last
    return value if value is not None and math.isfinite(value) else None


def best_index(name: str, values: Sequence[float | None]) -> int | None:
    """Which value is best, or `None` where the metric has no better side, one value only, or a tie."""
    lower = lower_is_better(name)
    known = [value for value in values if value is not None]
    if lower is None or len(known) < 2:
        return None
    best = min(known) if lower else max(known)
    return values.index(best) if known.count(best) == 1 else None


def noise_of(values: Sequence[float]) -> float | None:
    """How much evaluations that follow each other go up and down, as a standard deviation; `None` with fewer than five.

    The smaller one of two estimates: what a straight line through them leaves, which is too much where the curve bends,
    and what the second differences tell (their median, for a bend touches but a few), too much where they alternate.
    """
    known = [value for value in values if math.isfinite(value)]
    count = len(known)
    if count < 5:
        return None
    middle, mean = (count - 1) / 2, sum(known) / count
    spread = sum((x - middle) ** 2 for x in range(count))
    slope = sum((x - middle) * (value - mean) for x, value in enumerate(known)) / spread
    left = sum((value - mean - slope * (x - middle)) ** 2 for x, value in enumerate(known))
    bends = [abs(after - 2 * value + before) for before, value, after in zip(known, known[1:], known[2:], strict=False)]
    return min(math.sqrt(left / (count - 2)), median(bends) / math.sqrt(6) / NORMAL_MEDIAN)
