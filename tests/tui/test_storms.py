"""What a terminal and what others write may do to the screens that show runs: sizes, colours, bytes, markup."""

import unicodedata

import pytest

from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.messages import CompareRuns, OpenRun

EVIL = "\x1b]52;c;aGk=\x07\x1b[31m\x9b2J[red]a[/] [/ [@click=app.quit]b\x00"
SHOWN = "[red]a[/] [/ [@click=app.quit]b"
SIZES = ((1, 1), (500, 200), (2, 60), (300, 1), (7, 3), (80, 24), (33, 11), (200, 60), (120, 36))


async def shown_by(driver: Driver, screen: str) -> None:
    """Go to one of the screens that show runs."""
    if screen == "live":
        await driver.press("v")
    elif screen == "costs":
        await driver.press("dollar_sign")
    elif screen == "compare":
        driver.app.screen.post_message(CompareRuns(["r1evil00000", "r2evil00000"]))
        await driver.wait(lambda: driver.app.current_mode == "compare")
    elif screen != "list":
        driver.app.screen.post_message(OpenRun("r1evil00000"))
        await driver.sees("Lineage")
        await driver.press(*["right_square_bracket"] * ("charts", "samples", "log", "events", "recipe").index(screen))


@pytest.fixture
def evil(runs: SampleRuns) -> SampleRuns:
    """Two runs whose every text was written by somebody who means harm."""
    sample = {"prompt": f"prompt {EVIL}", "text": f"answer {EVIL}", "reference": EVIL}
    for run_id, status in (("r1evil00000", "training"), ("r2evil00000", "succeeded")):
        runs.add(run_id, f"n{EVIL}", status=status, alert=f"alert {EVIL}", samples=[sample], log=f"log {EVIL}\n")
        runs.store.runs.set_note(run_id, EVIL)
        runs.store.runs.add_tag(run_id, EVIL)
    return runs


@pytest.mark.parametrize(
    "screen", ["list", "live", "costs", "compare", "charts", "samples", "log", "events", "recipe"], ids=str
)
async def test_row_16_and_17_what_others_wrote_is_shown_as_text(
    make_app: MakeApp, evil: SampleRuns, screen: str
) -> None:
    async with make_app(size=(200, 60)) as driver:
        await driver.sees("2 runs")
        await shown_by(driver, screen)
        if screen not in ("costs", "recipe"):
            await driver.sees(SHOWN[:14])
        assert driver.app.is_running
        bad = [one for one in driver.text() if unicodedata.category(one) == "Cc" and one != "\n"]
        assert bad == []


@pytest.mark.parametrize("screen", ["list", "live", "costs", "compare", "charts", "samples", "log", "events"], ids=str)
async def test_row_15_a_storm_of_sizes_ends_in_the_right_picture(
    make_app: MakeApp, evil: SampleRuns, screen: str
) -> None:
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("2 runs")
        await shown_by(driver, screen)
        for width, height in SIZES:
            await driver.pilot.resize_terminal(width, height)
        await driver.wait(lambda: len(driver.text().splitlines()) == 36)
        assert all(len(line) <= 120 for line in driver.text().splitlines())
        await driver.sees("finetui")
