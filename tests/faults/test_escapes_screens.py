"""Rows 16 and 17 on every screen and dialog: what others wrote is drawn as text, and no byte of it is a command."""

import pytest
from textual.drivers import headless_driver
from textual.drivers.headless_driver import HeadlessDriver

from tests.faults.hostile import harm_in, harm_in_stream, told
from tests.faults.hostile_home import Hostile
from tests.faults.hostile_screens import DIALOGS, PAGES, Case, every_screen
from tests.tui.conftest import Driver
from tui.app import FinetuiApp

WRITTEN: list[str] = []
HALF = len(PAGES) // 2


class Recording(HeadlessDriver):
    """Is driven by a test, and keeps what a terminal would have got."""

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        WRITTEN.append(data)


def test_row_16_every_screen_is_looked_at() -> None:
    assert every_screen() == {case.screen for case in (*PAGES, *DIALOGS)}


@pytest.mark.parametrize("cases", [PAGES[:HALF], PAGES[HALF:], DIALOGS], ids=["pages", "more pages", "dialogs"])
async def test_row_16_and_17_what_others_wrote_is_text_on_every_screen(
    hostile: Hostile, cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr(headless_driver, "HeadlessDriver", Recording)
    monkeypatch.chdir(hostile.outside)
    app = FinetuiApp(hostile.home)
    faults = []
    async with app.run_test(size=(150, 45), notifications=True) as pilot:
        driver = Driver(app, pilot)
        await driver.wait(lambda: app.is_ready)
        for case in cases:
            WRITTEN.clear()
            faults += [f"{case.screen} {case.sees}: {fault}" for fault in await looked_at(driver, hostile, case)]
            while len(app.screen_stack) > 1:
                await app.pop_screen()
    assert not faults, "\n".join(faults)


async def looked_at(driver: Driver, hostile: Hostile, case: Case) -> list[str]:
    """What is wrong with what a case shows."""
    await case.open(driver, hostile)
    place = -2 if case.screen == "ArenaScreen" else -1  # on top of the arena lies its question who votes
    await driver.wait(lambda: type(driver.app.screen_stack[place]).__name__ == case.screen)
    await driver.pilot.pause(0.05)
    try:
        await driver.sees(*map(told, case.sees))
    except AssertionError:
        shown = driver.text()
        return [f"no {[one for one in case.sees if told(one) not in shown]} in\n{shown}"]
    return harms(driver, storms=not case.edits)


def harms(driver: Driver, *, storms: bool) -> list[str]:
    """Control characters, links and foreign actions in what is on the screen; commands in what was written."""
    segments = [one for strip in driver.app.screen._compositor.render_strips() for one in strip]
    text = "".join(one.text for one in segments)
    found = [f"{one} is drawn" for one in harm_in(text, storms=storms)]
    found += [f"{one} is written" for one in harm_in_stream("".join(WRITTEN), storms=storms)]
    for one in segments:
        if one.style is not None and one.style.link:
            found.append(f"a link to {one.style.link!r}")
        if one.style is not None and "app.quit" in str(one.style.meta):
            found.append(f"an action of its own: {one.style.meta}")
    return found
