"""Which setting goes with a better figure, over several runs: rank correlation, and no more than it can carry."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from engine.figures import fmt_setting

LEAST_RUNS = 5
"""With fewer, anything goes with anything."""
SURE = 0.95
"""How rarely chance alone may do it, over all settings that were looked at."""


@dataclass(frozen=True)
class Trend:
    """A setting that goes with a figure. `value` is a category that does; empty where it is a number that rises."""

    setting: str
    value: str
    correlation: float
    """Between the ranks, -1 to 1: above 0, the figure is larger where the setting is larger, or is `value`."""


def goes_with(settings: Mapping[str, Sequence[Any]], figures: Sequence[float | None]) -> list[Trend]:
    """The settings that go best with the figure, more than one where they change together; empty where none does.

    `settings` and `figures` have an entry a run; runs without a figure do not count. Each setting is tested by the rank
    correlation (Spearman) with Fisher's transform, corrected for the number of tests (Bonferroni).
    """
    known = [index for index, figure in enumerate(figures) if figure is not None]
    if len(known) < LEAST_RUNS:
        return []
    heights = _ranks([figures[index] or 0.0 for index in known])
    found = [
        Trend(name, value, _correlation(ranks, heights))
        for name, values in settings.items()
        for value, ranks in _sides([values[index] for index in known])
    ]
    found = [trend for trend in found if trend.correlation]
    if not found:
        return []
    limit = NormalDist().inv_cdf(1 - (1 - SURE) / 2 / len(found))
    strongest = max(abs(trend.correlation) for trend in found)
    if _z(strongest, len(known)) < limit:
        return []
    best: dict[str, Trend] = {}
    for trend in found:
        if abs(trend.correlation) > strongest - 1e-9:
            before = best.get(trend.setting)  # of two categories, the one that goes with the smaller figures
            if before is None or trend.correlation < before.correlation:
                best[trend.setting] = trend
    return list(best.values())


def _sides(values: Sequence[Any]) -> list[tuple[str, list[float]]]:
    """A setting as ranks: of its numbers, or for each category whether a run has it."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [("", _ranks([float(value) for value in values]))]
    words = [fmt_setting(value) for value in values]
    return [(word, _ranks([float(other == word) for other in words])) for word in dict.fromkeys(words)]


def _z(correlation: float, count: int) -> float:
    return math.inf if correlation >= 1 - 1e-12 else math.atanh(correlation) * math.sqrt(count - 3)


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1 up; equal values share the mean of their ranks."""
    ordered = sorted(range(len(values)), key=lambda index: values[index])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(ordered):
        end = start
        while end + 1 < len(ordered) and values[ordered[end + 1]] == values[ordered[start]]:
            end += 1
        for place in range(start, end + 1):
            ranks[ordered[place]] = (start + end) / 2 + 1
        start = end + 1
    return ranks


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's, of ranks; 0 where one of them does not change."""
    mean_one, mean_other = sum(one) / len(one), sum(other) / len(other)
    spread_one = math.fsum((value - mean_one) ** 2 for value in one)
    spread_other = math.fsum((value - mean_other) ** 2 for value in other)
    if not spread_one or not spread_other:
        return 0.0
    together = math.fsum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    return together / math.sqrt(spread_one * spread_other)
