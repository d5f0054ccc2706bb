"""The screen that lays runs over each other."""

import re

import pytest
from textual.widgets import Input

from store import Store
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.messages import CompareRuns
from tui.widgets.lanes import short_names
from tui.widgets.overlay import OverlayChart

OLD, NEW, LIVE = "r1old000000", "r2new000000", "r3live00000"


@pytest.fixture
def three(runs: SampleRuns) -> SampleRuns:
    """Two runs that are done, the newer one better, and one that trains."""
    runs.add(OLD, "emoji-r8", age_s=9_000, start_loss=9.0, learning_rate=1e-4, lora_r=8)
    runs.add(NEW, "emoji-r16", age_s=8_000, start_loss=1.0)
    runs.add(LIVE, "emoji-live", age_s=60, status="training", steps=20, start_loss=3.0)
    return runs


async def compare(driver: Driver, *run_ids: str) -> None:
    driver.app.screen.post_message(CompareRuns(run_ids))
    await driver.sees("what differs")


async def test_says_who_is_better_by_how_much_and_what_differs(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.sees("emoji-r16 is better by", "differs in lora_r and learning_rate")
        assert "★" in driver.line("B ━ emoji-r16 ")
        assert "baseline" in driver.line("A ━ emoji-r8 ")
        assert re.search(r" -\d\.\d+ ", driver.line("B ━ emoji-r16 "))
        assert driver.line("learning_rate  ").split() == ["learning_rate", "1e-4", "2e-4"]
        assert driver.line("lora_r  ").split() == ["lora_r", "8", "16"]
        assert "lora_alpha" not in driver.text()


async def test_marked_runs_come_from_the_list(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-live")
        await driver.press("space", "j", "space", "c")
        await driver.sees("A ━ emoji-live", "B ━ emoji-r8")
        assert driver.app.current_mode == "compare"
        assert "emoji-r16" not in driver.text()


async def test_opened_with_nothing_chosen_it_takes_the_two_newest_with_points(
    make_app: MakeApp, three: SampleRuns
) -> None:
    three.add("r4queue0000", "waiting", status="queued", age_s=5)
    async with make_app() as driver:
        await driver.press("4")
        await driver.sees("A ━ emoji-live", "B ━ emoji-r16")
        assert "waiting" not in driver.text()


async def test_a_run_is_added_by_typing_a_part_of_its_name(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.press("a")
        await driver.wait(lambda: driver.app.screen.query(Input))
        assert "emoji-r8" not in "\n".join(
            line for line in driver.text().splitlines() if "✓" in line and "eval" in line
        )
        await driver.type("live")
        await driver.press("enter")
        await driver.sees("C ━ emoji-live", "is best by")


async def test_leaving_a_run_out_keeps_the_letters_and_the_run(
    make_app: MakeApp, three: SampleRuns, store: Store
) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW, LIVE)
        await driver.press("d")
        await driver.sees_no("emoji-r8")
        assert "B ━ emoji-r16" in driver.text() and "C ━ emoji-live" in driver.text()
        assert "baseline" in driver.line("B ━ emoji-r16")
        assert store.runs.get(OLD) is not None
        await driver.press("d")
        await driver.sees("needs a second run", "C ━ emoji-live")
        await driver.press("d")
        await driver.sees("Nothing to compare")
        await driver.press("a")
        await driver.sees("Add a run")
        await driver.press("enter")
        await driver.sees("A ━ emoji-live", "needs a second run")


async def test_the_baseline_moves(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.press("j", "b")
        await driver.wait(lambda: "baseline" in driver.line("B ━ emoji-r16"))
        assert re.search(r" \+\d\.\d+ ", driver.line("A ━ emoji-r8"))


async def test_the_curves_change_by_key(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        chart = driver.app.screen.query_one(OverlayChart)
        assert [len(item.steps) for item in chart.series] == [6, 6]
        await driver.press("right_square_bracket")
        await driver.wait(lambda: [len(item.steps) for item in chart.series] == [60, 60])
        await driver.press("m")
        await driver.wait(lambda: max(chart.series[0].values) < 1e-3)
        await driver.press("m", "m")
        await driver.sees("no accuracy was recorded")
        await driver.press("left_square_bracket", "left_square_bracket", "left_square_bracket", "left_square_bracket")
        await driver.wait(lambda: [len(item.steps) for item in chart.series] == [6, 6])


async def test_curves_carry_their_letters_and_the_legend_their_names(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        legend = driver.line("━ A ")
        assert "A r8" in legend and "B r16" in legend
        plot = driver.text().splitlines()
        plot = plot[plot.index(legend) + 1 : plot.index(driver.line("Δ eval")) - 1]
        assert any("A" in line for line in plot) and any("B" in line for line in plot)


async def test_a_live_run_grows(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, NEW, LIVE)
        chart = driver.app.screen.query_one(OverlayChart)
        await driver.wait(lambda: [len(item.steps) for item in chart.series] == [6, 2])
        before = driver.line("━ emoji-live")
        three.train(LIVE, 21, 40, total_steps=60)
        await driver.wait(lambda: [len(item.steps) for item in chart.series] == [6, 4])
        await driver.wait(lambda: driver.line("━ emoji-live") != before)


async def test_what_happened_meanwhile_is_there_on_coming_back(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, NEW, LIVE)
        chart = driver.app.screen.query_one(OverlayChart)
        await driver.wait(lambda: [len(item.steps) for item in chart.series] == [6, 2])
        await driver.press("1")
        await driver.sees("20/60")
        three.train(LIVE, 21, 40, total_steps=60)
        await driver.sees("40/60")
        await driver.press("4")
        await driver.wait(lambda: [len(item.steps) for item in chart.series] == [6, 4])


async def test_the_crosshair_puts_its_values_into_the_table(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.press("m")
        chart = driver.app.screen.query_one(OverlayChart)
        await driver.wait(lambda: [len(item.steps) for item in chart.series] == [60, 60])
        await driver.press("left", "shift+left", "shift+left")
        await driver.sees("at 4")
        at = re.search(r"at (\d+)", driver.line("Δ eval"))
        assert at is not None
        value = chart.series[0].values[list(chart.series[0].steps).index(int(at[1]))]
        assert f" {value:.3f} " in driver.line("A ━ emoji-r8")
        await driver.press("0")
        await driver.sees_no("at 4")


async def test_enter_opens_the_run(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.press("j", "enter")
        await driver.sees("Samples", "emoji-r16")
        assert driver.app.current_mode == "runs"


async def test_says_what_to_do_where_there_is_nothing_or_one_run(make_app: MakeApp, runs: SampleRuns) -> None:
    async with make_app((80, 24)) as driver:
        await driver.press("4")
        await driver.sees("Nothing to compare yet", "Press 3")
        runs.add(OLD, "the-only-one")
        await driver.sees("the-only-one", "needs a second run: a adds one")
        runs.add(NEW, "the-second-one")
        await driver.sees("the-second-one", "is better by")


async def test_hostile_names_are_shown_as_text(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add(OLD, "[bold red]x[/]\x1b[31m\x07")
    runs.add(NEW, "[link=a]other", target_modules=["[b]q_proj", "v"])
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.sees("[bold red]x[/]", "[link=a]other", "[b]q_proj, v")
        assert "\x1b" not in driver.text() and "\x07" not in driver.text()


async def test_more_runs_than_letters_and_a_run_that_is_gone(make_app: MakeApp, runs: SampleRuns) -> None:
    for number in range(9):
        runs.add(f"r{number}many00000", f"run-{number}-of-a-sweep", learning_rate=(number + 1) * 1e-4, steps=10)
    async with make_app((80, 24)) as driver:
        await compare(driver, "gone0000000", *(f"r{number}many00000" for number in range(8)))
        await driver.sees("B ━ run-0", "H ━ run-6")
        assert "run-7" not in driver.text()
        assert driver.line("learning_rate  ").split() == ["learning_rate", "1e-4"], (
            "the baseline alone, for the others do not fit"
        )
        await driver.press("j")
        await driver.wait(lambda: driver.line("learning_rate  ").split() == ["learning_rate", "1e-4", "2e-4"])


def test_short_names_leave_out_the_common_beginning() -> None:
    assert short_names(["emoji-r16-lr2", "emoji-r8-lr1"]) == ["r16-lr2", "r8-lr1"]
    assert short_names(["alone-1"]) == ["alone-1"]
    assert short_names(["run", "run-2"]) == ["run", "run-2"]
    assert short_names(["same", "same"]) == ["same", "same"]
