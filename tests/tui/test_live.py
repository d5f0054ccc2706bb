"""The overview of live runs: what a card says, which comes first, what happens when one ends."""

import math
from dataclasses import replace

import pytest
from rich.cells import cell_len

from store.records import FindingRow
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.live import LiveScreen
from tui.widgets.live_card import HIGH, LOW, LiveRun, card, card_height
from tui.widgets.live_list import LiveList
from tui.widgets.sparkline import spark


def names(driver: Driver) -> list[str]:
    return [live.run.name for live in driver.app.screen.query_one(LiveList).runs]


def add_live(runs: SampleRuns, count: int) -> None:
    for number in range(count):
        runs.add(f"r{number}live00000", f"live-{number}", status="training", steps=20 + number, age_s=500 + number)


async def test_nothing_at_work_says_what_to_do(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "ended")
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("ended")
        await driver.press("v")
        await driver.sees("Nothing is at work", "Press 3 to launch a run")
        await driver.press("escape")
        await driver.sees("ended")


async def test_a_card_for_each_live_run(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("emoji-next")
        await driver.press("v")
        await driver.sees("2 at work · 1 to look at · 1 waiting", "building starter 40%", "step 42/60")
        assert names(driver) == ["emoji-r16-lr2e4", "starter-first-try", "emoji-next"]
        run = filled.store.runs.get("r4live00000")
        assert run is not None
        assert f"loss {run.metrics['train/loss'].last:.3f}" in driver.text()
        assert "Eval loss has risen for 3 evaluations" in driver.text()
        assert "27 s left" in driver.text()


async def test_a_live_run_moves_on_and_stays_when_it_ends(make_app: MakeApp, runs: SampleRuns) -> None:
    add_live(runs, 2)
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("live-1")
        await driver.press("v")
        await driver.sees("2 at work", "33%")
        runs.train("r0live00000", 21, 54, total_steps=60)
        await driver.sees("90%")
        runs.write("r0live00000", "end", status="failed", reason="the disk is full", code="disk_full")
        await driver.sees("✗ disk full", "1 at work · 1 to look at · 1 ended")
        assert names(driver) == ["live-0", "live-1"]
        await driver.press("escape")
        await driver.sees("2 runs")
        await driver.press("v")
        await driver.sees("1 at work")
        assert names(driver) == ["live-1"]


async def test_what_was_found_out_comes_first_and_the_cursor_stays(make_app: MakeApp, runs: SampleRuns) -> None:
    add_live(runs, 3)
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("live-2")
        await driver.press("v")
        await driver.sees("3 at work")
        assert names(driver) == ["live-0", "live-1", "live-2"]
        await driver.press("j")
        cards = driver.app.screen.query_one(LiveList)
        assert cards.highlighted is not None
        assert cards.highlighted.run.name == "live-1"
        body = {"title": "Diverged after step 12: loss 1.2, now 8.9"}
        row = FindingRow("r2live00000", "divergence", "error", 12, 1.0, None, body)
        await driver.wait(lambda: driver.app.services.manager)
        runs.store.findings.replace("r2live00000", [row])
        driver.app.tracker.announce("r2live00000")
        await driver.sees("⚠ diverges", "Diverged after step 12")
        assert names(driver) == ["live-2", "live-0", "live-1"]
        assert cards.highlighted.run.name == "live-1"


async def test_enter_opens_and_marks_are_compared(make_app: MakeApp, runs: SampleRuns) -> None:
    add_live(runs, 3)
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("live-2")
        await driver.press("v")
        await driver.sees("3 at work")
        await driver.press("space", "space")
        await driver.wait(lambda: driver.text().count("✱") == 2)
        await driver.press("escape")
        await driver.sees_no("✱")
        await driver.press("enter")
        await driver.wait(lambda: not isinstance(driver.app.screen, LiveScreen))
        await driver.sees("Samples")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
async def test_eight_cards_are_on_one_screen(make_app: MakeApp, runs: SampleRuns, size: tuple[int, int]) -> None:
    add_live(runs, 8)
    async with make_app(size=size) as driver:
        await driver.sees("live-0")
        await driver.press("v")
        await driver.sees(*(f"live-{number}" for number in range(8)))
        assert all(len(line) <= size[0] for line in driver.text().splitlines())


async def test_a_card_that_did_not_change_is_not_drawn_again(make_app: MakeApp, runs: SampleRuns) -> None:
    add_live(runs, 3)
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("live-2")
        await driver.press("v")
        await driver.sees("3 at work")
        cards = driver.app.screen.query_one(LiveList)
        before = [cards._card(place) for place in range(3)]
        runs.train("r1live00000", 22, 25, total_steps=60)
        await driver.sees("step 25/60")
        assert [cards._card(place) is before[place] for place in range(3)] == [True, False, True]


@pytest.mark.parametrize("width", [1, 20, 47, 60, 80, 120, 300])
@pytest.mark.parametrize("height", range(LOW, HIGH + 1))
def test_cards_fill_any_size(runs: SampleRuns, width: int, height: int) -> None:
    run = runs.add("r1000000000", "表" * 40 + "[/red]", status="evaluating", steps=12)
    for warning in ("", "⚠ something is wrong " * 20):
        lines = card(LiveRun(run, (3.0, math.nan, 1.0, math.inf), warning), width, height)
        assert len(lines) == height
        assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)


def test_a_stalled_run_is_warned_of_as_the_list_does(runs: SampleRuns) -> None:
    run = replace(runs.add("r1000000000", "quiet", status="training", steps=12), stalled=1.0)
    lines = card(LiveRun(run, (), "its worker says nothing"), 100, HIGH)
    tones = {text: tone for line in lines for text, tone in line}
    assert tones["its worker says nothing"] == tones["⚠ stalled"] == "look"


def test_a_card_without_figures_has_no_hole(runs: SampleRuns) -> None:
    run = runs.add("r1000000000", "early", status="queued", steps=0)
    words = ["".join(text for text, _ in line).strip() for line in card(LiveRun(run), 100, HIGH)]
    assert all(words[:3]) and not any(words[3:])


def test_the_height_of_cards() -> None:
    assert card_height(20, 8) == LOW
    assert card_height(32, 8) == 4
    assert card_height(60, 1) == HIGH
    assert card_height(0, 0) == LOW


class TestSpark:
    def test_a_falling_curve_falls(self) -> None:
        assert spark([8, 7, 6, 5, 4, 3, 2, 1], 4) == ["⠉⠒⠤⣀"]

    def test_what_is_not_finite_is_a_gap_and_bounds_nothing(self) -> None:
        with_gap = spark([2.0, math.inf, 1.0, 1.0], 2)
        assert with_gap != spark([2.0, 2.0, 1.0, 1.0], 2)
        assert spark([math.nan] * 9, 3) == ["   "]
        assert spark([], 3, 2) == ["   ", "   "]

    @pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 5000])
    def test_any_number_of_values_fills_the_cells(self, count: int) -> None:
        lines = spark([float(number % 17) for number in range(count)], 12, 3)
        assert [len(line) for line in lines] == [12, 12, 12]

    def test_huge_values_do_not_overflow(self) -> None:
        assert spark([1e308, -1e308, 1e308] * 40, 8)[0].strip()
