"""Curves of several runs in one chart, each with its letter at its end: readable without colours."""

from collections.abc import Sequence
from dataclasses import replace

from tui.widgets.line_chart import ChartSeries, LineChart, Marker


class OverlayChart(LineChart):
    """A chart whose series are labelled `A name`, `B name` …"""

    def set_series(self, series: Sequence[ChartSeries], markers: Sequence[Marker] = ()) -> None:
        super().set_series([replace(item, tag=item.label[:1]) for item in series], markers)
