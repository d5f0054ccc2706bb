"""Charts as one uses them: by key and by mouse, one of them and many."""

import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Self

import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.events import MouseScrollUp
from textual.geometry import Region
from textual.pilot import Pilot

from tui.themes import series_colors
from tui.widgets.chart_data import ChartSeries, Marker
from tui.widgets.chart_filter import ChartFilter
from tui.widgets.chart_grid import ChartContent, ChartGrid
from tui.widgets.line_chart import LineChart, SoloChart

STEPS = list(range(1, 101))
FALLING = [3.0 - step / 50 for step in STEPS]
TIMES = [1e9 + 60 * step for step in STEPS]
SCALES = {"epoch": ([0, 100], [0.0, 3.0]), "tokens": ([0, 100], [0.0, 2e6])}


def falling(label: str = "train") -> ChartSeries:
    return ChartSeries(label, STEPS, FALLING, times=TIMES, began=1e9, scales=SCALES)


CHARTS = {
    "loss": "loss",
    "grad_norm": "gradient norm",
    "learning_rate": "learning rate",
    "tokens_per_s": "tokens/s",
    "gpu0/memory": "gpu0 memory",
    "gpu0/power": "gpu0 power",
    "system/cpu": "CPU",
}


class GridApp(App[None]):
    """A grid with the colours that the real app gives its themes. Reads at once what the grid wants."""

    def __init__(self, count: int = 4, charts: Mapping[str, str] = CHARTS) -> None:
        super().__init__()
        self.charts = charts
        self.count = count
        self.wanted: list[tuple[list[str], tuple[float, float] | None]] = []
        self.crossed: list[float | None] = []
        self.contents = {
            name: ChartContent([falling()], [Marker(50, "◆", "checkpoint"), Marker(100, "★", "best", 1.0)])
            for name in charts
        }

    def compose(self) -> ComposeResult:
        yield ChartGrid(count=self.count)

    def on_mount(self) -> None:
        self.grid.set_charts(self.charts)
        self.grid.focus()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return series_colors(dark=True)

    @property
    def grid(self) -> ChartGrid:
        return self.query_one(ChartGrid)

    @on(ChartGrid.Wanted)
    def _read(self, event: ChartGrid.Wanted) -> None:
        self.wanted.append((event.grid.shown, event.grid.view))
        event.grid.show({name: self.contents[name] for name in event.grid.shown})

    @on(ChartGrid.CrossMoved)
    def _crossed(self, event: ChartGrid.CrossMoved) -> None:
        self.crossed.append(event.grid.crosshair_step)

    def chart(self, name: str = "loss") -> LineChart:
        chart = self.grid.chart_of(name)
        assert chart is not None
        return chart

    def lines(self, name: str = "loss") -> list[str]:
        chart = self.chart(name)
        return [chart.render_line(row).text for row in range(chart.size.height)]

    def words(self, selector: str) -> str:
        widget = self.grid.query_one(selector)
        return "".join(widget.render_line(row).text for row in range(widget.size.height))

    @property
    def all_charts(self) -> list[LineChart]:
        return [chart for name in self.grid.shown if (chart := self.grid.chart_of(name))]


@asynccontextmanager
async def running(app: GridApp, size: tuple[int, int] = (120, 36)) -> AsyncIterator[Pilot[None]]:
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield pilot


async def test_the_grid_asks_for_what_it_shows_and_shows_it() -> None:
    app = GridApp()
    async with running(app) as pilot:
        assert app.wanted[-1] == (["loss", "grad_norm", "learning_rate", "tokens_per_s"], None)
        legend = app.lines()[0]
        assert "▸ loss" in legend and "━ train 1.000" in legend
        assert "▸" not in app.lines("grad_norm")[0] and "gradient norm" in app.lines("grad_norm")[0]
        assert sum(line.count("★") for line in app.lines()[1:]) == 1
        asked = len(app.wanted)
        app.grid.set_charts(CHARTS)
        app.grid.show(app.contents)
        await pilot.pause()
        assert len(app.wanted) == asked  # nothing is new, nothing is read


