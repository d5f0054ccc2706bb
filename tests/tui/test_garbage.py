"""Screens that were left leave nothing behind."""

import gc

from textual._styles_cache import StylesCache

from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tui import garbage


def drawn() -> int:
    """How many widgets' lines are kept, among what is no garbage."""
    gc.collect()
    return sum(isinstance(one, StylesCache) for one in gc.get_objects())


async def test_screens_that_were_left_take_their_lines_with_them(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        garbage.let_go_of_what_was_drawn()
        counts = []
        for _ in range(6):
            await driver.press("question_mark")
            await driver.sees("Help: Runs")
            await driver.press("escape")
            await driver.sees("emoji-next")
            counts.append(drawn())
        assert counts[-1] <= counts[1] + 5, counts
