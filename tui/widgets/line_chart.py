"""A line chart in braille: pan, zoom, axes, smoothing, a crosshair that reads values.

Drawn on Textual's own strips. textual-plot has no logarithmic axis, crosshair or gaps, loses the dots of a curve where
another crosses it, spends a box and ten columns on axes, and imports numpy (a quarter of a second before the first
curve shows).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.chart_data import ChartSeries, Marker, finite_range, nearest_index, points_of, with_style
from tui.widgets.chart_look import SMOOTHING, Look, whole_range, x_range
from tui.widgets.chart_plot import Line, Plot
from tui.widgets.chart_scales import axes_of, finite, reference, steps_of, x_at
from tui.widgets.ink import ink, soft_ink

__all__ = ["ChartSeries", "LineChart", "Marker"]

STYLES = ("train", "eval", "memory", "dim", *(str(number) for number in range(1, 9)))
NARROWEST = 1e-9
"""The smallest visible range, as a share of the numbers on the axis."""


class LineChart(Widget):
    """Curves over steps, epochs, time or tokens. `set_series` replaces what is drawn; pan and zoom stay as they are.

    It has no keys of its own: a screen or a `ChartGrid` calls its actions. Give at most twice as many points as there
    are columns (`columns`); more are thinned here.
    """

    DEFAULT_CSS = """
    LineChart {
        height: 1fr; min-height: 3; width: 1fr;
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
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"line-chart--{name}"
        for name in ("axis", "label", "text", "title", "picked", "marker", "best", "bad", "cross", *STYLES)
    }
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

    class ViewChanged(Message):
        """The visible range changed; ask for its points anew. `view` is a range of steps, `None` all of them."""

        def __init__(self, chart: "LineChart", view: tuple[float, float] | None) -> None:
            super().__init__()
            self.chart = chart
            self.view = view

        @property
        def control(self) -> "LineChart":
            return self.chart

    class CrossMoved(Message):
        """The crosshair is elsewhere, or gone."""

        def __init__(self, chart: "LineChart") -> None:
            super().__init__()
            self.chart = chart

    class Picked(Message):
        """The chart was clicked, `twice` for a closer look."""

        def __init__(self, chart: "LineChart", *, twice: bool) -> None:
            super().__init__()
            self.chart = chart
            self.twice = twice

    def __init__(
        self,
        *,
        id: str | None = None,
        classes: str | None = None,
        empty: str = "no points yet",
        interactive: bool = True,
        from_zero: bool = False,
    ) -> None:
        """Without `interactive` the mouse does nothing; `from_zero` makes the y-axis begin at 0."""
        super().__init__(id=id, classes=classes)
        self.interactive = interactive
        self.from_zero = from_zero
        self.set_reactive(LineChart.empty, empty)
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
        self._dragged_from: tuple[int, tuple[float, float]] | None = None
        self._dragged = False

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

    # Acts

    def action_pan(self, direction: float) -> None:
        """Move the visible range by a quarter of itself."""
        if found := x_range(self.series, self.look):
            self._pan_by(found, direction * (found[1] - found[0]) / 4)

    def action_zoom(self, factor: float, around: float | None = None) -> None:
        """Make the visible range smaller or larger, around an x, the crosshair or the middle."""
        found = x_range(self.series, self.look)
        if found is None:
            return
        first, last = found
        middle = around if around is not None else self.crosshair
        if middle is None or not first <= middle <= last:
            middle = (first + last) / 2
        narrowest = 2.0 if self.axis == "step" else max(abs(first), abs(last)) * NARROWEST
        if factor < 1 and (last - first) * factor < narrowest:
            return
        self._show_range(middle - (middle - first) * factor, middle + (last - middle) * factor)

    def action_reset(self) -> None:
        """Show everything, without the crosshair."""
        self.crosshair = None
        self.view = None
        self.post_message(self.CrossMoved(self))
        self.post_message(self.ViewChanged(self, None))

    def action_x_axis(self) -> None:
        """The next of the axes that these series know."""
        self.show_axis(self._axes[(self._axes.index(self.axis) + 1) % len(self._axes)])

    def show_axis(self, axis: str) -> None:
        """Show an axis; the visible steps and the crosshair stay where they are."""
        view, step = self.step_view, self.crosshair_step
        self.x_axis = axis
        self.view = self.view_of(view)
        self.crosshair = None if step is None else self.x_at(step)

    def action_log(self) -> None:
        """A logarithmic y-axis, on and off."""
        self.log_scale = not self.log_scale

    def action_smooth(self) -> None:
        """The next weight of the moving average."""
        self.smoothing = SMOOTHING[(SMOOTHING.index(self.smoothing) + 1) % len(SMOOTHING)]

    def action_cross(self, columns: int) -> None:
        """Move the crosshair from point to point, by at least so many columns; the first press puts it at the end."""
        xs = self._visible_xs()
        found = x_range(self.series, self.look)
        if not xs or found is None:
            return
        if self.crosshair is None or not found[0] <= self.crosshair <= found[1]:
            self.cross_at(xs[-1])
            return
        aim = self.crosshair + (found[1] - found[0]) / max(1, self.columns - 1) * columns
        ahead = [x for x in xs if x > self.crosshair] if columns > 0 else [x for x in xs if x < self.crosshair]
        if ahead:
            self.cross_at(min(ahead, key=lambda x: abs(x - aim)))

    def action_extreme(self, highest: bool) -> None:
        """Put the crosshair on the lowest or highest visible point; pressed again, on that of the next curve."""
        found = x_range(self.series, self.look)
        if found is None:
            return
        stops: list[tuple[float, float]] = []
        for item in self.series:
            points = [point for point in points_of(item, self.axis) if found[0] <= point.x <= found[1]]
            ends = [(point.high if highest else point.low, point.x) for point in points if finite(point.value)]
            ends = [end for end in ends if finite(end[0])]
            if ends:
                stops.append(max(ends, key=lambda end: end[0]) if highest else min(ends, key=lambda end: end[0]))
        xs = [x for _, x in sorted(stops, key=lambda stop: stop[0], reverse=highest)]
        if xs:
            self.cross_at(xs[(xs.index(self.crosshair) + 1) % len(xs)] if self.crosshair in xs else xs[0])

    def cross_at(self, x: float | None) -> None:
        """Put the crosshair on an x, or take it away."""
        self.crosshair = x
        self.post_message(self.CrossMoved(self))

    def _visible_xs(self) -> list[float]:
        found = x_range(self.series, self.look)
        if found is None:
            return []
        points = (point for item in self.series for point in points_of(item, self.axis))
        return sorted({point.x for point in points if found[0] <= point.x <= found[1]})

    def _pan_by(self, found: tuple[float, float], distance: float) -> None:
        whole = self._whole()
        if whole is not None:  # not beyond the points
            distance = min(max(distance, whole[0] - found[0]), whole[1] - found[1])
        self._show_range(found[0] + distance, found[1] + distance)

    def _whole(self) -> tuple[float, float] | None:
        """What is visible without a view."""
        return x_range(self.series, replace(self.look, view=None, whole=self.whole or self.own_range))

    def _show_range(self, first: float, last: float) -> None:
        whole = self._whole()
        view = (first, last) if finite(first) and finite(last) and last > first else None
        if view is not None and whole is not None and view[0] <= whole[0] and view[1] >= whole[1]:
            view = None
        if view != self.view:
            self.view = view
            self.post_message(self.ViewChanged(self, self.step_view))

    # The mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        found = x_range(self.series, self.look)
        self._dragged = False
        if self.interactive and event.button == 1 and found is not None:
            self._dragged_from = (event.x, found)
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged_from is None or self._plot is None:
            return
        column, found = self._dragged_from
        if event.x != column or self._dragged:
            self._dragged = True
            self._pan_by(found, (column - event.x) * (found[1] - found[0]) / max(1, self._plot.columns))

    def on_mouse_up(self) -> None:
        if self._dragged_from is not None:
            self._dragged_from = None
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        if not self.interactive or self._dragged:
            return
        at = self._plotted().x_of(event.x)
        xs = self._visible_xs()
        if at is not None and xs and event.chain == 1:
            self.cross_at(min(xs, key=lambda x: abs(x - at)))
        self.post_message(self.Picked(self, twice=event.chain == 2))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if self.interactive:
            event.stop()
            self.action_zoom(0.5, self._plotted().x_of(event.x))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if self.interactive:
            event.stop()
            self.action_zoom(2.0, self._plotted().x_of(event.x))

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

    def _ink(self, name: str) -> Style:
        """A colour on the chart's background; without a name the background alone."""
        if name not in self._inks:
            component = f"line-chart--{name.removesuffix('-soft')}"
            found = Style()
            if name.endswith("-soft"):
                found = soft_ink(self, component, "line-chart--dim")
            elif name:
                found = ink(self, component)
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