async def test_zoom_pan_and_reset_are_those_of_all_charts() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("plus")
        view = app.grid.view
        assert view is not None and view[1] - view[0] == pytest.approx(50)
        assert {chart.view for chart in app.all_charts} == {view}
        assert app.wanted[-1][1] == view
        assert "0 shows all" in app.lines()[0]
        await pilot.press("h")
        panned = app.grid.view
        assert panned is not None and panned[0] < view[0]
        await pilot.press("h", "h", "h", "h")
        assert app.grid.view is not None and app.grid.view[0] == 0  # not beyond the first point
        await pilot.press("0")
        assert {chart.view for chart in app.all_charts} == {None}
        assert app.wanted[-1][1] is None


async def test_zooming_out_after_the_range_was_read_anew_goes_by_steps() -> None:
    app = GridApp(1)
    async with running(app) as pilot:
        await pilot.press("plus", "plus", "plus")
        narrow = app.grid.view
        assert narrow is not None
        inside = [step for step in STEPS if narrow[0] <= step <= narrow[1]]
        app.grid.show({"loss": ChartContent([ChartSeries("train", inside, [1.0 + step for step in inside])])})
        await pilot.press("minus")
        assert app.grid.view == pytest.approx(
            (narrow[0] - (narrow[1] - narrow[0]) / 2, narrow[1] + (narrow[1] - narrow[0]) / 2)
        )
        await pilot.press("minus", "minus")
        assert app.grid.view is None


async def test_the_x_axis_keeps_what_one_looks_at() -> None:
    app = GridApp(1)
    async with running(app) as pilot:
        await pilot.press("plus", "left")
        steps, cross = app.grid.view, app.grid.crosshair_step
        assert steps is not None
        for axis, words in (("epoch", "epoch"), ("time", " m"), ("tokens", "tokens"), ("step", "step")):
            await pilot.press("x")
            assert app.grid.x_axis == axis
            assert app.grid.view == pytest.approx(steps)
            assert app.grid.crosshair_step == cross
            assert words in app.lines()[-1]
            assert "◆" in "".join(app.lines()[1:])


async def test_an_axis_that_a_chart_does_not_know_leaves_it_with_steps() -> None:
    app = GridApp(2)
    app.contents["grad_norm"] = ChartContent([ChartSeries("x", STEPS, FALLING)])
    async with running(app) as pilot:
        await pilot.press("plus", "x", "left")
        assert "epoch" in app.lines()[-1] and "step" in app.lines("grad_norm")[-1]
        assert app.chart("grad_norm").view == pytest.approx(app.grid.view)
        assert app.chart("grad_norm").crosshair == app.grid.crosshair_step


async def test_a_chart_that_is_not_read_yet_does_not_lead_the_range_astray() -> None:
    app = GridApp(1)
    async with running(app) as pilot:
        await pilot.press("x", "x", "plus")
        steps = app.grid.view
        app.contents["grad_norm"] = ChartContent([])
        await pilot.press("j")
        assert app.wanted[-1] == (["grad_norm"], steps)
        await pilot.press("j")
        assert app.wanted[-1] == (["learning_rate"], steps)
        assert app.chart("learning_rate").step_view == pytest.approx(steps)


async def test_an_axis_that_no_chart_knows_is_passed_over() -> None:
    app = GridApp(1)
    app.contents["loss"] = ChartContent([ChartSeries("x", STEPS, FALLING, scales={"tokens": SCALES["tokens"]})])
    async with running(app) as pilot:
        await pilot.press("x")
        assert app.grid.x_axis == "tokens"
        await pilot.press("x")
        assert app.grid.x_axis == "step"


async def test_the_crosshair_goes_from_point_to_point_in_all_charts() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("left")
        assert app.grid.crosshair_step == 100
        await pilot.press("shift+left", "shift+left")
        step = app.grid.crosshair_step
        assert step
        assert 40 < step < 80
        assert {chart.crosshair for chart in app.all_charts} == {step}
        for name in app.grid.shown:
            assert f"step {step:.0f}" in app.lines(name)[0]
            assert f"{3.0 - step / 50:.3f}" in app.lines(name)[0]
            assert "┊" in "".join(app.lines(name))
        assert app.crossed[-1] == step
        await pilot.press("0")
        assert app.grid.crosshair_step is None and app.crossed[-1] is None


