"""A line chart in braille, for the keyboard: pan, zoom, logarithmic axis, smoothing, a crosshair that reads values.

Drawn on Textual's own strips. textual-plot has no logarithmic axis, crosshair or gaps, loses the dots of a curve where
another crosses it, spends a box and ten columns on axes, and imports numpy (a quarter of a second before the first
curve shows).
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.chart_data import ChartSeries, Marker, with_style
from tui.widgets.chart_plot import Look, Plot, whole_range, x_range
from tui.widgets.chart_scales import axes_of, steps_of
from tui.widgets.ink import ink

__all__ = ["ChartSeries", "LineChart", "Marker"]

STYLES = ("train", "eval", "memory", "dim", *(str(number) for number in range(1, 9)))
SMOOTHING = (0.0, 0.6, 0.9)


class LineChart(Widget, can_focus=True):
    """Curves over steps or time. `set_series` replaces what is drawn; pan and zoom stay as they are.

    Give at most twice as many points as there are columns (`columns`); more are thinned here.
    """

    DEFAULT_CSS = """
    LineChart {
        height: 1fr; min-height: 3; width: 1fr;
        .line-chart--axis { color: $border-blurred; }
        .line-chart--label { color: $text-muted; }
        .line-chart--text { color: $foreground; }
        .line-chart--marker { color: $text-warning; }
        .line-chart--best { color: $text-success; text-style: bold; }
        .line-chart--cross { color: $text-muted; }
        .line-chart--dim { color: $text-disabled; }
        .line-chart--train, .line-chart--1 { color: $series-1; }
        .line-chart--eval, .line-chart--2 { color: $series-2; }
        .line-chart--memory, .line-chart--3 { color: $series-3; }
        .line-chart--4 { color: $series-4; }
        .line-chart--5 { color: $series-5; }
        .line-chart--6 { color: $series-6; }
        .line-chart--7 { color: $series-7; }
        .line-chart--8 { color: $series-8; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"line-chart--{name}" for name in ("axis", "label", "text", "marker", "best", "cross", *STYLES)
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "pan(-1)", "pan left", id="chart.left", show=False),
        Binding("l", "pan(1)", "pan right", id="chart.right", show=False),
        Binding("plus,equals_sign", "zoom(0.5)", "zoom in", id="chart.in", show=False, key_display="+"),
        Binding("minus", "zoom(2.0)", "zoom out", id="chart.out", show=False, key_display="-"),
        Binding("0", "reset", "whole range", id="chart.reset", show=False, tooltip="The whole range, no crosshair"),
        Binding("x", "x_axis", "step or time", id="chart.x", show=False, tooltip="Steps or time on the x-axis"),
        Binding("y", "log", "log axis", id="chart.log", show=False, tooltip="Logarithmic y-axis, on and off"),
        Binding("s", "smooth", "smoothing", id="chart.smooth", show=False, tooltip="Smoothing: none, 0.6, 0.9"),
        Binding("left", "cross(-1)", "crosshair left", id="chart.cross_left", show=False),
        Binding("right", "cross(1)", "crosshair right", id="chart.cross_right", show=False),
        Binding("shift+left", "cross(-10)", "crosshair far left", id="chart.cross_far_left", show=False),
        Binding("shift+right", "cross(10)", "crosshair far right", id="chart.cross_far_right", show=False),
    ]
    ALLOW_SELECT = False

    log_scale: reactive[bool] = reactive(False)
    smoothing: reactive[float] = reactive(0.0)
    x_axis: reactive[str] = reactive("step")
    """`step`, `epoch`, `time` or `tokens`."""
    crosshair: reactive[float | None] = reactive(None)
    """The x that the crosshair is on, in units of the x-axis."""
    empty: reactive[str] = reactive("no points yet")
    """What is said where there is nothing to draw."""

    class ViewChanged(Message):
        """The visible range of steps changed; ask for its points anew. `None` is the whole range."""

        def __init__(self, chart: "LineChart", view: tuple[float, float] | None) -> None:
            super().__init__()
            self.chart = chart
            self.view = view

        @property
        def control(self) -> "LineChart":
            return self.chart

    def __init__(
        self,
        *,
        id: str | None = None,
        classes: str | None = None,
        empty: str = "no points yet",
        focusable: bool = True,
        from_zero: bool = False,
    ) -> None:
        """`focusable=False` leaves the keys to the screen; `from_zero` makes the y-axis begin at 0."""
        super().__init__(id=id, classes=classes)
        self.can_focus = focusable
        self.from_zero = from_zero
        self.set_reactive(LineChart.empty, empty)
        self.series: list[ChartSeries] = []
        self.markers: list[Marker] = []
        self.view: tuple[float, float] | None = None
        self._plot: Plot | None = None
        self._drawn: tuple[object, ...] = ()
        self._inks: dict[str, Style] = {}
        self._version = 0

    def set_series(self, series: Sequence[ChartSeries], markers: Sequence[Marker] = ()) -> None:
        """Draw these curves, the last one on top."""
        self.series = [with_style(item, number) for number, item in enumerate(series)]
        self.markers = list(markers)
        self._version += 1
        self.refresh()

    @property
    def columns(self) -> int:
        """How many columns the curves have; twice as many points are worth asking for."""
        return max(1, self.size.width - 8)

    @property
    def step_view(self) -> tuple[float, float] | None:
        """The visible range of steps; `None` is all of them."""
        return None if self.view is None else steps_of(self.series, self.x_axis, self.view)

    @property
    def look(self) -> Look:
        """How the chart is looked at just now."""
        return Look(
            view=self.view,
            crosshair=self.crosshair,
            log=self.log_scale,
            smoothing=self.smoothing,
            x_axis=self.x_axis,
            from_zero=self.from_zero,
        )

    def action_pan(self, direction: int) -> None:
        """Move the visible range by a quarter of itself."""
        self._move(lambda first, last: (first + direction * (last - first) / 4, last + direction * (last - first) / 4))

    def action_zoom(self, factor: float) -> None:
        """Make the visible range smaller or larger, around the crosshair where there is one, else around the end."""
        whole = whole_range(self.series, self.look)

        def zoomed(first: float, last: float) -> tuple[float, float]:
            middle = self.crosshair if self.crosshair is not None else (first + last) / 2
            new = (middle - (middle - first) * factor, middle + (last - middle) * factor)
            return (first, last) if new[1] - new[0] < 2 and factor < 1 and self.x_axis == "step" else new

        self._move(zoomed)
        if whole and self.view and self.view[0] <= whole[0] and self.view[1] >= whole[1]:
            self.action_reset()

    def _move(self, change: Callable[[float, float], tuple[float, float]]) -> None:
        found = x_range(self.series, self.look)
        if found is None:
            return
        self.view = change(*found)
        self._view_changed()

    def action_reset(self) -> None:
        """Show everything, without the crosshair."""
        self.view = None
        self.crosshair = None
        self._view_changed()

    def _view_changed(self) -> None:
        self._version += 1
        self.refresh()
        self.post_message(self.ViewChanged(self, self.step_view))

    def action_x_axis(self) -> None:
        """The next of the axes that are known for these series."""
        known = axes_of(self.series)
        self.view, self.crosshair = None, None
        self.x_axis = known[(known.index(self.x_axis) + 1) % len(known)] if self.x_axis in known else "step"

    def action_log(self) -> None:
        self.log_scale = not self.log_scale

    def action_smooth(self) -> None:
        self.smoothing = SMOOTHING[(SMOOTHING.index(self.smoothing) + 1) % len(SMOOTHING)]

    def action_cross(self, columns: int) -> None:
        """Move the crosshair; the first press puts it at the end."""
        found = x_range(self.series, self.look)
        if found is None:
            return
        first, last = found
        step = (last - first) / max(1, self.columns - 1) * columns
        self.crosshair = last if self.crosshair is None else min(last, max(first, self.crosshair + step))

    def on_click(self, event: events.Click) -> None:
        x = self._plotted().x_at(event.x)
        if x is not None:
            self.crosshair = x

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if self.has_focus:
            event.stop()
            self.action_zoom(0.5)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if self.has_focus:
            event.stop()
            self.action_zoom(2.0)

    def notify_style_update(self) -> None:
        self._inks.clear()
        super().notify_style_update()

    def _plotted(self) -> Plot:
        """The chart as it is drawn now, drawn anew only where something changed."""
        width, height = self.size
        key = (width, height, self._version, self.look, self.empty)
        if self._plot is None or key != self._drawn:
            self._plot = Plot(self.series, self.markers, self.look, width, height, self.empty)
            self._drawn = key
        return self._plot

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        width = self.size.width
        rows = self._plotted().rows
        if y >= len(rows):
            return Strip.blank(width, base)
        segments = [
            Segment("".join(char for char, _ in cells), base + self._ink(name))
            for name, cells in groupby(rows[y], key=itemgetter(1))
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _ink(self, name: str) -> Style:
        if name not in self._inks:
            self._inks[name] = ink(self, f"line-chart--{name}")
        return self._inks[name]
