"""What a curve looks like, in a few robust figures: one odd batch must not change them."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from statistics import median

from engine.insight.diagnosis.curves import Points

_SIGMA = 1.4826
"""Median of absolute deviations → standard deviation, where errors are normal."""

LARGEST = 1e100


@dataclass(frozen=True)
class Shape:
    """A curve of at least three finite points. Levels are medians of a stretch of points, in the metric's unit."""

    points: Points
    """The finite ones."""
    stretch: int
    """Points that a level is taken over."""
    first: float
    last: float
    lowest: float
    """The lowest level anywhere."""
    lowest_step: int
    """The step in the middle of that stretch."""
    noise: float
    """How far a point is from its neighbours, one standard deviation."""

    @property
    def fall(self) -> float:
        """By how much the level sank from the beginning to now; negative where it rose."""
        return self.first - self.last

    @property
    def error(self) -> float:
        """How far a level may be off for the noise, one standard deviation."""
        return 1.25 * self.noise / math.sqrt(self.stretch)


def shape_of(points: Points, *, least: int = 3) -> Shape | None:
    """The shape of a curve; `None` where it has fewer than `least` finite points."""
    found = finite(points)
    if len(found) < max(3, least):
        return None
    values = [value for _, value in found]
    stretch = min(20, max(3, len(found) // 10))
    levels = [median(values[at : at + stretch]) for at in range(len(values) - stretch + 1)]
    lowest = min(range(len(levels)), key=levels.__getitem__)
    return Shape(
        found,
        stretch,
        first=levels[0],
        last=levels[-1],
        lowest=levels[lowest],
        lowest_step=found[lowest + stretch // 2][0],
        noise=noise_of(values),
    )


def finite(points: Points) -> Points:
    """The points that are numbers, and small enough that sums of their squares are, too."""
    return [point for point in points if abs(point[1]) < LARGEST]


def noise_of(values: list[float]) -> float:
    """How far a value is from the middle of its two neighbours, one standard deviation: a trend is no noise."""
    if len(values) < 3:
        return 0.0
    off = [abs(values[at] - (values[at - 1] + values[at + 1]) / 2) for at in range(1, len(values) - 1)]
    return _SIGMA * median(off) / math.sqrt(1.5)


def between(points: Points, first: float, last: float) -> Points:
    """The points of the steps from `first` to `last`, both among them."""
    steps = [step for step, _ in points]
    return points[bisect_right(steps, first - 1) if first > 0 else 0 : bisect_right(steps, last)]


def level(points: Points) -> float:
    """The median of the points' values; 0 where there is none."""
    return median(value for _, value in points) if points else 0.0


def at_step(points: Points, step: int) -> float | None:
    """The value of the last point up to `step`."""
    index = bisect_right([at for at, _ in points], step)
    return points[index - 1][1] if index else None
