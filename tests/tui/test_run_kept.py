"""The screen of a run is kept: as it was left for the same run, as new for another one."""

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tests.tui.test_run import chart, grid, tab
from tui.messages import OpenRun
from tui.screens import run
from tui.screens.run import TABS, RunScreen
from tui.screens.runs import RunsScreen
from tui.tracker import RunTracker
from tui.widgets.run_charts import ChartsPane
from tui.widgets.run_pane import RunPane
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from tui.services import Services

FIRST, OTHER = "r1first0000", "r2other0000"


def add_two(runs: SampleRuns) -> None:
    """A run whose every text has `FIRST` in it, and one with other texts and fewer steps."""
    said = {"prompt": "prompt-FIRST", "text": "answer-FIRST"}
    runs.add(
        FIRST,
        "name-FIRST",
        status="training",
        steps=42,
        tags=["tag-FIRST"],
        alert="alert-FIRST",
        samples=[said],
        log="log-FIRST\n",
        dataset="data-FIRST",
        seed=4242,
    )
    runs.add(OTHER, "name-other", steps=30, log="log-other\n", samples=[{"prompt": "prompt-other", "text": "other"}])


async def opened(driver: Driver, run_id: str, name: str) -> RunScreen:
    driver.app.screen.post_message(OpenRun(run_id))
    await driver.wait(lambda: isinstance(driver.app.screen, RunScreen))
    await driver.sees(name, "Lineage")
    screen = driver.app.screen
    assert isinstance(screen, RunScreen)
    return screen


async def never(_tracker: RunTracker, _services: "Services") -> None:
    """In the place of polls: what is not told once is not shown."""
    await asyncio.Event().wait()


async def left(driver: Driver) -> None:
    await driver.press("escape")
    await driver.wait(lambda: isinstance(driver.app.screen, RunsScreen))


async def test_the_same_run_is_as_it_was_left(make_app: MakeApp, runs: SampleRuns) -> None:
    add_two(runs)
    async with make_app() as driver:
        screen = await opened(driver, FIRST, "name-FIRST")
        await driver.wait(lambda: chart(driver).series)
        await driver.press("plus", "left")
        await driver.wait(lambda: grid(driver).view is not None and grid(driver).crosshair_step is not None)
        view, cross = grid(driver).view, grid(driver).crosshair_step
        await tab(driver, "log")
        await driver.sees("log-FIRST")
        await left(driver)
        assert await opened(driver, FIRST, "name-FIRST") is screen
        await driver.sees("log-FIRST")
        assert screen.query_one(TabLine).active == "log"
        assert screen.focused is screen.pane.taker
        await driver.press("left_square_bracket", "left_square_bracket")
        await driver.sees("▸ loss")
        assert (grid(driver).view, grid(driver).crosshair_step) == (view, cross)


