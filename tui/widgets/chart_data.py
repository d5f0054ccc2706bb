"""What a chart draws: series and markers, smoothed, thinned and cut to the visible range. No widget in here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ChartSeries:
    """A labelled curve. `values` may hold NaN: a gap in the curve.

    `style` is the name of a colour of the chart: `train`, `eval`, `memory`, `dim`, or `1` to `8`; empty takes the
    next number. `low` and `high` are the extremes of what each point stands for, drawn as upright strokes. `times`
    are unix seconds; with them the x-axis can show time since the first point.
    """

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    style: str = ""
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    times: Sequence[float] | None = None
    smooth: bool = True
    """Whether the chart's smoothing applies to it; wrong for a few evaluations."""
    tag: str = ""
    """A letter at the curve's end, for those who cannot tell its colour."""


@dataclass(frozen=True)
class Marker:
    """A symbol at a step: on the curve where `value` is given, else at the bottom. `◆` checkpoint, `★` best, `↻`
    resumed."""

    step: float
    symbol: str
    label: str
    value: float | None = None


@dataclass(frozen=True)
class Curve:
    """A series ready to be drawn: x of the chosen axis, y as values, extremes."""

    xs: list[float]
    ys: list[float]
    low: list[float]
    high: list[float]


def curve_of(series: ChartSeries, *, by_time: bool, smoothing: float, log: bool) -> Curve:
    """The series as numbers to draw; where `log`, values of 0 and below become gaps."""
    xs = [float(step) for step in series.steps]
    if by_time and series.times:
        start = series.times[0]
        xs = [time - start for time in series.times]
    ys = [float(value) if math.isfinite(value) else math.nan for value in series.values]
    smoothed = bool(smoothing) and series.smooth
    if smoothed:
        ys = smooth(ys, smoothing)
    low = ys if smoothed or series.low is None else [float(value) for value in series.low]
    high = ys if smoothed or series.high is None else [float(value) for value in series.high]
    if log:
        ys, low, high = ([value if value > 0 else math.nan for value in column] for column in (ys, low, high))
    return Curve(xs, ys, low, high)


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
    inside = [index for index, x in enumerate(curve.xs) if first <= x <= last]
    if not inside:
        return Curve([], [], [], [])
    cut = slice(max(0, inside[0] - 1), inside[-1] + 2)
    return Curve(curve.xs[cut], curve.ys[cut], curve.low[cut], curve.high[cut])


def thinned(curve: Curve, most: int) -> Curve:
    """At most about `most` points: each bucket's mean with its extremes. A bucket with a gap only stays a gap."""
    count = len(curve.xs)
    if count <= most:
        return curve
    size = math.ceil(count / most)
    result = Curve([], [], [], [])
    for start in range(0, count, size):
        cut = slice(start, start + size)
        values = [value for value in curve.ys[cut] if math.isfinite(value)]
        result.xs.append(curve.xs[cut][len(curve.xs[cut]) // 2])
        result.ys.append(sum(values) / len(values) if values else math.nan)
        result.low.append(min((value for value in curve.low[cut] if math.isfinite(value)), default=math.nan))
        result.high.append(max((value for value in curve.high[cut] if math.isfinite(value)), default=math.nan))
    return result


def nearest(series: ChartSeries, x: float, *, by_time: bool) -> tuple[float, float] | None:
    """The point of the series whose x is nearest: its step and value."""
    curve = curve_of(series, by_time=by_time, smoothing=0, log=False)
    if not curve.xs:
        return None
    index = min(range(len(curve.xs)), key=lambda index: abs(curve.xs[index] - x))
    return float(series.steps[index]), float(series.values[index])


def with_style(series: ChartSeries, number: int) -> ChartSeries:
    """The series with the `number`th colour (from 0) where it has none."""
    return series if series.style else replace(series, style=str(number % 8 + 1))


def finite_range(values: Sequence[float]) -> tuple[float, float] | None:
    """Smallest and largest finite value."""
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else None
