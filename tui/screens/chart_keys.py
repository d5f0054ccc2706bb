"""The keys of a chart, the same on every screen that has one. The screen turns them into its `action_chart`."""

from textual.binding import Binding

CHART_KEYS = [
    Binding("h", "chart('pan', -1)", "pan left", id="chart.left", show=False),
    Binding("l", "chart('pan', 1)", "pan right", id="chart.right", show=False),
    Binding("plus,equals_sign", "chart('zoom', 0.5)", "zoom in", id="chart.in", show=False, key_display="+"),
    Binding("minus", "chart('zoom', 2.0)", "zoom out", id="chart.out", show=False, key_display="-"),
    Binding("0", "chart('reset')", "whole range", id="chart.reset", show=False),
    Binding("x", "chart('x_axis')", "step or time", id="chart.x", show=False),
    Binding("y", "chart('log')", "logarithmic axis", id="chart.log", show=False),
    Binding("s", "chart('smooth')", "smoothing", id="chart.smooth", show=False),
    Binding("left", "chart('cross', -1)", "crosshair left", id="chart.cross_left", show=False),
    Binding("right", "chart('cross', 1)", "crosshair right", id="chart.cross_right", show=False),
    Binding("shift+left", "chart('cross', -10)", "crosshair far left", id="chart.cross_far_left", show=False),
    Binding("shift+right", "chart('cross', 10)", "crosshair far right", id="chart.cross_far_right", show=False),
]
