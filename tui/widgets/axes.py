"""Ticks and their labels: round numbers, as many as there is room for."""

import math
from itertools import pairwise

from tui.format import fmt_duration

SMALLEST = 1e-290
"""A span that is smaller counts as none."""


def rounded(low: float, high: float, parts: int = 20) -> tuple[float, float]:
    """The range with round ends: a curve that grows by one point changes it rarely, and then by a whole interval.

    The intervals are 1, 2 or 5 times a power of ten, at least `parts` to the range.
    """
    span = high - low
    if span <= SMALLEST * parts or not math.isfinite(span):
        return low, high
    power = 10.0 ** math.floor(math.log10(span / parts))
    interval = next(power * factor for factor in (10, 5, 2, 1) if power * factor * parts <= span or factor == 1)
    return math.floor(low / interval + 1e-9) * interval, math.ceil(high / interval - 1e-9) * interval


def around(low: float, high: float, room: float = 0.1) -> tuple[float, float]:
    """The range, made wider where it is but one value: by a share of that value."""
    if high - low > max(SMALLEST, 1e-12 * max(abs(low), abs(high))):
        return low, high
    return low - (abs(low) * room or 1.0), high + (abs(high) * room or 1.0)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from `low` to `high`, at most `most` of them."""
    span = high - low
    if span <= SMALLEST or most < 1 or not math.isfinite(span):
        return []
    power = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10, 20):
        interval = power * factor
        first = math.ceil(low / interval - 1e-9)
        count = math.floor(high / interval + 1e-9) - first + 1
        if count <= most:
            return [(first + index) * interval for index in range(count)]
    return []


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Ticks of a logarithmic axis, as values. `low` and `high` are values above 0."""
    first, last = math.log10(low), math.log10(high)
    if last - first < 1:
        return ticks(low, high, most)
    every = max(1, math.ceil((math.floor(last) - math.ceil(first) + 1) / max(1, most)))
    return [10.0**exponent for exponent in range(math.ceil(first), math.floor(last) + 1, every)]


def labels(values: list[float]) -> list[str]:
    """Labels of equally precise decimals: `0.50`, `1.00`; large ones short: `12k`, `3M`, `1e-5`."""
    if not values:
        return []
    size = max(abs(value) for value in values)
    if len(values) == 1 and 1e-3 <= size < 10_000:
        return [f"{values[0]:.4g}"]
    gap = min((b - a for a, b in pairwise(values)), default=size or 1.0)
    if size >= 1e15:
        return ["0" if value == 0 else _short_exponent(value) for value in values]
    if size >= 10_000:
        unit, name = next((unit, name) for unit, name in _UNITS if size >= unit)
        decimals = _decimals(gap / unit)
        if decimals > 2:
            return [f"{value:,.{_decimals(gap)}f}" for value in values]
        return ["0" if value == 0 else f"{value / unit:.{decimals}f}{name}" for value in values]
    if size and size < 1e-3:
        return ["0" if value == 0 else _short_exponent(value) for value in values]
    return [f"{value:.{min(_decimals(gap), 6)}f}" for value in values]


def time_labels(values: list[float]) -> list[str]:
    """Labels of seconds since the start: `0`, `30 s`, `5 m`, `2 h`."""
    return ["0" if value == 0 else _short_duration(value) for value in values]


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """Round moments: whole seconds, minutes, hours or days; parts of a second where it is all within a few."""
    if high - low < 2:
        return ticks(low, high, most)
    for interval in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400):
        first = math.ceil(low / interval)
        count = math.floor(high / interval) - first + 1
        if count <= most:
            return [float((first + index) * interval) for index in range(count)]
    return [day * 86400 for day in ticks(low / 86400, high / 86400, most)]


_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def _decimals(gap: float) -> int:
    """How many digits after the point tell values apart that are `gap` from each other."""
    return max(0, -math.floor(math.log10(gap) + 1e-9)) if gap > 0 else 2


def _short_exponent(value: float) -> str:
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _short_duration(seconds: float) -> str:
    if seconds < 60 and seconds != int(seconds):
        return f"{seconds:.3g} s"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return fmt_duration(seconds)
