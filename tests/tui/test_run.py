"""A run's own screen: head, banner, charts, tabs. What each tab shows is in test_run_tabs.py."""

import pytest

from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.run import RunScreen
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.line_chart import LineChart
from tui.widgets.run_detail import Detail

LIVE = "r4live00000"


def grid(driver: Driver) -> ChartGrid:
    return driver.app.screen.query_one(ChartGrid)


def chart(driver: Driver, name: str = "loss") -> LineChart:
    found = grid(driver).chart_of(name)
    assert found is not None
    return found


async def tab(driver: Driver, name: str) -> None:
    """Go on to the tab of that name."""
    screen = driver.app.screen
    for _ in range(7):
        if screen.query_one("TabLine").active == name:  # type: ignore[attr-defined]
            return
        await driver.press("right_square_bracket")
        await driver.pilot.pause()
    raise AssertionError(f"no tab {name}")


async def test_enter_opens_a_run_and_escape_goes_back(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("down", "down", "enter")
        await driver.sees("emoji-r16-lr2e4", "70%", "step 42/60", "27 s left")
        assert isinstance(driver.app.screen, RunScreen)
        await driver.press("escape")
        await driver.sees("6 runs")


async def test_the_head_says_how_it_is(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("⚠ training", "70%", "best", "tok/s", "qlora r16")
        await driver.sees("Eval loss has risen for 3 evaluations", "Stop it and keep step 30.")
    async with make_app(open_run="r3stopped00", size=(80, 24)) as driver:
        await driver.sees("■ stopped", "stopped; 20 steps kept", "step 33/60", "r resume")
        assert all(len(line) <= 80 for line in driver.text().splitlines())
    async with make_app(open_run="r5start0000") as driver:
        await driver.sees("◌ starting", "building starter 40%", "no points yet")


async def test_the_time_left_has_its_uncertainty(make_app: MakeApp, filled: SampleRuns) -> None:
    for left, error, words in (
        (725.0, 64.0, "12 m left ± 1 m"),
        (725.0, 30.0, "12 m left  "),
        (40.0, 6.2, "40 s left ± 6 s"),
    ):
        filled.write(
            LIVE, "metrics", step=43, total_steps=60, eta_s=left, eta_error_s=error, values={"train/loss": 1.0}
        )
        filled.take_in(LIVE)
        async with make_app(open_run=LIVE) as driver:
            await driver.sees("step 43/60")
            assert words in driver.line("step 43/60") + "  "


async def test_charts_of_all_metrics_the_loss_first(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE, size=(160, 50)) as driver:
        await driver.sees("▸ loss", "learning rate", "gradient norm", "tokens/s", "of 7 charts")
        await driver.wait(lambda: chart(driver).series)
        assert [series.label for series in chart(driver).series] == ["train", "eval"]
        assert len(chart(driver).series[0].values) == 42
        assert {marker.symbol for marker in chart(driver).markers} == {"◆", "★"}
        await driver.press("pagedown")
        await driver.sees("memory of the process", "CPU")
        await driver.wait(lambda: chart(driver, "system/rss").series)
        assert max(chart(driver, "system/rss").series[0].values) < 3  # in GB


async def test_a_small_terminal_shows_state_progress_loss_and_memory(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE, size=(80, 24)) as driver:
        await driver.sees(
            "⚠ training", "70%", "▸ loss" if len(grid(driver).shown) > 1 else "loss", "train", "eval", "memory", "peak"
        )
        assert chart(driver).size.height >= 8
        assert all(len(line) <= 80 for line in driver.text().splitlines())


async def test_chart_keys_reach_the_charts(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.wait(lambda: chart(driver).series)
        await driver.press("plus")
        await driver.wait(lambda: grid(driver).view is not None)
        await driver.press("h", "l", "0")
        await driver.wait(lambda: grid(driver).view is None)
        await driver.press("left")
        await driver.sees("step 42")
        await driver.press("x")
        assert grid(driver).x_axis == "time"
        await driver.press("f")
        await driver.wait(lambda: grid(driver).shown == ["loss"])
        await driver.press("escape")
        await driver.wait(lambda: len(grid(driver).shown) > 1)
        assert isinstance(driver.app.screen, RunScreen)


async def test_x_by_epochs_and_tokens(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "long", status="training", steps=0)
    for step in range(1, 21):
        values = {"train/loss": 3.0 - step / 10, "train/epoch": step / 10, "train/num_tokens": step * 1000.0}
        runs.write("r1000000000", "metrics", step=step, values=values)
    runs.take_in("r1000000000")
    async with make_app(open_run="r1000000000") as driver:
        await driver.wait(lambda: grid(driver).shown and chart(driver).series)
        assert grid(driver).shown == ["loss"]  # what is an axis is no chart
        scales = chart(driver).series[0].scales
        assert (scales["epoch"][1][-1], scales["tokens"][1][-1]) == (2.0, 20_000.0)
        await driver.press("x")
        assert grid(driver).x_axis == "epoch"


async def test_s_stops_a_live_run(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("★")
        await driver.press("s")
        await driver.sees("Stop emoji-r16-lr2e4?")
        await driver.press("escape")
        await driver.press("K")
        await driver.sees("Kill emoji-r16-lr2e4?", "is lost")


async def test_a_zoom_asks_for_the_points_of_that_range(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "long", steps=2000, total_steps=2000, samples=())
    async with make_app(open_run="r1000000000") as driver:
        await driver.wait(lambda: grid(driver).shown and chart(driver).series)
        whole = chart(driver).series[0]
        assert len(whole.values) <= grid(driver).columns * 2 + 200
        await driver.press("plus", "plus", "plus", "plus")
        await driver.wait(lambda: chart(driver).series[0].steps[-1] < whole.steps[-1])
        view = grid(driver).view
        assert view is not None
        assert len([step for step in chart(driver).series[0].steps if view[0] <= step <= view[1]]) > 60


async def test_tabs_go_round_and_are_made_when_opened(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE, size=(120, 50)) as driver:
        await driver.sees("★")
        assert not driver.app.screen.query("RecipePane")
        await driver.press("shift+tab")
        await driver.wait(lambda: driver.app.screen.query("LineagePane"))
        await tab(driver, "recipe")
        await driver.sees('model = "starter"')
        await driver.press("left_square_bracket", "left_square_bracket", "left_square_bracket", "left_square_bracket")
        await driver.sees("★")
        assert driver.app.screen.focused is grid(driver)


async def test_damaged_lines_alone_raise_the_banner(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "scratched", steps=10)
    runs.append_raw("r1000000000", "[/red] no json at all")
    runs.take_in("r1000000000")
    async with make_app(open_run="r1000000000") as driver:
        await driver.sees("1 line of the event log damaged", "Events 1")


async def test_it_follows_a_live_run(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("step 42/60")
        filled.train(LIVE, 43, 48, total_steps=60)
        await driver.sees("step 48/60", "80%")
        await driver.wait(lambda: len(chart(driver).series[0].values) == 48)


async def test_the_list_under_it_rests_and_is_up_to_date_again_afterwards(
    make_app: MakeApp, filled: SampleRuns
) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        listing = driver.app.screen
        await driver.press("down", "down", "enter")
        await driver.sees("step 42/60")
        assert driver.app.screen.is_current and not listing.is_current
        filled.train(LIVE, 43, 57, total_steps=60)
        await driver.sees("step 57/60")
        await driver.press("escape")
        await driver.sees("6 runs", "95%")


async def test_a_run_that_cannot_be_read_is_said_once(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def fail(*_: object) -> Detail:
        nonlocal calls
        calls += 1
        raise OSError("the disk is gone")

    async with make_app(open_run=LIVE) as driver:
        await driver.sees("step 42/60")
        screen = driver.app.screen
        monkeypatch.setattr("tui.screens.run.read_detail", fail)
        assert isinstance(screen, RunScreen)
        screen.read_again()
        await driver.sees("the disk is gone")
        await driver.press("escape")
        screen.read_again()
        await driver.wait(lambda: calls == 2)
        await driver.pilot.pause()
        assert not driver.app.screen.is_modal
        monkeypatch.undo()
        filled.train(LIVE, 43, 44, total_steps=60)
        await driver.sees("step 44/60")


async def test_a_run_that_is_removed_closes_its_screen(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run="r3stopped00") as driver:
        await driver.sees("★")
        await driver.press("d")
        await driver.sees("Remove support-dora?")
        await driver.press("y")
        await driver.sees("5 runs")
        assert not isinstance(driver.app.screen, RunScreen)


async def test_a_run_that_was_never_there_leads_back(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run="nosuchrun00") as driver:
        await driver.sees("6 runs")
        await driver.wait(lambda: not isinstance(driver.app.screen, RunScreen))