async def test_the_crosshair_reaches_points_that_are_far_apart() -> None:
    app = GridApp(1)
    app.contents["loss"] = ChartContent([ChartSeries("eval", [1, 50, 1000], [3.0, 2.0, 1.0])])
    async with running(app) as pilot:
        seen = []
        for _ in range(4):
            await pilot.press("left")
            seen.append(app.grid.crosshair_step)
        assert seen == [1000, 50, 1, 1]


async def test_lowest_and_highest_point_curve_after_curve() -> None:
    app = GridApp(1)
    values = [2.0] * 100
    values[69], values[29] = 0.5, math.nan
    app.contents["loss"] = ChartContent(
        [falling(), ChartSeries("eval", STEPS, values, high=[*values[:9], 9.0, *values[10:]])]
    )
    async with running(app) as pilot:
        await pilot.press("less_than_sign")
        assert app.grid.crosshair_step == 70
        await pilot.press("less_than_sign")
        assert app.grid.crosshair_step == 100
        await pilot.press("less_than_sign")
        assert app.grid.crosshair_step == 70
        await pilot.press("greater_than_sign")
        assert app.grid.crosshair_step == 10  # a spike between the points that were read


async def test_log_is_of_one_chart_and_smoothing_of_all() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("y", "m")
        assert app.grid.log_scale
        assert "log, smoothed 0.6" in app.lines()[0]
        assert "log" not in app.lines("grad_norm")[0] and "smoothed 0.6" in app.lines("grad_norm")[0]
        await pilot.press("j")
        assert not app.grid.log_scale
        await pilot.press("k", "y", "m", "m", "m")
        assert "log" not in app.lines()[0] and app.grid.smoothing == 0


async def test_more_and_fewer_charts() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("G")
        assert len(app.grid.shown) == 6
        await pilot.press("G", "G")
        assert app.grid.shown == list(CHARTS)
        assert app.wanted[-1][0] == list(CHARTS)
        right = max(chart.region.right for chart in app.all_charts)
        assert app.all_charts[-1].region.right == right  # the last row has no hole
        await pilot.press(*"ggggggg")
        assert app.grid.shown == ["loss"]
        assert "▸" not in app.lines()[0]


async def test_a_small_terminal_has_as_many_as_can_be_read() -> None:
    app = GridApp(9)
    async with running(app, (50, 12)):
        assert 1 < len(app.grid.shown) <= 4
        assert all(chart.size.height >= 5 and chart.size.width >= 24 for chart in app.all_charts)
        assert "page 1 of" in app.words(".more")


async def test_the_cursor_pages_through_all_charts() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("j", "j", "j", "j")
        assert app.grid.cursor == "gpu0/memory" and "gpu0/memory" in app.grid.shown
        assert app.wanted[-1][0] == app.grid.shown
        await pilot.press("pageup")
        assert app.grid.shown[0] == "loss"
        await pilot.press("pagedown")
        assert app.grid.shown[-1] == "system/cpu"
        await pilot.press(*["up"] * 9)
        assert app.grid.cursor == "loss"


async def test_a_pinned_chart_stays_on_every_page() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("j", "p")
        assert app.grid.pinned == ["grad_norm"]
        assert app.grid.shown == ["grad_norm", "loss", "learning_rate", "tokens_per_s"]
        assert "⚑ gradient norm" in app.lines("grad_norm")[0]
        await pilot.press("pagedown")
        assert app.grid.shown[0] == "grad_norm" and app.grid.shown[-1] == "system/cpu"
        await pilot.press("home", *["k"] * 9, "p")
        assert app.grid.pinned == [] and app.grid.shown[0] == "loss"


