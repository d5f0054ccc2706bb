"""What a chart draws: series and markers, smoothed, thinned and cut to the visible range. No widget in here."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from tui.widgets.chart_scales import LARGEST, Scale, finite, xs_of


@dataclass(frozen=True)
class ChartSeries:
    """A labelled curve. `values` may hold NaN and infinity: gaps in the curve.

    `style` is the name of a colour of the chart: `train`, `eval`, `memory`, `dim`, or `1` to `8`; empty takes the
    next number. `low` and `high` are the extremes of what each point stands for, drawn as a band behind the curve.
    """

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    style: str = ""
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    times: Sequence[float] | None = None
    """The moment of each point, in unix seconds; with them the x-axis can show time."""
    smooth: bool = True
    """Whether the chart's smoothing applies to it; wrong for a few evaluations."""
    tag: str = ""
    """A letter or two at the curve's end, for those who cannot tell its colour."""
    quiet: bool = False
    """Whether the legend leaves it out."""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    """Other x-axes: `epoch`, `tokens`; also `time` (seconds), where the steps between the points matter."""
    began: float | None = None
    """Unix seconds that the time axis counts from; without it, the first point's."""

    @cached_property
    def derived(self) -> dict[tuple[object, ...], Any]:
        """What was worked out of the points before: a chart is drawn many times with the same ones."""
        return {}


@dataclass(frozen=True)
class Marker:
    """A symbol at a step: on the curve where `value` is given, else at the bottom. `◆` checkpoint, `★` best, `↻`
    resumed, `⚠` alert."""

    step: float
    symbol: str
    label: str
    value: float | None = None


@dataclass(frozen=True)
class Curve:
    """A series ready to be drawn: x of the chosen axis, rising; y, NaN where there is a gap; extremes."""

    xs: list[float]
    ys: list[float]
    low: list[float]
    high: list[float]


def curve_of(series: ChartSeries, *, x_axis: str = "step", smoothing: float = 0.0, log: bool = False) -> Curve:
    """The series as numbers to draw; where `log`, values of 0 and below become gaps. Points without an x are left
    out."""
    key = ("curve", x_axis, smoothing if series.smooth else 0.0, log)
    if key not in series.derived:
        series.derived[key] = _curve(series, x_axis, smoothing if series.smooth else 0.0, log)
    curve: Curve = series.derived[key]
    return curve


def _curve(series: ChartSeries, x_axis: str, smoothing: float, log: bool) -> Curve:
    ys = [float(value) if finite(value) else math.nan for value in series.values]
    if smoothing:
        ys = smooth(ys, smoothing)
        low = high = ys
    else:
        low = ys if series.low is None else [float(value) for value in series.low]
        high = ys if series.high is None else [float(value) for value in series.high]
    if log:
        ys, low, high = ([value if value > 0 else math.nan for value in column] for column in (ys, low, high))
    rows = list(zip(xs_of(series, x_axis), ys, low, high, strict=False))
    if not all(finite(row[0]) for row in rows):
        rows = [row for row in rows if finite(row[0])]
    if any(after[0] < before[0] for before, after in pairwise(rows)):
        rows.sort(key=lambda row: row[0])
    return Curve(*map(list, zip(*rows, strict=True))) if rows else Curve([], [], [], [])


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average, corrected for its start as TensorBoard does; NaN stays a gap and is not counted."""
    average, norm = 0.0, 0.0
    result = []
    for value in values:
        if math.isfinite(value):
            average = average * weight + (1 - weight) * value
            norm = norm * weight + (1 - weight)
            result.append(average / norm)
        else:
            result.append(math.nan)
    return result


def visible(curve: Curve, first: float, last: float) -> Curve:
    """The points from `first` to `last`, with one neighbour on each side so that lines reach the edges."""
    start, end = bisect_left(curve.xs, first), bisect_right(curve.xs, last)
    if start == end and not 0 < start < len(curve.xs):
        return Curve([], [], [], [])
    cut = slice(max(0, start - 1), end + 1)
    return Curve(curve.xs[cut], curve.ys[cut], curve.low[cut], curve.high[cut])


def thinned(curve: Curve, width: float) -> Curve:
    """One point for each `width` of x: the mean, with the extremes beside it. A gap where there are gaps only.

    Which points go together hangs on their x alone, so that neither panning nor a new point at the end moves a curve.
    """
    buckets = [x // width for x in curve.xs] if width > 0 else []
    if len(set(buckets)) == len(buckets):
        return curve
    result = Curve([], [], [], [])
    start, count = 0, len(buckets)
    while start < count:
        end = start + 1
        while end < count and buckets[end] == buckets[start]:
            end += 1
        x, y, low, high = curve.xs[start], curve.ys[start], curve.low[start], curve.high[start]
        if end > start + 1:
            cut = slice(start, end)
            values = [value for value in curve.ys[cut] if value == value]
            x = (x + curve.xs[end - 1]) / 2
            y = math.fsum(values) / len(values) if values else math.nan
            low = min((value for value in curve.low[cut] if finite(value)), default=math.nan)
            high = max((value for value in curve.high[cut] if finite(value)), default=math.nan)
        result.xs.append(x)
        result.ys.append(y)
        result.low.append(low)
        result.high.append(high)
        start = end
    return result


class Reading(NamedTuple):
    """One point as it is read: `away` where the point is not quite where one looks."""

    x: float
    step: float
    value: float
    low: float
    high: float
    away: bool = False


def points_of(series: ChartSeries, x_axis: str = "step") -> list[Reading]:
    """All points of a series that have an x on the axis, by that x."""
    key = ("points", x_axis)
    if key not in series.derived:
        series.derived[key] = _points(series, x_axis)
    points: list[Reading] = series.derived[key]
    return points


def _points(series: ChartSeries, x_axis: str) -> list[Reading]:
    low = series.values if series.low is None else series.low
    high = series.values if series.high is None else series.high
    rows = zip(xs_of(series, x_axis), series.steps, series.values, low, high, strict=False)
    return sorted(
        (
            Reading(float(row[0]), float(row[1]), float(row[2]), float(row[3]), float(row[4]))
            for row in rows
            if finite(row[0])
        ),
        key=_x,
    )


def read_at(points: Sequence[Reading], x: float, reach: float) -> Reading | None:
    """The point nearest to an x, of points by their x; one further off than `reach` is `away`."""
    index = nearest_index(points, x)
    if index is None:
        return None
    return points[index]._replace(away=True) if abs(points[index].x - x) > reach else points[index]


def nearest_index(points: Sequence[Reading], x: float) -> int | None:
    """The index of the point nearest to an x, of points by their x; `None` where there is none."""
    if not points:
        return None
    right = bisect_right(points, x, key=_x)
    if right == 0 or right == len(points):
        return max(0, right - 1)
    return right if points[right].x - x < x - points[right - 1].x else right - 1


def nearest(series: ChartSeries, x: float, *, x_axis: str = "step") -> tuple[float, float] | None:
    """The point of the series whose x is nearest: its step and value. `None` without points on this axis."""
    points = points_of(series, x_axis)
    index = nearest_index(points, x)
    return None if index is None else (points[index].step, points[index].value)


def _x(reading: Reading) -> float:
    return reading.x


def with_style(series: ChartSeries, number: int) -> ChartSeries:
    """The series with the `number`th colour (from 0) where it has none."""
    return series if series.style else replace(series, style=str(number % 8 + 1))


def finite_range(values: Sequence[float]) -> tuple[float, float] | None:
    """Smallest and largest finite value."""
    found = [value for value in values if -LARGEST <= value <= LARGEST]
    return (min(found), max(found)) if found else None
