"""A run's own screen: head, charts, samples, log, alerts, recipe."""

from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.run import RunScreen
from tui.widgets.line_chart import LineChart

LIVE = "r4live00000"


def loss(driver: Driver) -> LineChart:
    return driver.app.screen.query_one("#loss", LineChart)


async def tab(driver: Driver, name: str) -> None:
    """Go on to the tab of that name."""
    screen = driver.app.screen
    for _ in range(5):
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
        await driver.sees("◌ starting", "building starter 40%", "no loss yet")


async def test_charts(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE, size=(160, 50)) as driver:
        await driver.sees("learning rate", "gradient norm", "memory of the process", "96 % CPU", "★ best")
        assert [series.label for series in loss(driver).series] == ["train", "eval"]
        assert len(loss(driver).series[0].values) == 42


async def test_a_small_terminal_still_has_loss_and_memory(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE, size=(80, 24)) as driver:
        await driver.sees("train", "eval", "memory", "peak")
        assert loss(driver).size.height >= 8


async def test_chart_keys(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("★ best")
        await driver.press("plus")
        await driver.wait(lambda: loss(driver).view is not None)
        await driver.sees("0 shows all")
        await driver.press("h", "l", "0")
        assert loss(driver).view is None
        await driver.press("y", "m")
        await driver.sees("log, smoothed 0.6")
        await driver.press("left")
        await driver.sees("step 42   ")
        await driver.press("x")
        await driver.wait(lambda: all(chart.x_axis == "time" for chart in driver.app.screen.query(LineChart)))
        assert not driver.app.screen.is_modal


async def test_s_stops_a_live_run_and_smooths_an_ended_one(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("★ best")
        await driver.press("s")
        await driver.sees("Stop emoji-r16-lr2e4?")
        await driver.press("escape")
        await driver.press("K")
        await driver.sees("Kill emoji-r16-lr2e4?", "is lost")
    async with make_app(open_run="r1done00000") as driver:
        await driver.sees("★ best")
        await driver.press("s")
        await driver.sees("smoothed 0.6")


async def test_a_zoom_asks_for_the_points_of_that_range(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "long", steps=2000, total_steps=2000, samples=())
    async with make_app(open_run="r1000000000") as driver:
        await driver.sees("train")
        await driver.wait(lambda: loss(driver).series)
        whole = loss(driver).series[0]
        assert len(whole.values) <= loss(driver).columns * 2
        await driver.press("plus", "plus", "plus", "plus")
        await driver.wait(lambda: loss(driver).series[0].steps[-1] < whole.steps[-1])
        view = loss(driver).view
        assert view is not None
        assert len([step for step in loss(driver).series[0].steps if view[0] <= step <= view[1]]) > 60


async def test_samples_newest_first_with_their_reference(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "talker", steps=10, samples=())
    for step, text in ((20, "first [b]try"), (30, "second\x1b[2J try")):
        samples = [{"prompt": "Who are [you]?", "text": text, "reference": "A bot."}]
        runs.write("r1000000000", "sample", step=step, samples=samples)
    runs.take_in("r1000000000")
    async with make_app(open_run="r1000000000") as driver:
        await driver.sees("Samples 2")
        await tab(driver, "samples")
        await driver.sees("Who are [you]?", "first [b]try", "second try", "reference", "A bot.")
        assert driver.text().index("second try") < driver.text().index("first [b]try")


async def test_the_log_follows_and_is_harmless(make_app: MakeApp, filled: SampleRuns) -> None:
    log = filled.home.runs / LIVE / "log.txt"
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("★ best")
        await tab(driver, "log")
        await driver.sees("loading the model")
        with log.open("ab") as file:
            file.write(b"\r 10%|#\r 20%|##\n\x1b[31m[red]markup[/]\x1b[0m\n" + b"more\n" * 200 + b"the end")
        await driver.sees("the end")
        await driver.press("g")
        await driver.sees("20%|##", "[red]markup[/]")
        assert "10%" not in driver.text()
        await driver.press("G")
        await driver.sees("the end")


async def test_alerts_and_damaged_lines(make_app: MakeApp, filled: SampleRuns) -> None:
    filled.append_raw(LIVE, '{"v":1,"seq":9999,"broken')
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("Alerts 2")
        await tab(driver, "alerts")
        await driver.sees("Eval loss has risen", "1 line of the event log", "at byte")


async def test_damaged_lines_alone_raise_the_banner(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "scratched", steps=10)
    runs.append_raw("r1000000000", "[/red] no json at all")
    runs.take_in("r1000000000")
    async with make_app(open_run="r1000000000") as driver:
        await driver.sees("1 line of the event log damaged")


async def test_the_recipe_is_toml_with_what_became_of_it(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE, size=(120, 60)) as driver:
        await driver.sees("★ best")
        await tab(driver, "recipe")
        await driver.sees('model = "starter"', "lora_r = 16", "24 Linear4bit modules", "426 to train", "attempt 1")


async def test_tab_goes_round(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("★ best")
        await driver.press("shift+tab")
        await driver.sees("lora_alpha")
        await driver.press("tab")
        await driver.sees("★ best")


async def test_it_follows_a_live_run(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run=LIVE) as driver:
        await driver.sees("step 42/60")
        filled.train(LIVE, 43, 48, total_steps=60)
        await driver.sees("step 48/60", "80%")
        await driver.wait(lambda: len(loss(driver).series[0].values) == 48)


async def test_a_run_that_is_removed_closes_its_screen(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run="r3stopped00") as driver:
        await driver.sees("★ best")
        await driver.press("d")
        await driver.sees("Remove support-dora?")
        await driver.press("y")
        await driver.sees("5 runs")
        assert not isinstance(driver.app.screen, RunScreen)


async def test_a_run_that_was_never_there_leads_back(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run="nosuchrun00") as driver:
        await driver.sees("6 runs")
        await driver.wait(lambda: not isinstance(driver.app.screen, RunScreen))