async def test_the_filter_follows_what_is_typed() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("slash", *"gpu")
        await pilot.pause()
        assert app.grid.shown == ["gpu0/memory", "gpu0/power"]
        assert app.wanted[-1][0] == app.grid.shown
        await pilot.press(*"zz")
        await pilot.pause()
        assert app.grid.shown == []
        assert "no chart matches “gpuzz”; esc shows all 7" in app.words(".none")
        await pilot.press("backspace", "backspace", "enter")
        await pilot.pause()
        assert app.focused is app.grid and app.grid.pattern == "gpu"
        await pilot.press("plus")
        assert app.grid.view is not None
        await pilot.press("escape")
        await pilot.pause()
        assert app.grid.pattern == "" and len(app.grid.shown) == 4
        assert not app.query_one(ChartFilter).display


async def test_escape_leaves_the_filter_and_takes_it_away() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("slash", *"cpu", "escape")
        await pilot.pause()
        assert app.focused is app.grid and app.grid.pattern == "" and len(app.grid.shown) == 4


async def test_full_screen_and_back() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("j", "f")
        await pilot.pause()
        assert app.grid.shown == ["grad_norm"]
        assert app.chart("grad_norm").size.width >= 118
        assert app.screen.maximized is app.grid
        await pilot.press("j")
        assert app.grid.shown == ["learning_rate"] and app.wanted[-1][0] == ["learning_rate"]
        await pilot.press("escape")
        await pilot.pause()
        assert not app.grid.full and app.screen.maximized is None
        assert len(app.grid.shown) == 4 and app.grid.cursor == "learning_rate"
        await pilot.press("f", "f")
        assert not app.grid.full


async def test_the_mouse_zooms_pans_reads_and_opens() -> None:
    app = GridApp()
    async with running(app) as pilot:
        chart = app.chart("grad_norm")
        await pilot.click(chart, offset=(30, 5))
        assert app.grid.cursor == "grad_norm"
        step = app.grid.crosshair_step
        assert step is not None and 30 < step < 70
        chart.post_message(scrolled_up(chart, 30, 5))
        await pilot.pause()
        zoomed = app.grid.view
        assert zoomed is not None and zoomed[0] < step < zoomed[1]
        await pilot.mouse_down(chart, offset=(20, 5))
        await pilot.hover(chart, offset=(30, 5))
        await pilot.mouse_up(chart, offset=(30, 5))
        dragged = app.grid.view
        assert dragged is not None and dragged[0] < zoomed[0]
        assert app.grid.crosshair_step == step  # a drag is no click
        await pilot.click(chart, offset=(30, 5), times=2)
        await pilot.pause()
        assert app.grid.full and app.grid.shown == ["grad_norm"]


def scrolled_up(chart: LineChart, x: int, y: int) -> MouseScrollUp:
    return MouseScrollUp(chart, x, y, 0, -1, 0, False, False, False)


async def test_charts_that_come_and_go_keep_the_cursor() -> None:
    app = GridApp()
    async with running(app) as pilot:
        await pilot.press("j", "j")
        app.contents["new"] = app.contents["loss"]
        app.grid.set_charts({"loss": "loss", "new": "new", "learning_rate": "learning rate"})
        await pilot.pause()
        assert app.grid.cursor == "learning_rate" and app.grid.shown == ["loss", "new", "learning_rate"]
        app.grid.set_charts({"loss": "loss"})
        await pilot.pause()
        assert app.grid.cursor == "loss"
        app.grid.set_charts({})
        await pilot.pause()
        assert app.grid.shown == [] and app.grid.columns > 0 and app.grid.view is None
        await pilot.press("plus", "left", "x", "y", "m", "p", "f", "j", "pagedown", "G", "less_than_sign")


async def test_no_metrics_yet_says_what_comes() -> None:
    app = GridApp(charts={})
    async with running(app):
        assert "charts appear with the first point" in app.words(".none")


class Counting(SoloChart):
    """Counts the cells that it asks to be painted."""

    painted = 0

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        self.painted += sum(region.area for region in regions) if regions else self.size.area
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


class CountingApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Counting()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return series_colors(dark=True)


