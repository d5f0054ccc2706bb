"""A line chart in braille: pan, zoom, axes, smoothing, a crosshair that reads values; by calls and by mouse."""

from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.message import Message
from textual.widget import Widget

from tui.widgets.chart_canvas import INKS, INKS_CSS, ChartCanvas
from tui.widgets.chart_data import ChartSeries, Marker, points_of
from tui.widgets.chart_look import SMOOTHING, x_range
from tui.widgets.chart_scales import finite

__all__ = ["ChartSeries", "LineChart", "Marker", "SoloChart"]

NARROWEST = 1e-9
"""The smallest visible range, as a share of the numbers on the axis."""


class LineChart(ChartCanvas):
    """A chart that one can move about in. It has no keys of its own: a screen or a `ChartGrid` calls its actions."""

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
        """Without `interactive` the mouse does nothing."""
        super().__init__(id=id, classes=classes, empty=empty, from_zero=from_zero)
        self.interactive = interactive
        self._dragged_from: tuple[int, tuple[float, float]] | None = None
        self._dragged = False

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


class SoloChart(LineChart):
    """A chart that is on no board, with colours of its own."""

    DEFAULT_CSS = f"""
    SoloChart {{ {INKS_CSS} }}
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = INKS

    @property
    def palette(self) -> Widget:
        return self
