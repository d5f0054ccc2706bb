"""The charts of a screen: a board of them with its keys, by key and by mouse."""

from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.widget import Widget

from tui.widgets.chart_board import ChartBoard, ChartContent
from tui.widgets.chart_filter import ChartFilter
from tui.widgets.chart_grid_keys import GRID_KEYS
from tui.widgets.chart_order import STEPS
from tui.widgets.chart_scales import AXES, axes_of
from tui.widgets.line_chart import LineChart

__all__ = ["ChartContent", "ChartGrid"]


class ChartGrid(ChartBoard, can_focus=True):
    """Charts of which at most `count` are on the screen. Owns the keys of all of them.

    Tell it which charts there are (`set_charts`), read those in `shown` at `columns` and `view` whenever it says
    `Wanted`, and give it what was read (`show`).
    """

    BINDINGS: ClassVar[list[BindingType]] = GRID_KEYS
    ALLOW_MAXIMIZE = True

    def on_mount(self) -> None:
        self.watch(self.screen, "maximized", self._maximized, init=False)

    def on_resize(self, event: events.Resize) -> None:
        self._order.follow(self._room)
        self._arrange()

    def watch_count(self) -> None:
        self._order.follow(self._room)
        self._arrange()

    def watch_full(self, full: bool) -> None:
        if not self.is_mounted:
            return
        if full:
            self.screen.maximize(self, container=False)
        elif self.screen.maximized is self:
            self.screen.minimize()
        self._order.follow(self._room)
        self._arrange()
        self.refresh_bindings()

    def _maximized(self, widget: Widget | None) -> None:
        """Textual takes Esc itself while a widget is maximized."""
        if self.full and widget is not self:
            self.full = False

    def watch_smoothing(self, smoothing: float) -> None:
        for chart in self._charts:
            chart.smoothing = smoothing

    def watch_x_axis(self, axis: str) -> None:
        """Show another axis; what is seen of the curves stays the same."""
        if not self.is_mounted:
            return
        for chart in self._charts:
            chart.x_axis = axis
        self._place_look()
        self._share()

    @on(LineChart.ViewChanged)
    def _view_changed(self, event: LineChart.ViewChanged) -> None:
        event.stop()
        self._take(event.chart)
        self._arrange()

    @on(LineChart.CrossMoved)
    def _cross_moved(self, event: LineChart.CrossMoved) -> None:
        event.stop()
        self._take(event.chart)
        self.post_message(self.CrossMoved(self))

    @on(LineChart.Picked)
    def _picked(self, event: LineChart.Picked) -> None:
        event.stop()
        place = self._charts.index(event.chart)
        if place < len(self.shown):
            self._order.cursor = self.shown[place]
            self._arrange()
            if event.twice:
                self.full = not self.full

    @on(ChartFilter.Changed)
    def _filtered(self, event: ChartFilter.Changed) -> None:
        event.stop()
        self._order.pattern = event.pattern
        self._order.follow(self._room)
        self._arrange()

    @on(ChartFilter.Left)
    def _filter_left(self, event: ChartFilter.Left) -> None:
        event.stop()
        self.focus()

    # Keys

    def action_pan(self, direction: int) -> None:
        self._chart.action_pan(direction)
        self._take(self._chart)

    def action_zoom(self, factor: float) -> None:
        self._chart.action_zoom(factor)
        self._take(self._chart)

    def action_reset(self) -> None:
        self._chart.action_reset()
        self._take(self._chart)

    def action_cross(self, columns: int) -> None:
        self._chart.action_cross(columns)
        self._take(self._chart)

    def action_extreme(self, highest: bool) -> None:
        self._chart.action_extreme(highest)
        self._take(self._chart)

    def action_x_axis(self) -> None:
        """The next axis that any chart on the screen knows."""
        known = axes_of(item for chart in self._charts[: len(self.shown)] for item in chart.series)
        after = AXES[AXES.index(self.x_axis) + 1 :]
        self.x_axis = next((axis for axis in after if axis in known), "step")

    def action_log(self) -> None:
        if self._order.cursor:
            self._logs ^= {self._order.cursor}
            self._fill()

    def action_smooth(self) -> None:
        self._chart.action_smooth()
        self.smoothing = self._chart.smoothing

    def action_move(self, places: int) -> None:
        self._order.move(places, 1 if self.full else self._room)
        self._arrange()

    def action_turn(self, pages: int) -> None:
        if self.full:
            self.action_move(pages)
            return
        self._order.turn(pages, self._room)
        self._arrange()

    def action_more(self, places: int) -> None:
        near = min(range(len(STEPS)), key=lambda index: abs(STEPS[index] - self.count))
        self.count = STEPS[min(max(near + places, 0), len(STEPS) - 1)]

    def action_pin(self) -> None:
        if self._order.pin():
            self._order.follow(self._room)
            self._arrange()
            self.post_message(self.PinsChanged(self))

    def action_filter(self) -> None:
        self.query_one(ChartFilter).start()

    def action_full(self) -> None:
        if self._order.cursor:
            self.full = not self.full

    def action_leave(self) -> None:
        """All charts again: the pattern goes."""
        self.query_one(ChartFilter).clear()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "leave":  # from the full screen Textual does it
            return bool(self._order.pattern)
        return True
