"""The canvas of a line chart: its series, how they are looked at, and painting no more than what changed.

Drawn on Textual's own strips. textual-plot has no logarithmic axis, crosshair or gaps, loses the dots of a curve where
another crosses it, spends a box and ten columns on axes, and imports numpy (a quarter of a second before the first
curve shows).
"""

from collections.abc import Sequence
from itertools import takewhile

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.chart_data import ChartSeries, Marker, finite_range, nearest_index, points_of, with_style
from tui.widgets.chart_look import Look, whole_range
from tui.widgets.chart_plot import Line, Plot
from tui.widgets.chart_scales import axes_of, reference, steps_of, x_at
from tui.widgets.ink import ink, soft_ink

STYLES = ("train", "eval", "memory", "dim", *(str(number) for number in range(1, 9)))


INKS = {
    f"line-chart--{name}"
    for name in ("axis", "label", "text", "title", "picked", "marker", "best", "bad", "cross", *STYLES)
}
"""The component classes of whatever has the colours of charts: a chart of its own, or a board of them."""

INKS_CSS = """
.line-chart--axis { color: $border-blurred; }
.line-chart--label { color: $text-muted; }
.line-chart--text { color: $foreground; }
.line-chart--title { color: $foreground; text-style: bold; }
.line-chart--picked { color: $text-accent; text-style: bold; }
.line-chart--marker { color: $text-warning; }
.line-chart--best { color: $text-success; text-style: bold; }
.line-chart--bad { color: $text-error; text-style: bold; }
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
"""


