"""A line chart in braille, for the keyboard: pan, zoom, logarithmic axis, smoothing, a crosshair that reads values.

Drawn on Textual's own strips. textual-plot has no logarithmic axis, crosshair or gaps, loses the dots of a curve where
another crosses it, spends a box and ten columns on axes, and imports numpy (a quarter of a second before the first
curve shows).
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeGuard

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.format import fmt_duration, fmt_number
from tui.text import clean_line, shorten
from tui.widgets import axes
from tui.widgets.braille import Braille
from tui.widgets.chart_data import (
    ChartSeries,
    Curve,
    Marker,
    curve_of,
    finite_range,
    nearest,
    thinned,
    visible,
    with_style,
)
from tui.widgets.ink import ink

__all__ = ["ChartSeries", "LineChart", "Marker"]

STYLES = ("train", "eval", "memory", "dim", *(str(number) for number in range(1, 9)))
SMOOTHING = (0.0, 0.6, 0.9)
DIM_OWNER = 255

Cell = tuple[str, Style]


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
    by_time: reactive[bool] = reactive(False)
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
        self._rows: list[list[Cell]] = []
        self._drawn: tuple[object, ...] = ()
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

    # What is visible

    def _curves(self) -> list[Curve]:
        return [
            curve_of(item, by_time=self.by_time, smoothing=self.smoothing, log=self.log_scale) for item in self.series
        ]

    def _x_range(self) -> tuple[float, float] | None:
        if self.view is not None:
            return self.view
        found = finite_range([x for curve in self._curves() for x in curve.xs])
        if found is None:
            return None
        return found if found[1] > found[0] else (found[0] - 1, found[1] + 1)

    def action_pan(self, direction: int) -> None:
        """Move the visible range by a quarter of itself."""
        self._move(lambda first, last: (first + direction * (last - first) / 4, last + direction * (last - first) / 4))

    def action_zoom(self, factor: float) -> None:
        """Make the visible range smaller or larger, around the crosshair where there is one, else around the end."""
        whole = finite_range([x for curve in self._curves() for x in curve.xs])

        def zoomed(first: float, last: float) -> tuple[float, float]:
            middle = self.crosshair if self.crosshair is not None else (first + last) / 2
            new = (middle - (middle - first) * factor, middle + (last - middle) * factor)
            return (first, last) if new[1] - new[0] < 2 and factor < 1 and not self.by_time else new

        self._move(zoomed)
        if whole and self.view and self.view[0] <= whole[0] and self.view[1] >= whole[1]:
            self.action_reset()

    def _move(self, change: Callable[[float, float], tuple[float, float]]) -> None:
        found = self._x_range()
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
        self.post_message(self.ViewChanged(self, None if self.by_time else self.view))

    def action_x_axis(self) -> None:
        """Steps or time; time needs the points' times."""
        if any(item.times for item in self.series):
            self.view, self.crosshair = None, None
            self.by_time = not self.by_time

    def action_log(self) -> None:
        self.log_scale = not self.log_scale

    def action_smooth(self) -> None:
        self.smoothing = SMOOTHING[(SMOOTHING.index(self.smoothing) + 1) % len(SMOOTHING)]

    def action_cross(self, columns: int) -> None:
        """Move the crosshair; the first press puts it at the end."""
        found = self._x_range()
        if found is None:
            return
        first, last = found
        step = (last - first) / max(1, self.columns - 1) * columns
        self.crosshair = last if self.crosshair is None else min(last, max(first, self.crosshair + step))

    def on_click(self, event: events.Click) -> None:
        found = self._x_range()
        column = event.x - self._left
        if found and 0 <= column < self._plot_width:
            self.crosshair = found[0] + (found[1] - found[0]) * column / max(1, self._plot_width - 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if self.has_focus:
            event.stop()
            self.action_zoom(0.5)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if self.has_focus:
            event.stop()
            self.action_zoom(2.0)

    # Drawing

    _left = 0
    _plot_width = 1

    def notify_style_update(self) -> None:
        self._version += 1
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        key = (
            width,
            height,
            self._version,
            self.view,
            self.log_scale,
            self.smoothing,
            self.by_time,
            self.crosshair,
            self.empty,
        )
        if key != self._drawn:
            self._rows = self._draw(width, height)
            self._drawn = key
        base = self.rich_style
        if y >= len(self._rows):
            return Strip.blank(width, base)
        segments: list[Segment] = []
        text, style = "", None
        for char, cell_style in self._rows[y]:
            if cell_style is not style and text:
                segments.append(Segment(text, base + style if style else base))
                text = ""
            text += char
            style = cell_style
        segments.append(Segment(text, base + style if style else base))
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return ink(self, f"line-chart--{name}")

    def _draw(self, width: int, height: int) -> list[list[Cell]]:
        label = self._style("label")
        curves = self._curves()
        x_range = self._x_range()
        drawable = any(math.isfinite(value) for curve in curves for value in curve.ys)
        if x_range is None or not drawable or height < 3 or width < 16:
            return self._draw_words(width, height)
        first, last = x_range
        curves = [visible(curve, first, last) for curve in curves]
        y_range = finite_range([value for curve in curves for value in (*curve.ys, *curve.low, *curve.high)])
        if y_range is None:
            return self._draw_words(width, height, "no points here; 0 shows the whole range")
        low, high = self._padded(*y_range)
        rows = height - 2
        y_values = (axes.log_ticks if self.log_scale else axes.ticks)(low, high, max(2, min(8, rows // 3)))
        y_labels = axes.labels(y_values)
        self._left = left = min(9, max((len(text) for text in y_labels), default=0)) + 1
        self._plot_width = columns = max(1, width - left)
        grid = Braille(columns, rows)
        scale_x = (columns * 2 - 1) / (last - first)
        top, bottom = self._height_of(high), self._height_of(low)
        scale_y = (rows * 4 - 1) / (top - bottom)

        def place(x: float, y: float) -> tuple[float, float]:
            return (x - first) * scale_x, (top - self._height_of(y)) * scale_y

        if self.smoothing:
            for item in (item for item in self.series if item.smooth):
                raw = curve_of(item, by_time=self.by_time, smoothing=0, log=self.log_scale)
                _trace(grid, thinned(visible(raw, first, last), columns * 2), place, DIM_OWNER)
        for number, curve in enumerate(curves, 1):
            _trace(grid, thinned(curve, columns * 2), place, number)
        cells = self._cells(grid)
        self._draw_markers(cells, place, rows, columns)
        axis = self._style("axis")
        at_row = {round(place(first, value)[1]) // 4: text for value, text in zip(y_values, y_labels, strict=True)}
        body = [
            [(char, label) for char in at_row.get(row, "")[: left - 1].rjust(left - 1)]
            + [("┤" if row in at_row else "│", axis)]
            + cells[row]
            for row in range(rows)
        ]
        return [self._legend(width), *body, self._x_labels(first, last, left, columns)]

    def _padded(self, low: float, high: float) -> tuple[float, float]:
        if self.log_scale:
            return (low / 1.1, high * 1.1) if high > low else (low / 2, high * 2)
        if self.from_zero and low >= 0:
            return 0.0, high * 1.05 or 1.0
        room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
        return low - room, high + room

    def _height_of(self, value: float) -> float:
        return math.log10(value) if self.log_scale else value

    def _cells(self, grid: Braille) -> list[list[Cell]]:
        blank = self._style("text")
        styles = {number: self._style(item.style) for number, item in enumerate(self.series, 1)}
        styles[DIM_OWNER] = self._style("dim")
        styles[0] = blank
        return [
            [(grid.char(column, row), styles[grid.owners[row][column]]) for column in range(grid.width)]
            for row in range(grid.height)
        ]

    def _draw_markers(
        self, cells: list[list[Cell]], place: Callable[[float, float], tuple[float, float]], rows: int, columns: int
    ) -> None:
        marker_style, best = self._style("marker"), self._style("best")
        only = [item for item in self.series if len(item.steps) == 1 and math.isfinite(item.values[0])]
        for item in only:
            self._put(cells, place(self._x_of(item, 0), item.values[0]), "•", self._style(item.style))
        if not self.by_time:
            for marker in self.markers:
                x, y = place(marker.step, marker.value if self._can_place(marker.value) else 1.0)
                if not self._can_place(marker.value):
                    y = rows * 4 - 1
                self._put(cells, (x, y), marker.symbol, best if marker.symbol == "★" else marker_style)
        if self.crosshair is not None:
            style = self._style("cross")
            column = round(place(self.crosshair, 1.0)[0]) // 2
            for row in range(rows):
                if 0 <= column < columns and cells[row][column][0] == " ":
                    cells[row][column] = ("┊", style)

    def _can_place(self, value: float | None) -> TypeGuard[float]:
        return value is not None and math.isfinite(value) and (value > 0 or not self.log_scale)

    def _x_of(self, item: ChartSeries, index: int) -> float:
        return item.times[index] - item.times[0] if self.by_time and item.times else float(item.steps[index])

    @staticmethod
    def _put(cells: list[list[Cell]], at: tuple[float, float], symbol: str, style: Style) -> None:
        column, row = round(at[0]) // 2, round(at[1]) // 4
        if 0 <= row < len(cells) and 0 <= column < len(cells[row]):
            cells[row][column] = (symbol, style)

    def _legend(self, width: int) -> list[Cell]:
        text, label = self._style("text"), self._style("label")
        parts: list[tuple[str, Style]] = [(" ", label)]
        if self.crosshair is not None:
            at = fmt_duration(self.crosshair) if self.by_time else f"step {self.crosshair:,.0f}"
            parts.append((f"{at}   ", text))
        for item in self.series:
            value = self._legend_value(item)
            name = shorten(clean_line(item.label), 28)
            parts += [("━ ", self._style(item.style)), (f"{name} ", label), (f"{value}   ", text)]
        for symbol, name in dict.fromkeys((marker.symbol, marker.label) for marker in self.markers):
            parts += [(symbol, self._style("best" if symbol == "★" else "marker")), (f" {name}   ", label)]
        notes = [note for note, on in (("log", self.log_scale), (f"smoothed {self.smoothing:g}", self.smoothing)) if on]
        if len(self.series) == 1 and len(self.series[0].steps) == 1:
            notes.append("one point so far")
        if self.view is not None:
            notes.append("0 shows all")
        parts.append((", ".join(notes), label))
        return [(char, style) for chars, style in parts for char in chars][:width]

    def _legend_value(self, item: ChartSeries) -> str:
        if self.crosshair is not None:
            found = nearest(item, self.crosshair, by_time=self.by_time)
            return fmt_number(found[1]) if found else ""
        return fmt_number(item.values[-1]) if item.values else ""

    def _x_labels(self, first: float, last: float, left: int, columns: int) -> list[Cell]:
        label = self._style("label")
        most = max(2, columns // 12)
        if self.by_time:
            values = axes.time_ticks(first, last, most)
            texts = axes.time_labels(values)
        else:
            values = [value for value in axes.ticks(first, last, most) if value == int(value)]
            texts = axes.labels(values)
        line = [" "] * (left + columns)
        end = 0
        for value, text in zip(values, texts, strict=True):
            at = left + round((value - first) / (last - first) * (columns - 1)) - len(text) // 2
            at = min(max(at, left), left + columns - len(text))
            if at >= end:
                line[at : at + len(text)] = text
                end = at + len(text) + 1
        unit = "" if self.by_time else "step"
        if unit and end + len(unit) + 1 < len(line):
            line[len(line) - len(unit) :] = unit
        return [(char, label) for char in line]

    def _draw_words(self, width: int, height: int, words: str = "") -> list[list[Cell]]:
        style = self._style("label")
        known = [value for item in self.series for value in item.values]
        if not words and known:
            words = "only NaN so far" if not self.log_scale else "a log axis needs values above 0; y turns it off"
            if any(math.isfinite(value) for value in known) and not self.log_scale:
                words = "too small to draw"
        rows: list[list[Cell]] = [[] for _ in range(height)]
        if height:
            rows[height // 2] = [(char, style) for char in shorten(words or self.empty, width).center(width)]
        return rows


def _trace(grid: Braille, curve: Curve, place: Callable[[float, float], tuple[float, float]], owner: int) -> None:
    """Draw a curve with gaps at its NaNs; where a point stands for several, an upright stroke over their extremes."""
    before: tuple[float, float] | None = None
    for x, y, low, high in zip(curve.xs, curve.ys, curve.low, curve.high, strict=True):
        if not math.isfinite(y):
            before = None
            continue
        at = place(x, y)
        if high > low:
            grid.line(*place(x, low), *place(x, high), owner)
        grid.line(*(before or at), *at, owner)
        before = at
