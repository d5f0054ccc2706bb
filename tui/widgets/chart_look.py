"""How a chart is looked at: axes, visible range, smoothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from tui.widgets import axes
from tui.widgets.chart_data import ChartSeries, curve_of, finite_range

SMOOTHING = (0.0, 0.6, 0.9, 0.97)
"""The weights of the past that the key goes through; 0 is no smoothing."""


@dataclass(frozen=True)
class Look:
    """All that decides how given series are drawn, but for the size and the crosshair."""

    view: tuple[float, float] | None = None
    """The visible range of x; `None` is all of it."""
    whole: tuple[float, float] | None = None
    """The range of x that all of it takes, where that is more than what these series take."""
    log: bool = False
    smoothing: float = 0.0
    axis: str = "step"
    from_zero: bool = False
    title: str = ""
    picked: bool = False
    """Whether the keys are for this chart, of several."""
    among: bool = False
    """Whether there are several."""
    pinned: bool = False


def x_range(series: Sequence[ChartSeries], look: Look) -> tuple[float, float] | None:
    """The range of x that is visible; `None` where there is no point."""
    if look.view is not None:
        return look.view
    found = look.whole or whole_range(series, look)
    return None if found is None else axes.rounded(*axes.around(*found, room=0.0))


def whole_range(series: Sequence[ChartSeries], look: Look) -> tuple[float, float] | None:
    """The range of x that all points take."""
    curves = [curve_of(item, x_axis=look.axis) for item in series]
    return finite_range([end for curve in curves for end in (*curve.xs[:1], *curve.xs[-1:])])
