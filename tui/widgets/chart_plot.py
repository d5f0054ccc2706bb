"""Draws a chart as rows of characters, each with the name of its colour. No widget and no theme in here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui.format import fmt_duration, fmt_number
from tui.text import clean_line, shorten
from tui.widgets import axes
from tui.widgets.braille import Braille
from tui.widgets.chart_data import ChartSeries, Curve, Marker, curve_of, finite_range, nearest, thinned, visible

Cell = tuple[str, str]
"""A character and its colour: `axis`, `label`, `text`, `marker`, `best`, `cross`, or the style of a series."""
Place = Callable[[float, float], tuple[float, float]]

LEAST_WIDTH, LEAST_HEIGHT = 16, 3
RAW = 255
"""Who owns the dots of a curve that is drawn again, smoothed."""


@dataclass(frozen=True)
class Look:
    """How a chart is looked at. `view` is the visible range of x, `None` for all; `crosshair` an x of the axis."""

    view: tuple[float, float] | None = None
    crosshair: float | None = None
    log: bool = False
    smoothing: float = 0.0
    x_axis: str = "step"
    from_zero: bool = False


def x_range(series: Sequence[ChartSeries], look: Look) -> tuple[float, float] | None:
    """The range of x that is visible; `None` where there is no point."""
    return look.view or whole_range(series, look)


def whole_range(series: Sequence[ChartSeries], look: Look) -> tuple[float, float] | None:
    """The range of x that all points take."""
    found = finite_range([x for item in series for x in _curve(item, look).xs])
    if found is None:
        return None
    return found if found[1] > found[0] else (found[0] - 1, found[1] + 1)


class Plot:
    """A drawn chart: `rows` of cells. The curves begin at column `left` and take `columns`."""

    def __init__(
        self, series: Sequence[ChartSeries], markers: Sequence[Marker], look: Look, width: int, height: int, empty: str
    ) -> None:
        self.series = series
        self.markers = markers
        self.look = look
        self.left = 0
        self.columns = max(1, width)
        drawn = None
        if width >= LEAST_WIDTH and height >= LEAST_HEIGHT:
            drawn = self._draw(width, height)
        self.rows = drawn if drawn is not None else _in_the_middle(self._why_empty(empty), width, height)

    def x_at(self, column: int) -> float | None:
        """The x under a column of the chart; `None` beside the curves."""
        found = x_range(self.series, self.look)
        if found is None or not self.left <= column < self.left + self.columns:
            return None
        return found[0] + (found[1] - found[0]) * (column - self.left) / max(1, self.columns - 1)

    def _draw(self, width: int, height: int) -> list[list[Cell]] | None:
        found = x_range(self.series, self.look)
        if found is None:
            return None
        first, last = found
        curves = [visible(_curve(item, self.look), first, last) for item in self.series]
        heights = finite_range([value for curve in curves for value in (*curve.ys, *curve.low, *curve.high)])
        if heights is None:
            return None
        low, high = self._padded(*heights)
        rows = height - 2
        values = (axes.log_ticks if self.look.log else axes.ticks)(low, high, max(3, min(8, rows // 3)))
        labels = axes.labels(values)
        self.left = min(9, max((len(text) for text in labels), default=0)) + 1
        self.columns = max(1, width - self.left)
        top, bottom = self._height_of(high), self._height_of(low)
        scale_x, scale_y = (self.columns * 2 - 1) / (last - first), (rows * 4 - 1) / (top - bottom)

        def place(x: float, y: float) -> tuple[float, float]:
            return (x - first) * scale_x, (top - self._height_of(y)) * scale_y

        grid = Braille(self.columns, rows)
        if self.look.smoothing:
            for item in self.series:
                if item.smooth:
                    raw = curve_of(item, x_axis=self.look.x_axis, smoothing=0, log=self.look.log)
                    _trace(grid, thinned(visible(raw, first, last), (last - first) / (self.columns * 2)), place, RAW)
        for number, curve in enumerate(curves, 1):
            _trace(grid, thinned(curve, (last - first) / (self.columns * 2)), place, number)
        cells = self._cells(grid)
        self._put_markers(cells, place, rows)
        at_row = {round(place(first, value)[1]) // 4: text for value, text in zip(values, labels, strict=True)}
        room = self.left - 1
        body = [
            [
                *((char, "label") for char in at_row.get(row, "")[:room].rjust(room)),
                ("┤" if row in at_row else "│", "axis"),
                *cells[row],
            ]
            for row in range(rows)
        ]
        return [self._legend(width), *body, self._x_labels(first, last)]

    def _padded(self, low: float, high: float) -> tuple[float, float]:
        if self.look.log:
            return (low / 1.1, high * 1.1) if high > low else (low / 2, high * 2)
        if self.look.from_zero and low >= 0:
            return 0.0, high * 1.05 or 1.0
        room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
        return low - room, high + room

    def _height_of(self, value: float) -> float:
        return math.log10(value) if self.look.log else value

    def _cells(self, grid: Braille) -> list[list[Cell]]:
        styles = {0: "text", RAW: "dim"} | {number: item.style for number, item in enumerate(self.series, 1)}
        return [
            [(grid.char(column, row), styles[grid.owners[row][column]]) for column in range(grid.width)]
            for row in range(grid.height)
        ]

    def _put_markers(self, cells: list[list[Cell]], place: Place, rows: int) -> None:
        for item in self.series:
            curve = _curve(item, self.look)
            if len(curve.xs) == 1 and math.isfinite(curve.ys[0]):
                _put(cells, place(curve.xs[0], curve.ys[0]), ("•", item.style))
        self._put_tags(cells, place)
        for marker in () if self.look.x_axis != "step" else self.markers:
            value = marker.value
            on_curve = value is not None and math.isfinite(value) and (value > 0 or not self.look.log)
            x, y = place(marker.step, value if on_curve and value is not None else 1.0)
            _put(cells, (x, y if on_curve else rows * 4 - 1), (marker.symbol, _marker_style(marker.symbol)))
        if self.look.crosshair is not None:
            column = round(place(self.look.crosshair, 1.0)[0]) // 2
            for row in cells:
                if 0 <= column < len(row) and row[column][0] == " ":
                    row[column] = ("┊", "cross")

    def _put_tags(self, cells: list[list[Cell]], place: Place) -> None:
        taken: set[tuple[int, int]] = set()
        for item in self.series:
            curve = _curve(item, self.look)
            drawn = [place(x, y) for x, y in zip(curve.xs, curve.ys, strict=True) if item.tag and math.isfinite(y)]
            ends = [(round(x) // 2, round(y) // 4) for x, y in drawn if 0 <= round(x) // 2 < self.columns]
            if not ends:
                continue
            column, row = ends[-1]
            row = max(0, min(row, len(cells) - 1))
            while (column, row) in taken and column > 0:
                column -= 1
            taken.add((column, row))
            cells[row][column] = (item.tag, item.style)

    def _legend(self, width: int) -> list[Cell]:
        look = self.look
        parts: list[tuple[str, str]] = [(" ", "label")]
        if look.crosshair is not None:
            at = fmt_duration(look.crosshair) if look.x_axis == "time" else f"step {look.crosshair:,.0f}"
            parts.append((f"{at}   ", "text"))
        for item in self.series:
            name = shorten(clean_line(item.label), 28)
            parts += [("━ ", item.style), (f"{name} ", "label"), (f"{self._value_of(item)}   ", "text")]
        for symbol, name in dict.fromkeys((marker.symbol, marker.label) for marker in self.markers):
            parts += [(symbol, _marker_style(symbol)), (f" {name}   ", "label")]
        notes = [note for note, on in (("log", look.log), (f"smoothed {look.smoothing:g}", look.smoothing)) if on]
        if len(self.series) == 1 and len(self.series[0].steps) == 1:
            notes.append("one point so far")
        if look.view is not None:
            notes.append("0 shows all")
        parts.append((", ".join(notes), "label"))
        return [(char, style) for text, style in parts for char in text][:width]

    def _value_of(self, item: ChartSeries) -> str:
        if self.look.crosshair is not None:
            found = nearest(item, self.look.crosshair, x_axis=self.look.x_axis)
            return fmt_number(found[1]) if found else ""
        return fmt_number(item.values[-1]) if item.values else ""

    def _x_labels(self, first: float, last: float) -> list[Cell]:
        most = max(2, self.columns // 12)
        if self.look.x_axis == "time":
            values = axes.time_ticks(first, last, most)
            texts, unit = axes.time_labels(values), ""
        else:
            values = [value for value in axes.ticks(first, last, most) if value == int(value)]
            texts, unit = axes.labels(values), "step"
        line = [" "] * (self.left + self.columns)
        end = 0
        for value, text in zip(values, texts, strict=True):
            at = self.left + round((value - first) / (last - first) * (self.columns - 1)) - len(text) // 2
            at = min(max(at, self.left), len(line) - len(text))
            if at >= end:
                line[at : at + len(text)] = text
                end = at + len(text) + 1
        if unit and end + len(unit) + 1 < len(line):
            line[len(line) - len(unit) :] = unit
        return [(char, "label") for char in line]

    def _why_empty(self, empty: str) -> str:
        values = [value for item in self.series for value in item.values]
        if not values:
            return empty
        if not any(math.isfinite(value) for value in values):
            return "only NaN so far"
        if self.look.log and not any(value > 0 for value in values):
            return "a log axis needs values above 0; y turns it off"
        return "no points here; 0 shows the whole range" if self.look.view else "too small to draw"


def _curve(series: ChartSeries, look: Look) -> Curve:
    return curve_of(series, x_axis=look.x_axis, smoothing=look.smoothing, log=look.log)


def _trace(grid: Braille, curve: Curve, place: Place, owner: int) -> None:
    """Draw a curve with gaps at its NaNs; where a point stands for several, an upright stroke over their extremes."""
    before: tuple[float, float] | None = None
    for x, y, low, high in zip(curve.xs, curve.ys, curve.low, curve.high, strict=True):
        if not math.isfinite(y):
            before = None
            continue
        at = place(x, y)
        if high > low and math.isfinite(high - low):
            grid.line(*place(x, low), *place(x, high), owner)
        grid.line(*(before or at), *at, owner)
        before = at


def _put(cells: list[list[Cell]], at: tuple[float, float], cell: Cell) -> None:
    column, row = round(at[0]) // 2, round(at[1]) // 4
    if 0 <= row < len(cells) and 0 <= column < len(cells[row]):
        cells[row][column] = cell


def _marker_style(symbol: str) -> str:
    return "best" if symbol == "★" else "marker"


def _in_the_middle(words: str, width: int, height: int) -> list[list[Cell]]:
    rows: list[list[Cell]] = [[] for _ in range(height)]
    if height:
        rows[height // 2] = [(char, "label") for char in shorten(words, width).center(width)]
    return rows
