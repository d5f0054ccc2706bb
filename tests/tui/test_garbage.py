"""Screens that were left leave nothing behind."""

import gc

import pytest
from textual._styles_cache import StylesCache

from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tui import garbage


def drawn() -> int:
    """How many widgets' lines are kept, among what is no garbage."""
    gc.collect()
    return sum(isinstance(one, StylesCache) for one in gc.get_objects())


async def test_screens_that_were_left_take_their_lines_with_them(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "SETTLED_S", 3600.0)  # what is taken for permanent is not counted
    async with make_app() as driver:
        await driver.sees("emoji-next")
        garbage.let_go_of_what_was_drawn()
        before = 0
        for turn in range(6):
            await driver.press("question_mark")
            await driver.sees("Help: Runs")
            await driver.press("escape")
            await driver.sees("emoji-next")
            if turn == 1:
                before = drawn()
        await driver.wait(lambda: drawn() <= before + 5)