async def test_what_happens_while_the_screen_is_made_is_shown(
    make_app: MakeApp, runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event of a run may come between the first reading and the first look: nothing would follow it."""
    add_two(runs)
    began = RunScreen._read_pane

    def read_then_told(screen: RunScreen, pane: RunPane) -> None:
        monkeypatch.setattr(RunScreen, "_read_pane", began)
        found = run._read(screen.services, screen.run_id, pane)
        runs.write(FIRST, "metrics", step=57, total_steps=60, values={"train/loss": 0.5})
        runs.take_in(FIRST)
        screen.tracker.announce(FIRST)
        screen.in_thread(lambda: found, lambda read: screen._show(pane, read), group="detail")

    monkeypatch.setattr(RunTracker, "run", never)
    monkeypatch.setattr(RunScreen, "_read_pane", read_then_told)
    async with make_app() as driver:
        await opened(driver, FIRST, "name-FIRST")
        await driver.sees("step 57/60")


async def test_what_happens_under_a_dialog_while_it_is_read_is_shown_after(
    make_app: MakeApp, runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_two(runs)
    monkeypatch.setattr(RunTracker, "run", never)
    async with make_app() as driver:
        screen = await opened(driver, FIRST, "name-FIRST")
        await driver.sees("step 42/60")
        await driver.wait(lambda: not screen._reading)
        screen._reading = True
        monkeypatch.setattr(RunScreen, "is_current", False)
        runs.write(FIRST, "metrics", step=57, total_steps=60, values={"train/loss": 0.5})
        old = run._read(screen.services, screen.run_id, screen.pane)
        runs.take_in(FIRST)
        screen.tracker.announce(FIRST)
        await driver.pilot.pause()
        screen._show(screen.pane, old)
        monkeypatch.undo()
        screen.on_screen_resume()
        await driver.sees("step 57/60")


async def test_another_run_begins_on_charts_with_nothing_of_the_first(
    make_app: MakeApp, runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_two(runs)

    def read_slowly(services: "Services", run_id: str, pane: RunPane) -> object:
        if run_id == OTHER and pane.id in ("samples", "log"):
            time.sleep(0.4)
        return read(services, run_id, pane)

    read = run._read
    monkeypatch.setattr(run, "_read", read_slowly)
    async with make_app(size=(160, 50)) as driver:
        screen = await opened(driver, FIRST, "name-FIRST")
        await driver.wait(lambda: chart(driver).series)
        await driver.press("plus", "left")
        await driver.wait(lambda: grid(driver).view is not None and grid(driver).crosshair_step is not None)
        for name in TABS:
            await tab(driver, name)
            await driver.wait(lambda: screen.pane.display)
        await left(driver)
        driver.app.screen.post_message(OpenRun(OTHER))
        await driver.wait(lambda: driver.app.screen is screen)
        seen = [driver.text()]
        assert screen.query_one(TabLine).active == "charts"
        assert (grid(driver).view, grid(driver).crosshair_step) == (None, None)
        await driver.sees("name-other")
        await driver.wait(lambda: chart(driver).series and len(chart(driver).series[0].values) == 30)
        for name in TABS:  # the panes of the first run are there yet when the first of these keys comes
            await tab(driver, name)
            for _ in range(4):
                seen.append(driver.text())
                await asyncio.sleep(0.02)
            if name in ("log", "samples"):
                await driver.sees("log-other" if name == "log" else "prompt-other")
            seen.append(driver.text())
        assert [text for text in seen if "FIRST" in text or "4242" in text] == []


async def test_panes_of_the_run_before_are_taken_away(make_app: MakeApp, runs: SampleRuns) -> None:
    add_two(runs)
    async with make_app() as driver:
        screen = await opened(driver, FIRST, "name-FIRST")
        await tab(driver, "samples")
        await driver.sees("prompt-FIRST")
        before = set(screen.query(RunPane)) - {screen.query_one("#charts")}
        await left(driver)
        await opened(driver, OTHER, "name-other")
        await driver.wait(lambda: screen.query("#samples") and not before & set(screen.query(RunPane)))


async def test_a_run_that_is_gone_is_not_opened(make_app: MakeApp, runs: SampleRuns) -> None:
    add_two(runs)
    async with make_app() as driver:
        screen = await opened(driver, OTHER, "name-other")
        await left(driver)
        driver.app.services.manager.remove(OTHER)
        for gone in (OTHER, "nosuchrun00"):
            driver.app.screen.post_message(OpenRun(gone))
            await driver.pilot.pause()
            await driver.wait(lambda: not screen.run_id and isinstance(driver.app.screen, RunsScreen))
        await opened(driver, FIRST, "name-FIRST")


async def test_what_changed_while_it_was_hidden_is_shown(make_app: MakeApp, runs: SampleRuns) -> None:
    add_two(runs)
    async with make_app() as driver:
        screen = await opened(driver, FIRST, "step 42/60")
        await driver.press("2")
        await driver.wait(lambda: driver.app.current_mode == "datasets")
        runs.train(FIRST, 43, 57, total_steps=60)
        await driver.wait(lambda: screen._missed)
        driver.app.screen.set_focus(None)
        await driver.press("1")
        await driver.sees("step 57/60", "95%")
        await left(driver)
        runs.train(FIRST, 58, 59, total_steps=60)
        await driver.sees("98%")
        await opened(driver, FIRST, "step 59/60")


async def test_the_next_tab_is_built_ahead(make_app: MakeApp, runs: SampleRuns) -> None:
    add_two(runs)
    async with make_app() as driver:
        screen = await opened(driver, FIRST, "name-FIRST")
        await driver.wait(lambda: screen.query("#samples"))
        assert not screen.query_one("#samples").display
        assert not screen.query("#log")
        await tab(driver, "samples")
        await driver.wait(lambda: screen.query("#log"))
        await driver.sees("prompt-FIRST")


async def test_its_devices_are_not_looked_at_while_the_app_ends(make_app: MakeApp, runs: SampleRuns) -> None:
    add_two(runs)
    async with make_app() as driver:
        screen = await opened(driver, FIRST, "step 42/60")
        charts = screen.query_one(ChartsPane)
        assert charts.is_on_screen
        stack = driver.app._screen_stack
        kept = list(stack)
        stack.clear()
        charts._look()
        stack.extend(kept)