class ChartCanvas(Widget):
    """Curves over steps, epochs, time or tokens. `set_series` replaces what is drawn; the look stays as it is.

    Give at most twice as many points as there are columns (`columns`); more are thinned here.
    """

    DEFAULT_CSS = """
    ChartCanvas { height: 1fr; min-height: 3; width: 1fr; }
    """
    ALLOW_SELECT = False

    log_scale: reactive[bool] = reactive(False, repaint=False)
    smoothing: reactive[float] = reactive(0.0, repaint=False)
    x_axis: reactive[str] = reactive("step", repaint=False)
    """`step`, `epoch`, `time` or `tokens`; steps are shown where these series do not know the axis."""
    view: reactive[tuple[float, float] | None] = reactive(None, repaint=False)
    """The visible range of x; `None` is all of it."""
    whole: reactive[tuple[float, float] | None] = reactive(None, repaint=False)
    """The range of x to show without a view, where that is more than what these series take."""
    crosshair: reactive[float | None] = reactive(None, repaint=False)
    """The x that the crosshair is on."""
    empty: reactive[str] = reactive("no points yet", repaint=False)
    """What is said where there is nothing to draw."""
    heading: reactive[str] = reactive("", repaint=False)
    """A title before the legend."""
    picked: reactive[bool] = reactive(False, repaint=False)
    among: reactive[bool] = reactive(False, repaint=False)
    pinned: reactive[bool] = reactive(False, repaint=False)

    def __init__(
        self,
        *,
        id: str | None = None,
        classes: str | None = None,
        empty: str = "no points yet",
        from_zero: bool = False,
    ) -> None:
        """`from_zero` makes the y-axis begin at 0."""
        super().__init__(id=id, classes=classes)
        self.from_zero = from_zero
        self.set_reactive(ChartCanvas.empty, empty)
        self.series: list[ChartSeries] = []
        self.markers: list[Marker] = []
        self._axes = ["step"]
        self._plot: Plot | None = None
        self._plotted_key: tuple[object, ...] = ()
        self._lines: list[Line] = []
        self._lines_key: tuple[object, ...] = ()
        self._painted: dict[int, Line] = {}
        """The lines as the terminal has them."""
        self._early: set[int] = set()
        """Lines of which a part was painted, for another reason, before a change was."""
        self._due = False
        self._version = 0
        self._extent: tuple[float, float] | None = None
        """The steps that were seen since all of them were."""
        self._inks: dict[str, Style] = {}

    def on_mount(self) -> None:
        for name in ("log_scale", "smoothing", "x_axis", "view", "whole", "crosshair", "empty", "heading", "picked"):
            self.watch(self, name, self._changed, init=False)
        for name in ("among", "pinned"):
            self.watch(self, name, self._changed, init=False)

    def set_series(self, series: Sequence[ChartSeries], markers: Sequence[Marker] = ()) -> None:
        """Draw these curves, the last one on top. Nothing is painted where they are as before."""
        styled = [with_style(item, number) for number, item in enumerate(series)]
        if styled == self.series and list(markers) == self.markers:
            return
        self.series, self.markers = styled, list(markers)
        self._axes = axes_of(styled)
        self._version += 1
        known = self._extent if self.view is not None else None
        self._extent = finite_range([*(known or ()), *(step for item in styled for step in item.steps)])
        self._changed()

    @property
    def columns(self) -> int:
        """How many columns the curves have; twice as many points are worth asking for."""
        return max(1, self.size.width - 8)

    @property
    def axis(self) -> str:
        """The x-axis that is shown."""
        return self.x_axis if self.x_axis in self._axes else "step"

    @property
    def look(self) -> Look:
        """How the chart is looked at just now."""
        return Look(
            view=self.view,
            whole=self.whole,
            log=self.log_scale,
            smoothing=self.smoothing,
            axis=self.axis,
            from_zero=self.from_zero,
            title=self.heading,
            picked=self.picked,
            among=self.among,
            pinned=self.pinned,
        )

    @property
    def own_range(self) -> tuple[float, float] | None:
        """The range of x that these series take; while zoomed in, with what was seen before."""
        seen = whole_range(self.series, self.look)
        known = [self.x_at(step) for step in self._extent or ()] if self.view is not None else []
        return finite_range([*known, *(seen or ())])

    def x_at(self, step: float) -> float:
        """Where a step is on the axis."""
        return x_at(reference(self.series, self.axis), step)

    def view_of(self, steps: tuple[float, float] | None) -> tuple[float, float] | None:
        """Where a range of steps is on the axis; `None` where it is all, or no more than a point."""
        first, last = (0.0, 0.0) if steps is None else (self.x_at(steps[0]), self.x_at(steps[1]))
        return (first, last) if first < last else None

    @property
    def step_view(self) -> tuple[float, float] | None:
        """The visible range of steps; `None` is all of them, also where the points do not tell steps apart."""
        first, last = (0.0, 0.0) if self.view is None else steps_of(self.series, self.axis, self.view)
        return (first, last) if first < last else None

    @property
    def crosshair_step(self) -> float | None:
        """The step of the point under the crosshair."""
        if self.crosshair is None:
            return None
        found = [
            points[index]
            for points in (points_of(item, self.axis) for item in self.series)
            if (index := nearest_index(points, self.crosshair)) is not None
        ]
        x = self.crosshair
        return min(found, key=lambda point: abs(point.x - x)).step if found else None

    # Painting

    def notify_style_update(self) -> None:
        self._inks.clear()
        super().notify_style_update()

    def _changed(self) -> None:
        """Paint what is other than before, once for all that happens until then."""
        if not self._due and self.is_attached:
            self._due = True
            self.call_later(self._repaint)

    def _repaint(self) -> None:
        """Ask for what differs from what was painted last; most of a live chart does not."""
        self._due = False
        width, lines = self.size.width, self._shown()
        changed = []
        for row, line in enumerate(lines):
            start, end = 0, width
            if row and row not in self._early and row in self._painted:  # the legend may hold characters of two cells
                start, end = _difference(self._painted[row], line, width)
            elif row not in self._early and self._painted.get(row) == line:
                end = 0
            if end > start:
                changed.append(Region(start, row, end - start, 1))
        self._early.clear()
        if changed:
            self.refresh(*changed)

    def _plotted(self) -> Plot:
        """The curves as they are drawn now, drawn anew only where something changed."""
        width, height = self.size
        key = (width, height, self._version, self.look, self.empty)
        if self._plot is None or key != self._plotted_key:
            self._plot = Plot(self.series, self.markers, self.look, width, height, self.empty)
            self._plotted_key = key
        return self._plot

    def _shown(self) -> list[Line]:
        """The lines of the chart with its crosshair."""
        plot = self._plotted()
        key = (self._plotted_key, self.crosshair)
        if key != self._lines_key:
            self._lines, self._lines_key = plot.lines(self.crosshair), key
        return self._lines

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self._shown()
        if self._due:
            self._early.add(y)
        if y >= len(lines):
            self._painted.pop(y, None)
            return Strip.blank(width, self._ink(""))
        self._painted[y] = lines[y]
        segments = [Segment(text, self._ink(name)) for text, name in lines[y]]
        return Strip(segments).adjust_cell_length(width, self._ink(""))

    @property
    def palette(self) -> Widget:
        """Whose component styles the colours are. Nine charts with styles of their own take most of a screen's time."""
        raise NotImplementedError

    def _ink(self, name: str) -> Style:
        """A colour on the chart's background; without a name the background alone."""
        if name not in self._inks:
            component = f"line-chart--{name.removesuffix('-soft')}"
            found = Style()
            if name.endswith("-soft"):
                found = soft_ink(self.palette, component, "line-chart--dim")
            elif name:
                found = ink(self.palette, component)
            self._inks[name] = self.rich_style + found
        return self._inks[name]


def _difference(old: Line, new: Line, width: int) -> tuple[int, int]:
    """The columns from the first to past the last that may differ, for lines of one cell a character."""
    if old == new:
        return 0, 0
    start = _alike(old, new)
    end = width - _alike(old[::-1], new[::-1])
    if sum(len(text) for text, _ in old) != sum(len(text) for text, _ in new):
        end = width
    return min(start, end), end


def _alike(old: Line, new: Line) -> int:
    """How many cells two lines have in common at their beginning, by whole spans."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
    return sum(len(text) for (text, _), _ in pairs)