async def test_a_new_point_repaints_little_and_an_old_one_nothing() -> None:
    steps = list(range(1, 111))  # the axis ends at 110: one more point would move it
    values = [2.0 + math.sin(step / 9) for step in steps]
    app = CountingApp()
    async with app.run_test(size=(120, 36)) as pilot:
        chart = app.query_one(Counting)
        chart.set_series([ChartSeries("train", steps[:-1], values[:-1])])
        await pilot.pause()
        await pilot.pause()
        chart.painted = 0
        chart.set_series([ChartSeries("train", steps, values)])
        await pilot.pause()
        assert 0 < chart.painted < chart.size.area / 8
        chart.painted = 0
        chart.set_series([ChartSeries("train", list(steps), list(values))])
        await pilot.pause()
        assert chart.painted == 0


async def test_what_is_on_the_terminal_is_what_is_drawn() -> None:
    """Painting everything anew changes nothing, whatever was done before."""

    def painted() -> list[str]:
        return [strip.text for chart in app.all_charts for strip in chart.render_lines(chart.size.region)]

    app = GridApp(2)
    async with running(app) as pilot:
        for keys in (["plus"], ["left"], ["shift+left", "l"], ["x"], ["y", "m"], ["j"], ["0"]):
            await pilot.press(*keys)
            before = painted()
            for chart in app.all_charts:
                chart.refresh()
            assert painted() == before, keys


async def test_keys_that_come_faster_than_messages() -> None:
    app = GridApp()
    async with running(app) as pilot:
        app.grid.action_zoom(0.5)
        app.grid.action_cross(-1)
        steps = app.grid.view
        app.grid.action_x_axis()
        app.grid.action_move(1)
        await pilot.pause()
        assert steps is not None
        assert app.grid.view == pytest.approx(steps)
        assert app.chart("grad_norm").step_view == pytest.approx(steps)
        app.grid.action_reset()
        await pilot.pause()
        assert {(chart.view, chart.crosshair) for chart in app.all_charts} == {(None, None)}


@pytest.mark.parametrize("seed", [0, 9])
async def test_whatever_is_done_all_charts_show_the_same_range(seed: int) -> None:
    """Any acts in any order, also while charts come, go and grow."""
    dice = random.Random(seed)
    app = GridApp()
    async with running(app, (100, 30)) as pilot:
        grid = app.grid
        acts: list[Callable[[], object]] = [
            lambda: grid.action_zoom(dice.choice([0.5, 2.0])),
            lambda: grid.action_pan(dice.choice([-1, 1])),
            lambda: grid.action_cross(dice.choice([-10, -1, 1, 10])),
            lambda: grid.action_extreme(dice.random() < 0.5),
            lambda: grid.action_move(dice.choice([-1, 1, 5])),
            lambda: grid.action_turn(dice.choice([-1, 1])),
            lambda: grid.action_more(dice.choice([-1, 1])),
            lambda: grid.set_charts({name: name for name in CHARTS if dice.random() < 0.8}),
            lambda: grid.show({name: random_content(dice) for name in grid.shown}),
            *(grid.action_x_axis, grid.action_log, grid.action_smooth, grid.action_pin, grid.action_full),
            *([grid.action_reset] if dice.random() < 0.5 else []),
        ]
        for _ in range(12):
            for act in dice.choices(acts, k=4):
                act()
            await pilot.pause()
            alike = [chart for chart in app.all_charts if chart.axis == grid.x_axis]
            assert len({(chart.view, chart.whole, chart.crosshair) for chart in alike}) <= 1
            assert grid.cursor in grid.shown or not grid.shown
            view = grid.view
            assert view is None or view[0] < view[1]
        assert app.is_running


def random_content(dice: random.Random) -> ChartContent:
    count = dice.choice([0, 1, 2, 30, 300])
    values = [dice.choice([math.nan, math.inf, dice.gauss(0, 10), dice.gauss(0, 1e-9)]) for _ in range(count)]
    scales = {name: SCALES[name] for name in SCALES if dice.random() < 0.5}
    series = ChartSeries("x", range(1, count + 1), values, times=[1e9 + step for step in range(count)], scales=scales)
    return ChartContent([series][: dice.randint(0, 3)], [Marker(dice.randint(0, 400), "◆", "checkpoint")])
