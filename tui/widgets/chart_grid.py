"""One to nine charts side by side, one of them with the cursor, all looked at in the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.widgets.chart_data import ChartSeries, Marker
from tui.widgets.line_chart import LineChart

MOST = 9


@dataclass(frozen=True)
class ChartContent:
    """What one chart shows; `empty` is said where there is nothing to draw."""

    series: Sequence[ChartSeries]
    markers: Sequence[Marker] = ()
    empty: str = "no points yet"


class ChartGrid(Widget, can_focus=True):
    """Charts of which `count` are on the screen. Owns the keys of all of them."""

    DEFAULT_CSS = """
    ChartGrid { layout: grid; grid-size: 2; height: 1fr; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "pan(-1)", "pan left", id="chart.left", show=False),
        Binding("l", "pan(1)", "pan right", id="chart.right", show=False),
        Binding("plus,equals_sign", "zoom(0.5)", "zoom in", id="chart.in", show=False, key_display="+"),
        Binding("minus", "zoom(2.0)", "zoom out", id="chart.out", show=False, key_display="-"),
        Binding("0", "reset", "whole range", id="chart.reset", show=False),
        Binding("x", "x_axis", "x-axis", id="chart.x", show=False),
        Binding("y", "log", "log axis", id="chart.log", show=False),
        Binding("m", "smooth", "smoothing", id="chart.smooth", show=False),
        Binding("left", "cross(-1)", "crosshair left", id="chart.cross_left", show=False),
        Binding("right", "cross(1)", "crosshair right", id="chart.cross_right", show=False),
        Binding("up,k", "move(-1)", "previous chart", id="chart.previous", show=False),
        Binding("down,j", "move(1)", "next chart", id="chart.next", show=False),
        Binding("p", "pin", "pin", id="chart.pin", show=False),
    ]

    count: reactive[int] = reactive(4)
    """How many charts are on the screen at most."""
    cursor: reactive[str] = reactive("")
    """The id of the chart that the keys are for."""

    class Wanted(Message):
        """Other charts, another width or another range are on the screen: read them again."""

        def __init__(self, grid: "ChartGrid") -> None:
            super().__init__()
            self.grid = grid

    class CrossMoved(Message):
        """The crosshair is elsewhere, or gone."""

        def __init__(self, grid: "ChartGrid") -> None:
            super().__init__()
            self.grid = grid

    class PinsChanged(Message):
        """A chart was pinned or unpinned."""

        def __init__(self, grid: "ChartGrid") -> None:
            super().__init__()
            self.grid = grid

    def __init__(self, *, id: str | None = None, classes: str | None = None, count: int = 4) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(ChartGrid.count, count)
        self.pinned: list[str] = []
        self._titles: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        for _ in range(MOST):
            yield LineChart(focusable=False)

    @property
    def shown(self) -> list[str]:
        """The ids of the charts on the screen: those to read. (`visible` is what Textual calls a style.)"""
        order = [name for name in self.pinned if name in self._titles]
        order += [name for name in self._titles if name not in order]
        return order[: self.count]

    @property
    def columns(self) -> int:
        """How many columns the widest of them has; twice as many points are worth asking for."""
        return max((chart.columns for chart in self.query(LineChart)), default=1)

    @property
    def _first(self) -> LineChart:
        return next(iter(self.query(LineChart)))

    @property
    def view(self) -> tuple[float, float] | None:
        """The range of steps on the screen; `None` is all of them."""
        return self._first.step_view

    @property
    def x_axis(self) -> str:
        return self._first.x_axis

    @property
    def crosshair_step(self) -> float | None:
        """The step that the crosshair is on."""
        return self._first.crosshair

    def set_charts(self, titles: Mapping[str, str]) -> None:
        """Say which charts there are, id to title, in their order. Pins, filter, cursor and page stay."""
        if dict(titles) != self._titles:
            self._titles = dict(titles)
            self.post_message(self.Wanted(self))

    def show(self, contents: Mapping[str, ChartContent]) -> None:
        """Draw what was read for (some of) the visible charts."""
        charts = list(self.query(LineChart))
        for name, chart in zip(self.shown, charts, strict=False):
            if name in contents:
                content = contents[name]
                chart.empty = content.empty
                chart.set_series(content.series, content.markers)
        for place, chart in enumerate(charts):
            chart.display = place < len(self.shown)

    @on(LineChart.ViewChanged)
    def _view_changed(self, event: LineChart.ViewChanged) -> None:
        event.stop()
        for chart in self.query(LineChart):
            chart.view = event.chart.view
            chart.refresh()
        self.post_message(self.Wanted(self))

    def action_pan(self, direction: int) -> None:
        self._first.action_pan(direction)

    def action_zoom(self, factor: float) -> None:
        self._first.action_zoom(factor)

    def action_reset(self) -> None:
        self._first.action_reset()
