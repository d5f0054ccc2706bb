"""Curves of several runs in one chart, each with its letter at its end: readable without colours."""

import math
from collections.abc import Callable

from tui.widgets.chart_data import curve_of
from tui.widgets.line_chart import Cell, LineChart


class OverlayChart(LineChart):
    """A chart whose series are labelled `A name`, `B name` …"""

    def _draw_markers(
        self, cells: list[list[Cell]], place: Callable[[float, float], tuple[float, float]], rows: int, columns: int
    ) -> None:
        super()._draw_markers(cells, place, rows, columns)
        taken: set[tuple[int, int]] = set()
        for item in self.series:
            curve = curve_of(item, by_time=self.by_time, smoothing=self.smoothing, log=self.log_scale)
            drawn = [place(x, y) for x, y in zip(curve.xs, curve.ys, strict=True) if math.isfinite(y)]
            ends = [(round(x) // 2, round(y) // 4) for x, y in drawn if 0 <= round(x) // 2 < columns]
            if not ends:
                continue
            column, row = ends[-1]
            row = max(0, min(row, rows - 1))
            while (column, row) in taken and column > 0:
                column -= 1
            taken.add((column, row))
            cells[row][column] = (item.label[:1], self._style(item.style))
