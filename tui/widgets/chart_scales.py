"""The x-axes of a chart: where each step is by epoch, time or tokens, and which step an x stands for."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.widgets.chart_data import ChartSeries

AXES = ("step", "epoch", "time", "tokens")
"""The x-axes there may be, in the order in which the key goes through them."""

Scale = tuple[Sequence[float], Sequence[float]]
"""Steps, and the x that each is at. Both rise; in between they are straight."""

LARGEST = 1e300
"""What is beyond it counts as infinite: differences of two such numbers would be."""


def finite(value: float) -> bool:
    """Whether a number can be drawn."""
    return -LARGEST <= value <= LARGEST


def scale_of(series: "ChartSeries", axis: str) -> Scale | None:
    """Where the steps of a series are on an axis; `None` where that is not known, and for the steps themselves."""
    if axis == "step":
        return None
    if ("scale", axis) not in series.derived:
        scale = None
        if axis in series.scales:
            scale = _rising(*series.scales[axis])
        elif axis == "time" and series.times:
            began = began_of(series)
            scale = _rising(series.steps, [time - began for time in series.times])
        series.derived["scale", axis] = scale
    found: Scale | None = series.derived["scale", axis]
    return found


def began_of(series: "ChartSeries") -> float:
    """The unix time that the time axis of a series counts from."""
    return series.began if series.began is not None else series.times[0] if series.times else 0.0


def axes_of(series: Iterable["ChartSeries"]) -> list[str]:
    """The axes that at least one of the series can be shown by."""
    found = list(series)
    return [axis for axis in AXES if axis == "step" or any(scale_of(item, axis) for item in found)]


def xs_of(series: "ChartSeries", axis: str) -> list[float]:
    """The x of each of its points; NaN for all of them where the axis is not known for this series."""
    if axis == "time" and series.times:
        began = began_of(series)
        return [float(time - began) for time in series.times]
    if axis == "step":
        return [float(step) for step in series.steps]
    scale = scale_of(series, axis)
    return [math.nan] * len(series.steps) if scale is None else [x_at(scale, step) for step in series.steps]


def x_at(scale: Scale | None, step: float) -> float:
    """Where a step is. Before the first and after the last known one the scale goes on as it does on the whole."""
    return float(step) if scale is None else _between(scale[0], scale[1], step)


def step_at(scale: Scale | None, x: float) -> float:
    """The step at an x: the inverse of `x_at`. Of several at one x, the first."""
    return float(x) if scale is None else _between(scale[1], scale[0], x)


def steps_of(series: Iterable["ChartSeries"], axis: str, view: tuple[float, float]) -> tuple[float, float]:
    """The range of steps that takes in what is between two x, in every one of the series."""
    scales = [scale_of(item, axis) for item in series]
    known: list[Scale | None] = [None] if axis == "step" else [scale for scale in scales if scale is not None]
    first = min((step_at(scale, view[0]) for scale in known), default=view[0])
    last = max((step_at(scale, view[1]) for scale in known), default=view[1])
    return first, max(first, last)


def reference(series: Iterable["ChartSeries"], axis: str) -> Scale | None:
    """The scale that stands for all of the series: of those that know the axis, the one of the most points."""
    scales = [scale for item in series if (scale := scale_of(item, axis)) is not None]
    return max(scales, key=lambda scale: len(scale[0]), default=None)


def _between(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The y at an x on the line through some points, which goes on beyond them with the slope of the whole.

    What is no number is nowhere, and no number comes of it.
    """
    if math.isnan(x):
        return x
    slope = (ys[-1] - ys[0]) / (xs[-1] - xs[0]) if xs[-1] > xs[0] else 0.0
    if x <= xs[0]:
        return ys[0] + (x - xs[0]) * slope if slope else ys[0]
    if x >= xs[-1]:
        end = bisect_left(xs, xs[-1])
        return ys[end] + (x - xs[-1]) * slope if slope else ys[end]
    right = bisect_left(xs, x)
    if xs[right] == x:
        return float(ys[right])
    left = right - 1
    return ys[left] + (ys[right] - ys[left]) * (x - xs[left]) / (xs[right] - xs[left])


def _rising(steps: Sequence[float], xs: Sequence[float]) -> Scale | None:
    """The scale without what is no number and what goes back; `None` where nothing is left."""
    kept_steps: list[float] = []
    kept_xs: list[float] = []
    for step, x in zip(steps, xs, strict=False):
        if not (finite(step) and finite(x)) or (kept_steps and (step <= kept_steps[-1] or x < kept_xs[-1])):
            continue
        kept_steps.append(float(step))
        kept_xs.append(float(x))
    return (kept_steps, kept_xs) if kept_steps else None
