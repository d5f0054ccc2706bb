"""What hidden screens keep: their styles until another theme is chosen, and modes that were there before."""

from functools import partial

import pytest
from textual.app import App

from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.messages import OpenRun
from tui.modes import AT_ONCE_S
from tui.screens.run import RunScreen

Colours = set[tuple[str, str]]


def colours(driver: Driver) -> Colours:
    """Text and background of everything below the header and above the key bar."""
    strips = driver.app.screen._compositor.render_strips()
    styles = [segment.style for strip in strips[1:-1] for segment in strip if segment.style and segment.text.strip()]
    return {(style.color.name if style.color else "", style.bgcolor.name if style.bgcolor else "") for style in styles}


async def drawn(driver: Driver) -> None:
    """Wait until what is drawn stays as it is: some of it comes from threads."""
    seen: list[Colours] = []

    def same() -> bool:
        seen.append(colours(driver))
        return len(seen) > 20 and all(one == seen[-1] for one in seen[-20:])

    await driver.wait(same)


async def shows_run(driver: Driver) -> None:
    driver.app.screen.post_message(OpenRun("r3stopped00"))
    await driver.wait(lambda: isinstance(driver.app.screen, RunScreen))
    await driver.sees("support-dora", "★")
    await drawn(driver)


async def goes(driver: Driver, key: str, mode: str) -> None:
    driver.app.screen.set_focus(None)
    await driver.press(key)
    await driver.wait(lambda: driver.app.current_mode == mode)


async def test_a_theme_chosen_elsewhere_shows_on_a_hidden_screen(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(theme="finetui-light") as driver:
        await driver.sees("emoji-next")
        await drawn(driver)
        light_list = colours(driver)
        await shows_run(driver)
        light_run = colours(driver)
    async with make_app(theme="finetui-dark") as driver:
        await driver.sees("emoji-next")
        await drawn(driver)
        dark_list = colours(driver)
        assert not dark_list & light_list
        await shows_run(driver)
        await goes(driver, "2", "datasets")
        driver.app.theme = "finetui-light"
        await driver.pilot.pause()
        await goes(driver, "1", "runs")
        await driver.wait(lambda: colours(driver) == light_run)
        await driver.press("escape")
        await driver.wait(lambda: colours(driver) == light_list)
        driver.app.theme = "finetui-dark"  # the run's screen is in no stack of screens now
        await driver.wait(lambda: colours(driver) == dark_list)
        await shows_run(driver)
        assert not colours(driver) & light_run


async def test_a_mode_that_was_there_before_is_shown_at_once(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    delay_update = App.delay_update

    def noted(self: App[object], delay: float = 0.05) -> None:
        delays.append(delay)
        delay_update(self, delay)

    monkeypatch.setattr(App, "delay_update", noted)
    async with make_app() as driver:
        await driver.sees("emoji-next")
        delays.clear()
        for key, mode in (("2", "datasets"), ("6", "queue")):
            await goes(driver, key, mode)
        assert min(delays) > AT_ONCE_S  # being built
        delays.clear()
        for key, mode in (("1", "runs"), ("2", "datasets"), ("6", "queue"), ("1", "runs")):
            await goes(driver, key, mode)
            await driver.wait(partial(_is_shown, driver))
        assert delays
        assert max(delays) <= AT_ONCE_S


def _is_shown(driver: Driver) -> bool:
    return not driver.app._batch_count


async def test_a_preview_that_was_put_off_is_there_on_coming_back(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.screens.run_list.PREVIEW_S", 0.3)
    async with make_app() as driver:
        await driver.sees("emoji-next", "no loss yet", "step 0")
        await driver.press("down", "down")
        await goes(driver, "2", "datasets")
        await driver.pilot.pause(0.5)
        await goes(driver, "1", "runs")
        await driver.sees("step 42/60")
