"""A board of one to nine charts side by side, one of them with the cursor, all looked at in the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Grid
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from tui.widgets.chart_canvas import INKS, INKS_CSS
from tui.widgets.chart_data import ChartSeries, Marker, finite_range
from tui.widgets.chart_filter import ChartFilter
from tui.widgets.chart_order import MOST, ChartOrder, layout, room_for
from tui.widgets.line_chart import LineChart


@dataclass(frozen=True)
class ChartContent:
    """What one chart shows; `empty` is said where there is nothing to draw."""

    series: Sequence[ChartSeries]
    markers: Sequence[Marker] = ()
    empty: str = "no points yet"
    from_zero: bool = False
    """Whether its y-axis begins at 0."""


READING = ChartContent((), (), "reading …")


class BoardChart(LineChart):
    """A chart with the colours of its board."""

    def __init__(self, board: "ChartBoard") -> None:
        super().__init__()
        self._board = board

    @property
    def palette(self) -> Widget:
        return self._board


class ChartBoard(Widget):
    """Charts of which at most `count` are on the screen, and what they share: range, crosshair, axis, smoothing."""

    DEFAULT_CSS = f"""
    ChartBoard {{
        height: 1fr; width: 1fr;
        & > Grid {{ height: 1fr; grid-gutter: 0 1; }}
        & > Static {{ height: 1; color: $text-muted; padding: 0 1; display: none; }}
        & > .none {{ height: 1fr; content-align: center middle; }}
        {INKS_CSS}
    }}
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = INKS

    count: reactive[int] = reactive(4)
    """How many charts are on the screen at most, 1 to 9; fewer where there is too little room."""
    full: reactive[bool] = reactive(False)
    """Whether the chart with the cursor has the whole terminal."""
    smoothing: reactive[float] = reactive(0.0)
    x_axis: reactive[str] = reactive("step")
    """`step`, `epoch`, `time` or `tokens`."""

    class Wanted(Message):
        """Other charts, another width or another range are on the screen: read them again."""

        def __init__(self, grid: "ChartBoard") -> None:
            super().__init__()
            self.grid = grid

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, ChartBoard.Wanted) and message.grid is self.grid

    class CrossMoved(Message):
        """The crosshair is elsewhere, or gone."""

        def __init__(self, grid: "ChartBoard") -> None:
            super().__init__()
            self.grid = grid

    class PinsChanged(Message):
        """A chart was pinned or let go."""

        def __init__(self, grid: "ChartBoard") -> None:
            super().__init__()
            self.grid = grid

    def __init__(self, *, id: str | None = None, classes: str | None = None, count: int = 4) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(ChartBoard.count, count)
        self._order = ChartOrder()
        self._contents: dict[str, ChartContent] = {}
        self._logs: set[str] = set()
        self._charts: list[LineChart] = [BoardChart(self) for _ in range(count)]
        self._steps: tuple[float, float] | None = None
        self._cross: float | None = None
        self._view: tuple[float, float] | None = None
        """`_steps` as it is on the x-axis."""
        self._crosshair: float | None = None
        """`_cross` as it is on the x-axis."""
        self._wanted: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield ChartFilter()
        with Grid():
            yield from self._charts
        yield Static("", classes="none", markup=False)
        yield Static("", classes="more", markup=False)

    def on_mount(self) -> None:
        self._arrange()

    # What there is

    @property
    def shown(self) -> list[str]:
        """The ids of the charts on the screen, those to read. (`visible` is a style of every widget.)"""
        if self.full:
            return [self._order.cursor] if self._order.cursor else []
        return self._order.shown(self._room)

    @property
    def cursor(self) -> str:
        """The id of the chart that the keys are for; empty where there is none."""
        return self._order.cursor

    @property
    def pinned(self) -> list[str]:
        """The ids of the pinned charts, in the order in which they were; may be set. Those that are not there wait."""
        return list(self._order.pinned)

    @pinned.setter
    def pinned(self, names: Sequence[str]) -> None:
        self._order.pinned = list(dict.fromkeys(names))
        self._order.follow(self._room)
        self._arrange()

    @property
    def pattern(self) -> str:
        """What the charts are filtered by."""
        return self._order.pattern

    @property
    def columns(self) -> int:
        """How many columns the widest chart has; twice as many points are worth asking for."""
        across, _ = self._layout(len(self.shown) or 1)
        return max(1, self.size.width // across - 8)

    @property
    def view(self) -> tuple[float, float] | None:
        """The range of steps on the screen; `None` is all of them."""
        return self._steps

    @property
    def crosshair_step(self) -> float | None:
        """The step that the crosshair is on."""
        return self._cross

    @property
    def log_scale(self) -> bool:
        """Whether the chart with the cursor has a logarithmic y-axis."""
        return self._order.cursor in self._logs

    def chart_of(self, name: str) -> LineChart | None:
        """The widget that shows a chart just now."""
        return self._charts[self.shown.index(name)] if name in self.shown else None

    def set_charts(self, titles: Mapping[str, str]) -> None:
        """Say which charts there are, id to title, in their order. Pins, filter, cursor and page stay."""
        if list(titles.items()) != list(self._order.titles.items()):
            self._order.titles = dict(titles)
            self._contents = {name: content for name, content in self._contents.items() if name in titles}
            self._order.follow(self._room)
            self._arrange()

    def forget(self) -> None:
        """Begin anew, for curves of something else: the whole range, every chart. Pins and the common look stay."""
        self.full = False
        self.query_one(ChartFilter).clear()
        self._steps = self._cross = self._view = self._crosshair = None
        self._order = ChartOrder(pinned=self._order.pinned)
        self._contents, self._wanted = {}, ()

    def show(self, contents: Mapping[str, ChartContent]) -> None:
        """Draw what was read. Nothing is painted where it is as before."""
        self._contents |= contents
        self._fill()

    # How it is laid out

    @property
    def _room(self) -> int:
        wanted = min(max(1, self.count), MOST)
        if not self.size:
            return wanted  # not laid out yet: there mostly is room, and what is drawn at once need not be drawn anew
        return room_for(wanted, self.size.width, max(1, self.size.height - 1))

    def _layout(self, count: int) -> tuple[int, int]:
        size = self.size or self.app.size
        return layout(count, size.width, size.height)

    @property
    def _chart(self) -> LineChart:
        """The chart with the cursor."""
        shown = self.shown
        return self._charts[shown.index(self._order.cursor) if self._order.cursor in shown else 0]

    def _arrange(self) -> None:
        """Put as many charts on the screen as there are to be, and ask for what they lack."""
        if not self.is_mounted:
            return
        shown = self.shown
        across, down = self._layout(len(shown) or 1)
        grid = self.query_one(Grid)
        grid.styles.grid_size_columns, grid.styles.grid_size_rows = across, down
        grid.display = bool(shown)
        lacking = [BoardChart(self) for _ in range(len(self._charts), len(shown))]
        if lacking:
            self._charts += lacking
            grid.mount(*lacking)
        for place, chart in enumerate(self._charts):
            chart.display = place < len(shown)
            # The last one takes what is left of its row.
            last = place == len(shown) - 1
            chart.styles.column_span = across * down - place if last else 1
        self._fill()
        self._say()
        wanted = (tuple(shown), self.columns, self._steps)
        if shown and self.size and wanted != self._wanted:
            self._wanted = wanted
            self.post_message(self.Wanted(self))

    def _fill(self) -> None:
        """Give each chart on the screen its curves and the common look."""
        shown = self.shown
        for name, chart in zip(shown, self._charts, strict=False):
            content = self._contents.get(name, READING)
            chart.empty, chart.from_zero = content.empty, content.from_zero
            chart.heading, chart.pinned = self._order.titles.get(name, name), name in self._order.pinned
            chart.among = len(shown) > 1
            chart.picked = chart.among and name == self._order.cursor
            chart.smoothing, chart.x_axis, chart.log_scale = self.smoothing, self.x_axis, name in self._logs
            chart.set_series(content.series, content.markers)
        self._share()

    def _share(self) -> None:
        """Let all charts show one range and one crosshair; a chart that does not know the axis stays with its steps."""
        charts = self._charts[: len(self.shown)]
        alike = [chart for chart in charts if chart.axis == self.x_axis]
        ranges = [end for chart in alike for end in chart.own_range or ()]
        whole = finite_range(ranges)
        for chart in charts:
            if chart in alike:
                chart.whole, chart.view, chart.crosshair = whole, self._view, self._crosshair
            else:
                chart.whole, chart.view, chart.crosshair = None, self._steps, self._cross

    def _take(self, chart: LineChart) -> None:
        """Look at all charts as at this one. Range and crosshair together, for keys come faster than messages."""
        self._steps, self._cross = chart.step_view, chart.crosshair_step
        if chart.axis == self.x_axis:
            self._view, self._crosshair = chart.view, chart.crosshair
        else:
            self._place_look()
        self._share()

    def _place_look(self) -> None:
        """Work out where the range and the crosshair are on the x-axis, by a chart that knows it."""
        chart = next((chart for chart in self._charts[: len(self.shown)] if chart.axis == self.x_axis), self._chart)
        self._view = chart.view_of(self._steps)
        self._crosshair = None if self._cross is None else chart.x_at(self._cross)

    def _say(self) -> None:
        """Say what there is beside the charts on the screen, and why there is none."""
        order, shown = self._order, self.shown
        found = order.found
        more, none = self.query_one(".more", Static), self.query_one(".none", Static)
        none.display = not shown
        if not order.titles:
            none.update("no metrics yet: charts appear with the first point")
        elif not shown:
            none.update(Content(f"no chart matches “{order.pattern}”; esc shows all {len(order.titles)}"))
        hidden = len(found) - len(shown)
        words = []
        if order.pattern and shown:
            words.append(f"{len(found)} of {len(order.titles)} charts match “{order.pattern}”")
        if self.full:
            words.append("f or esc: back to all charts")
        elif hidden > 0:
            pages = order.pages(self._room)
            words.append(f"{len(shown)} of {len(found)} charts, page {order.page + 1} of {pages}: pgdn goes on")
        more.update(Content("  ·  ".join(words)))
        more.display = bool(words) and self.size.height > 6
        self.query_one(ChartFilter).show_count(len(found), len(order.titles))
