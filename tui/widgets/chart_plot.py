"""Draws a chart as lines of text, each with the names of its colours. No widget and no theme in here."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby

from tui.text import shorten
from tui.widgets import axes
from tui.widgets.braille import CHARS, Braille
from tui.widgets.chart_data import (
    ChartSeries,
    Curve,
    Marker,
    Reading,
    curve_of,
    finite_range,
    points_of,
    read_at,
    thinned,
    visible,
)
from tui.widgets.chart_legend import Span, legend, marker_style, x_labels
from tui.widgets.chart_look import Look, x_range
from tui.widgets.chart_scales import finite, reference, x_at

Line = list[Span]

LEAST_WIDTH, LEAST_HEIGHT = 16, 3
FAR = 1e9
"""Dots further off than this are drawn as if they were here: the line there has the same direction."""
NO_NUMBER = Marker(0, "×", "NaN or infinite")


class Plot:
    """A drawn chart. The curves begin at column `left` and take `columns`; `lines` adds the crosshair cheaply."""

    def __init__(
        self,
        series: Sequence[ChartSeries],
        markers: Sequence[Marker],
        look: Look,
        width: int,
        height: int,
        empty: str = "",
    ) -> None:
        self.series = series
        self.look = look
        self.width = width
        self.left = 0
        self.columns = max(1, width)
        self.x_range = x_range(series, look)
        self.y_range: tuple[float, float] | None = None
        self._markers: list[Marker] = []
        self._raw = [curve_of(item, x_axis=look.axis, log=look.log) for item in series]
        self._drawn = False
        if width >= LEAST_WIDTH and height >= LEAST_HEIGHT:
            self._drawn = self._draw(markers, height - 2)
        self._words = [] if self._drawn else self._instead(empty, height)

    def lines(self, crosshair: float | None = None) -> list[Line]:
        """The chart's lines, at most as wide as it; with a crosshair at an x, and what is read there."""
        if not self._drawn:
            return self._words
        column = None if crosshair is None else self._column(crosshair)
        crossed: dict[tuple[int, int], Span] = {}
        if crosshair is not None and column is not None:
            for item, reading in zip(self.series, self._read(crosshair), strict=True):
                if reading is not None and not reading.away and self._shows(reading.value):
                    crossed[round(self._place(reading.x, reading.value)[1]) // 4, column] = ("•", item.style)
        body = [[*self._margins[row], *self._body(row, column, crossed)] for row in range(self._grid.height)]
        return [self._legend(crosshair), *body, self._x_labels]

    def x_of(self, column: int) -> float | None:
        """The x under a column of the chart; `None` beside the curves."""
        if not self._drawn or not self.left <= column < self.left + self.columns:
            return None
        return self._first + (column - self.left + 0.25) * 2 / self._scale_x

    def _draw(self, markers: Sequence[Marker], rows: int) -> bool:
        look = self.look
        if self.x_range is None:
            return False
        self._first, last = self.x_range
        if not last > self._first:
            return False
        raw = [visible(curve, self._first, last) for curve in self._raw]
        heights = finite_range(
            [value for curve in raw for column in (curve.ys, curve.low, curve.high) for value in column]
        )
        if heights is None:
            return False
        self.y_range = low, high = self._bounds(*heights)
        values = (axes.log_ticks if look.log else axes.ticks)(low, high, min(8, 3 + rows // 6))
        texts = axes.labels(values)
        self.left = min(9, max((len(text) for text in texts), default=0)) + 1
        self.columns = max(1, self.width - self.left)
        self._top, bottom = self._height_of(high), self._height_of(low)
        self._scale_x = (self.columns * 2 - 1) / (last - self._first)
        self._scale_y = (rows * 4 - 1) / (self._top - bottom)
        self._grid = Braille(self.columns, rows)
        self._draw_curves(raw, last)
        self._markers = [marker for marker in map(self._on_axis, markers) if self._column(marker.step) is not None]
        self._over = self._symbols(raw)
        self._margins = self._labelled(dict(zip(values, texts, strict=True)), rows)
        self._x_labels = x_labels(look.axis, self._first, last, self.left, self.columns)
        return True

    def _bounds(self, low: float, high: float) -> tuple[float, float]:
        if self.look.log:
            first, last = axes.rounded(*axes.around(math.log10(low), math.log10(high)))
            return 10.0 ** max(first, -300.0), 10.0 ** min(last, 300.0)
        low, high = axes.around(min(0.0, low) if self.look.from_zero else low, high)
        return axes.rounded(low, high)

    def _draw_curves(self, raw: Sequence[Curve], last: float) -> None:
        """Bands and, where curves are smoothed, the raw ones first; then the curves, the last series on top."""
        dot = (last - self._first) / (self.columns * 2)
        curves = [thinned(curve, dot) for curve in raw]
        for number, (item, curve) in enumerate(zip(self.series, curves, strict=True)):
            self._draw_band(curve, 2 * number + 1)
            if self._smoothed(item):
                self._trace(curve, 2 * number + 1)
        for number, item in enumerate(self.series):
            curve = curves[number]
            if self._smoothed(item):
                whole = curve_of(item, x_axis=self.look.axis, smoothing=self.look.smoothing, log=self.look.log)
                curve = thinned(visible(whole, self._first, last), dot)
            self._trace(curve, 2 * number + 2)

    def _smoothed(self, item: ChartSeries) -> bool:
        return bool(self.look.smoothing) and item.smooth

    def _draw_band(self, curve: Curve, owner: int) -> None:
        stroke = self._grid.stroke
        bottoms, tops = self._down(curve.low), self._down(curve.high)
        for x, bottom, top in zip(self._across(curve.xs), bottoms, tops, strict=True):
            if -FAR < top < bottom < FAR:
                stroke(round(x), round(top), round(bottom), owner)

    def _trace(self, curve: Curve, owner: int) -> None:
        """Draw a curve with gaps at its NaNs."""
        line = self._grid.line
        left, above = 0.0, math.nan
        for x, y in zip(self._across(curve.xs), self._down(curve.ys), strict=True):
            if y == y:
                line(*((left, above) if above == above else (x, y)), x, y, owner)
            left, above = x, y

    def _across(self, xs: Sequence[float]) -> list[float]:
        """Dots from the left."""
        first, scale = self._first, self._scale_x
        return [min(max((x - first) * scale, -FAR), FAR) for x in xs]

    def _down(self, ys: Sequence[float]) -> list[float]:
        """Dots from the top; NaN stays."""
        top, scale = self._top, self._scale_y
        if self.look.log:
            ys = [math.log10(y) if y > 0 else math.nan for y in ys]
        return [(top - y) * scale for y in ys]

    def _place(self, x: float, y: float) -> tuple[float, float]:
        """The dot of a point."""
        across = (x - self._first) * self._scale_x
        down = (self._top - self._height_of(y)) * self._scale_y
        return min(max(across, -FAR), FAR), min(max(down, -FAR), FAR)

    def _height_of(self, value: float) -> float:
        return math.log10(value) if self.look.log else value

    def _shows(self, value: float) -> bool:
        return finite(value) and (value > 0 or not self.look.log)

    def _column(self, x: float) -> int | None:
        """The column of an x; `None` outside of the curves."""
        if not finite(x):
            return None
        across = (x - self._first) * self._scale_x
        return round(across) // 2 if -0.5 <= across < self.columns * 2 - 0.5 else None

    def _on_axis(self, marker: Marker) -> Marker:
        scale = reference(self.series, self.look.axis)
        x = marker.step if self.look.axis == "step" else x_at(scale, marker.step) if scale else math.nan
        return Marker(x, marker.symbol, marker.label, marker.value)

    def _symbols(self, raw: Sequence[Curve]) -> dict[tuple[int, int], Span]:
        """What lies over the curves: lone points, letters at the ends, markers, crosses where there is no number."""
        over: dict[tuple[int, int], Span] = {}
        bottom = self._grid.height - 1
        for item in self.series:
            broken = [point.x for point in points_of(item, self.look.axis) if not finite(point.value)]
            columns = {column for x in broken if (column := self._column(x)) is not None}
            over |= {(bottom, column): (NO_NUMBER.symbol, "bad") for column in columns}
            if columns and NO_NUMBER not in self._markers:
                self._markers.append(NO_NUMBER)
        for item, curve in zip(self.series, raw, strict=True):
            self._put_alone(over, item, curve)
        for item, curve in zip(self.series, raw, strict=True):
            self._put_tag(over, item, curve)
        for marker in self._markers:
            column = self._column(marker.step)
            if marker is not NO_NUMBER and column is not None:
                row = bottom
                if marker.value is not None and self._shows(marker.value):
                    row = min(max(round(self._place(marker.step, marker.value)[1]) // 4, 0), bottom)
                over[row, column] = (marker.symbol, marker_style(marker.symbol))
        return over

    def _put_alone(self, over: dict[tuple[int, int], Span], item: ChartSeries, curve: Curve) -> None:
        """A point without neighbours is one dot, too little to see."""
        if sum(value == value for value in curve.ys) == 1:
            x, y = next((x, y) for x, y in zip(curve.xs, curve.ys, strict=True) if y == y)
            column = self._column(x)
            if column is not None:
                over[round(self._place(x, y)[1]) // 4, column] = ("•", item.style)

    def _put_tag(self, over: dict[tuple[int, int], Span], item: ChartSeries, curve: Curve) -> None:
        """The series' letter at its visible end, beside those that are there already."""
        for x, y in reversed(list(zip(curve.xs, curve.ys, strict=True)) if item.tag else []):
            column = self._column(x)
            if y == y and column is not None:
                row = min(max(round(self._place(x, y)[1]) // 4, 0), self._grid.height - 1)
                letters = item.tag[: self.columns]
                column = max(column, len(letters) - 1)
                while column >= len(letters) and any((row, column - back) in over for back in range(len(letters))):
                    column -= 1
                for back, letter in enumerate(reversed(letters)):
                    over[row, column - back] = (letter, item.style)
                return

    def _labelled(self, texts: dict[float, str], rows: int) -> list[Line]:
        """The y-axis: a label where there is a tick."""
        at_row = {round(self._place(self._first, value)[1]) // 4: text for value, text in texts.items()}
        room = self.left - 1
        return [
            [(at_row.get(row, "")[:room].rjust(room), "label"), ("┤" if row in at_row else "│", "axis")]
            for row in range(rows)
        ]

    def _body(self, row: int, crosshair: int | None, crossed: dict[tuple[int, int], Span]) -> Line:
        chars = [CHARS[mask] for mask in self._grid.masks[row]]
        names = [self._names[owner] for owner in self._grid.owners[row]]
        if crosshair is not None and chars[crosshair] == " ":
            chars[crosshair], names[crosshair] = "┊", "cross"
        for (at, column), (char, name) in (*self._over.items(), *crossed.items()):
            if at == row:
                chars[column], names[column] = char, name
        spans, start = [], 0
        for name, group in groupby(names):
            end = start + len(list(group))
            spans.append(("".join(chars[start:end]), name))
            start = end
        return spans

    @cached_property
    def _names(self) -> list[str]:
        """The colour of each owner of dots: nobody, then each series' band and curve."""
        return ["text", *(name for item in self.series for name in (f"{item.style}-soft", item.style))]

    @cached_property
    def _points(self) -> list[list[Reading]]:
        return [points_of(item, self.look.axis) for item in self.series]

    def _read(self, crosshair: float | None) -> list[Reading | None]:
        if crosshair is None:
            return [points[-1] if points else None for points in self._points]
        return [read_at(points, crosshair, 2 / self._scale_x) for points in self._points]

    def _legend(self, crosshair: float | None) -> Line:
        crossed = None
        if crosshair is not None:
            found = [reading for reading in self._read(crosshair) if reading is not None]
            closest = min(found, key=lambda reading: abs(reading.x - crosshair), default=None)
            crossed = (crosshair, closest.step if closest else crosshair)
        return legend(self.series, self._read(crosshair), self._markers, self.look, crossed, self.width)

    def _instead(self, empty: str, height: int) -> list[Line]:
        """Words where there is nothing to draw, below the title."""
        rows: list[Line] = [[] for _ in range(height)]
        if height:
            rows[height // 2] = [(shorten(self._why_empty(empty), self.width).center(self.width), "label")]
        if height > 1 and self.look.title:
            rows[0] = legend([], [], [], self.look, None, self.width)
        return rows

    def _why_empty(self, empty: str) -> str:
        values = [value for item in self.series for value in item.values]
        if not values:
            return empty
        if not any(finite(value) for value in values):
            return "only NaN so far"
        if self.look.log and not any(value > 0 for value in values):
            return "a log axis needs values above 0; y turns it off"
        return "no points here; 0 shows the whole range" if self.look.view else "too small to draw"
