"""The charts of a comparison. The keys stay with the table below them, and reach the charts through the screen."""

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.binding import Binding

from tui.widgets.chart_grid import ChartGrid

if TYPE_CHECKING:
    from typing import Self


class OverlayGrid(ChartGrid, can_focus=False):
    """One chart a metric over all runs. Where charts would take the keys, `KEYS_TO` of its screen gets them."""

    KEYS_TO = "CompareTable"

    def focus(self, scroll_visible: bool = True) -> "Self":
        self.screen.query_one(self.KEYS_TO).focus(scroll_visible)
        return self


def chart_bindings() -> list[Binding]:
    """The keys of charts, for a screen whose `action_chart` hands them on; and keys of their own to go from chart to
    chart, for ↑ and ↓ are the table's."""
    found = [
        replace(binding, action=f"chart({binding.action!r})")
        for binding in ChartGrid.BINDINGS
        if isinstance(binding, Binding)
    ]
    found += [
        Binding("J,shift+down", "chart('move(1)')", "next chart", id="compare.next_chart", show=False),
        Binding("K,shift+up", "chart('move(-1)')", "previous chart", id="compare.previous_chart", show=False),
    ]
    return found
