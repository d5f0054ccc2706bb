"""How far figures would move had other rows been drawn, from sums over rows: no text is looked at twice.

A statistic is a row of numbers, (k,), for each row of data; a figure is a function of their sums over all rows. So a
resample is one product of matrices, whatever the figure, and BLEU is resampled as the figure of a corpus that it is.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Value = Callable[[Array], Array]
"""(…, k) sums to (…) figures."""

SWAPS = 2000
"""Exchanges behind a p value: the smallest that there can be is 1 / 2001."""
LEVEL = 0.95
_CELLS = 2_000_000
"""Numbers held at a time."""


def resampled(rows: Array, draws: int, seed: int) -> Array:
    """Sums over rows drawn with replacement, as many as there are: (rows, k) to (draws, k).

    Efron (1979), “Bootstrap methods: another look at the jackknife”, Annals of Statistics 7.
    """
    count = len(rows)
    random = np.random.default_rng([seed, 0])
    sums = np.empty((draws, rows.shape[1]))
    for begin, end in _stretches(draws, count):
        size = end - begin
        drawn = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        sums[begin:end] = times.astype(np.float64) @ rows
    return sums


def interval(figures: Array) -> tuple[float | None, float | None]:
    """The percentile interval at `LEVEL` of resampled figures; those that are no number are passed over."""
    finite = figures[np.isfinite(figures)]
    if 2 * len(finite) < max(1, len(figures)):
        return None, None
    edge = 50 * (1 - LEVEL)
    low, high = np.percentile(finite, [edge, 100 - edge])
    return float(low), float(high)


def p_value(one: Array, other: Array, value: Value, seed: int, swaps: int = SWAPS) -> float:
    """How often two models differ as much when their answers to each row are exchanged at random; two-sided.

    The paired test by approximate randomisation: Noreen (1989), “Computer-intensive methods for testing hypotheses”;
    for BLEU and its kin Riezler and Maxwell (2005), “On some pitfalls in automatic evaluation”. `one` and `other` are
    (rows, k), row by row of the same data.
    """
    count = len(one)
    random = np.random.default_rng([seed, 1])
    total, both = one.sum(axis=0), one.sum(axis=0) + other.sum(axis=0)
    change = other - one
    seen = abs(float(value(total)) - float(value(both - total)))
    if not np.isfinite(seen):
        return float("nan")
    as_large = 0
    for begin, end in _stretches(swaps, count):
        exchanged = random.integers(0, 2, (end - begin, count), dtype=np.int8).astype(np.float64)
        sums = total + exchanged @ change
        with np.errstate(invalid="ignore"):
            differences = np.abs(value(sums) - value(both - sums))
        as_large += int((~(differences < seen * (1 - 1e-9) - 1e-12)).sum())  # what is no number speaks against
    return (1 + as_large) / (1 + swaps)


def _stretches(draws: int, rows: int) -> Iterator[tuple[int, int]]:
    """Draws in stretches that fit into memory."""
    step = max(1, _CELLS // max(1, rows))
    for begin in range(0, draws, step):
        yield begin, min(draws, begin + step)
