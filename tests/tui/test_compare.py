"""The screen that lays runs over each other."""

import re
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.home import Home
from store import Store
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.messages import CompareRuns
from tui.screens.compare_dialogs import file_name, kind_of
from tui.widgets.compare_samples import CompareSamples
from tui.widgets.compare_table import CompareTable
from tui.widgets.lanes import Eyes, letter_of, short_names
from tui.widgets.line_chart import LineChart
from tui.widgets.overlay import OverlayGrid
from tui.widgets.parallel import ParallelPlot
from tui.widgets.settings_diff import SettingsDiff

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
    await driver.sees("Curves ", "tokens/s" if driver.app.size.width > 80 else "eval loss")
    await driver.wait(lambda: table_of(driver).count == len(run_ids))


async def says(driver: Driver, *words: str) -> None:
    """Wait until that is on the screen, broken over lines or not."""
    await driver.wait(lambda: all(word in " ".join(driver.text().split()) for word in words))


def table_of(driver: Driver) -> CompareTable:
    return driver.app.screen.query_one(CompareTable)


async def test_says_what_changed_what_it_did_and_what_differs(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await says(driver, "emoji-r8 → emoji-r16: lora_r 8 → 16 and learning_rate 1e-4 → 2e-4; eval loss ", "better by")
        assert "★" in driver.line("B ━ emoji-r16 ")
        assert "baseline" in driver.line("A ━ emoji-r8 ")
        assert re.search(r" -\d\.\d+ ", driver.line("B ━ emoji-r16 "))
        await driver.press("right_square_bracket")
        await driver.sees("what differs", "rank of the adapter")
        await driver.wait(lambda: driver.line("≠ learning_rate").split() == ["≠", "learning_rate", "1e-4", "2e-4"])
        assert driver.line("≠ lora_r").split() == ["≠", "lora_r", "8", "16"]
        assert "lora_alpha" not in driver.text()
        await driver.press("A")
        await driver.sees("all settings", "lora_alpha")
        listing = driver.app.screen.query_one("#settings SettingsDiff", SettingsDiff)
        assert listing.setting == "lora_r", "the cursor stays on its setting"
        await driver.press("A", "j")
        await driver.sees("A  1e-4", "B  2e-4", "peak learning rate of the optimiser")


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
        await driver.sees("C ━ emoji-live", "is best of 3")


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
        assert "emoji-r16 → emoji-r8: lora_r 16 → 8" in driver.text() and "worse by" in driver.text()
        assert re.search(r" \+\d\.\d+ ", driver.line("A ━ emoji-r8"))


def charts(driver: Driver) -> dict[str, LineChart]:
    """The charts on the screen, by metric."""
    grid = driver.app.screen.query_one(OverlayGrid)
    return {name: chart for name in grid.shown if (chart := grid.chart_of(name)) is not None}


def points(driver: Driver, metric: str) -> list[int]:
    """How many points each curve of a metric's chart has."""
    chart = charts(driver).get(metric)
    return [len(item.steps) for item in chart.series] if chart else []


async def test_a_chart_a_metric_evaluations_first_and_all_keys_of_charts(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.wait(lambda: points(driver, "eval/loss") == [6, 6] and points(driver, "train/loss") == [60, 60])
        grid = driver.app.screen.query_one(OverlayGrid)
        assert grid.shown[:3] == ["eval/loss", "train/loss", "train/learning_rate"] and grid.cursor == "eval/loss"
        await driver.press("J")
        assert grid.cursor == "train/loss"
        await driver.press("y", "plus")
        assert grid.log_scale and grid.view is not None
        await driver.press("0", "p")
        assert grid.view is None and grid.pinned == ["train/loss"]
        await driver.press("g", "g", "g")
        await driver.wait(lambda: list(charts(driver)) == ["train/loss"])
        await driver.press("x")
        assert grid.x_axis == "time", "neither epochs nor tokens are known of these runs"
        await driver.press("slash")
        await driver.type("perplex")
        await driver.press("enter")
        await driver.wait(lambda: list(charts(driver)) == ["eval/perplexity"])
        assert isinstance(driver.app.screen.focused, CompareTable)
        await driver.press("escape")
        await driver.wait(lambda: not grid.pattern)
        await driver.press("f")
        await driver.wait(lambda: driver.app.screen.maximized is grid)
        await driver.press("j")
        await driver.wait(lambda: "train/loss" not in charts(driver))
        await driver.press("f", "j")
        await driver.wait(lambda: table_of(driver).cursor == 1)


async def test_curves_carry_their_letters_and_the_legend_their_names(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.wait(lambda: points(driver, "eval/loss") == [6, 6])
        series = charts(driver)["eval/loss"].series
        assert [(item.label, item.tag, item.style) for item in series] == [("A r8", "A", "1"), ("B r16", "B", "2")]
        await driver.press("g", "g", "g")
        await driver.sees("━ A r8", "━ B r16")
        plot = driver.text().splitlines()[5:-6]
        assert any("A" in line[20:] for line in plot) and any("B" in line[20:] for line in plot)


async def test_a_live_run_grows(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, NEW, LIVE)
        await driver.wait(lambda: points(driver, "eval/loss") == [6, 2])
        before = driver.line("━ emoji-live")
        three.train(LIVE, 21, 40, total_steps=60)
        await driver.wait(lambda: points(driver, "eval/loss") == [6, 4])
        await driver.wait(lambda: driver.line("━ emoji-live") != before)
        assert "emoji-live is still at work." in " ".join(driver.text().split())


async def test_what_happened_meanwhile_is_there_on_coming_back(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, NEW, LIVE)
        await driver.wait(lambda: points(driver, "eval/loss") == [6, 2])
        await driver.press("1")
        await driver.sees("20/60")
        three.train(LIVE, 21, 40, total_steps=60)
        await driver.sees("40/60")
        await driver.press("4")
        await driver.wait(lambda: points(driver, "eval/loss") == [6, 4])


async def test_the_crosshair_puts_its_values_into_the_table(make_app: MakeApp, three: SampleRuns) -> None:
    async with make_app() as driver:
        await compare(driver, OLD, LIVE)
        await driver.wait(lambda: points(driver, "train/loss") == [60, 20])
        await driver.press("J", "left", "shift+left", "shift+left")
        await driver.sees("train loss at ")
        at = re.search(r"train loss at (\d+)", driver.line("Δ eval"))
        assert at is not None and 20 < int(at[1]) < 60
        item = charts(driver)["train/loss"].series[0]
        value = item.values[list(item.steps).index(int(at[1]))]
        assert f" {value:.3f} " in driver.line("A ━ emoji-r8")
        assert driver.line("B ━ emoji-live").split()[5] == "–", "it has not come so far"
        await driver.press("0")
        await driver.sees_no("train loss at ")


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
        await says(driver, "the-only-one → the-second-one: their recipes are the same", "eval loss")


async def test_hostile_names_are_shown_as_text(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add(OLD, "[bold red]x[/]\x1b[31m\x07")
    runs.add(NEW, "[link=a]other", target_modules=["[b]q_proj", "v"])
    async with make_app() as driver:
        await compare(driver, OLD, NEW)
        await driver.sees("[bold red]x[/]", "[link=a]other", "[b]q_proj, v")
        for _ in range(3):
            await driver.press("right_square_bracket")
            await driver.sees("[link=a]other")
        assert "\x1b" not in driver.text() and "\x07" not in driver.text()


@pytest.fixture
def many(runs: SampleRuns) -> list[str]:
    """Fourteen runs of ten steps; the first is the worst, the last the best."""
    ids = [f"r{number:02d}many0000" for number in range(14)]
    for number, run_id in enumerate(ids):
        settings: dict[str, Any] = {"learning_rate": (number + 1) * 1e-4, "packing": number % 2 == 0}
        runs.add(
            run_id, f"run-{number}", start_loss=120.0 - 4 * number, steps=10, total_steps=10, samples=(), **settings
        )
    return ids


async def test_any_number_of_runs_the_others_dim(make_app: MakeApp, many: list[str]) -> None:
    async with make_app() as driver:
        driver.app.screen.post_message(CompareRuns(["gone0000000", *many]))
        await says(driver, "run-13 is best of 14", "Higher learning_rate goes with lower eval loss")
        await driver.wait(lambda: len(points(driver, "train/loss")) == 14)

        def tags() -> list[str]:
            return [item.tag for item in charts(driver)["train/loss"].series if item.style != "dim"]

        assert tags() == ["B", "O"], "the baseline and the best; the run that is gone has taken the A"
        await driver.press("j", "j")
        await driver.wait(lambda: tags() == ["B", "O", "D"])
        await says(driver, "run-0 → run-2: learning_rate 1e-4 → 3e-4; eval loss ")
        await driver.press("space", "end")
        await driver.wait(lambda: tags() == ["B", "D", "O"])
        assert "O ━ run-13" in driver.text() and "✱" not in driver.line("O ━ run-13")
        await driver.press("home", "space", "c")
        await driver.wait(lambda: table_of(driver).count == 2)
        assert " B ━ run-0" in driver.text() and " D ━ run-2" in driver.text()


async def test_another_comparison_begins_at_its_first_run_with_none_marked(make_app: MakeApp, many: list[str]) -> None:
    async with make_app() as driver:
        await driver.press("4")
        await driver.wait(lambda: driver.app.current_mode == "compare" and table_of(driver).highlighted)
        before = table_of(driver).count
        assert 1 < before < len(many)
        await driver.press("space", "end")
        driver.app.screen.post_message(CompareRuns(many))
        await driver.wait(lambda: table_of(driver).count == len(many))
        assert table_of(driver).eyes == Eyes(many[0], many[0], frozenset())


async def test_the_table_is_ordered_by_a_column_and_has_those_that_one_chooses(
    make_app: MakeApp, many: list[str]
) -> None:
    async with make_app((120, 40)) as driver:
        await compare(driver, *many[:4])
        table = table_of(driver)
        await driver.press("o")
        await driver.sees("Order the runs by")
        await driver.type("differs l")
        await driver.press("enter")
        await driver.wait(lambda: table.sort == "cfg.learning_rate")
        await driver.press("O")
        await driver.wait(lambda: table.descending)
        rows = [line for line in driver.text().splitlines() if " ━ run-" in line]
        assert [row.split()[0] for row in rows] == ["D", "C", "B", "A"]
        await driver.press("C")
        await driver.sees("Columns")
        await driver.type("differs l")
        await driver.press("enter")
        await driver.wait(lambda: table.chosen is not None and "cfg.learning_rate" in table.chosen)
        for _ in "differs l":
            await driver.press("backspace")
        await driver.type("eval l")
        await driver.press("enter", "escape")
        await driver.wait(lambda: table.chosen is not None and "eval/loss" not in table.chosen)
        await driver.sees("↓learning_rate")
        await driver.wait(lambda: "4e-4" in driver.line("D ━ run-3") and "Δ eval" not in driver.text())


def place(driver: Driver) -> int:
    """The rank of the run at the cursor, as it is said below the plot."""
    found = re.search(r"place (\d+) of 14", " ".join(driver.text().split()))
    return int(found[1]) if found else 0


async def test_parallel_coordinates(make_app: MakeApp, many: list[str]) -> None:
    async with make_app((80, 24)) as driver:
        await compare(driver, *many)
        await driver.press("left_square_bracket")
        plot = driver.app.screen.query_one(ParallelPlot)
        await driver.sees("packing", "learning_rate log", "eval loss", "yes")
        await driver.wait(lambda: place(driver) == 14)
        assert [axis.key for axis in plot.axes] == ["packing", "learning_rate", "eval/loss"]
        assert plot.axes[-1].heights[13] == 1.0, "the lowest loss is on top"
        await driver.press("k", "k")
        await driver.wait(lambda: place(driver) == 12)
        await driver.press("right", "H")
        await driver.wait(lambda: [axis.key for axis in plot.axes][:2] == ["learning_rate", "packing"])
        await driver.press("y")
        await driver.wait(lambda: not plot.axes[0].log)
        await driver.press("z")
        await says(driver, "1 put away: Z brings them back")
        await driver.press("Z")
        await driver.sees_no("put away:")
        assert [axis.key for axis in plot.axes] == ["packing", "learning_rate", "eval/loss"]
        await driver.press("o")
        await driver.sees("Rank the runs by")
        await driver.type("tokens_p")
        await driver.press("enter")
        await driver.wait(lambda: plot.axes[-1].key == "train/tokens_per_s")
        await driver.press("enter")
        await driver.wait(lambda: driver.app.current_mode == "runs")


async def test_answers_side_by_side(make_app: MakeApp, runs: SampleRuns) -> None:
    asked = {"prompt": "How do I [b]reset[/b] it?", "reference": "Open settings now."}
    runs.add(OLD, "one", samples=[asked | {"text": "Open the door."}])
    runs.add(NEW, "two", samples=[{"prompt": "Who?", "text": "Me."}, asked | {"text": "Open the settings."}])
    runs.add(LIVE, "three", samples=[])
    async with make_app((160, 40)) as driver:
        await compare(driver, OLD, NEW, LIVE)
        await driver.press("right_square_bracket", "right_square_bracket")
        await driver.sees("› How do I [b]reset[/b] it?", "Open the doorsettings.", "was not asked this", "1/3")
        assert "step 60 ★ · changed" in driver.text()
        await driver.press("D")
        await driver.sees("compared with the reference", "67% as reference")
        await driver.press("j")
        await driver.sees("› Who?", "Me.")
        pane = driver.app.screen.query_one(CompareSamples)
        await driver.press("l", "l")
        await driver.wait(lambda: table_of(driver).cursor == 2)
        assert pane.display


async def test_a_long_name_over_answers_stays_on_its_line(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add(OLD, "short")
    runs.add(NEW, "a-name-" * 9)
    async with make_app((120, 36)) as driver:
        await compare(driver, OLD, NEW)
        await driver.press("right_square_bracket", "right_square_bracket")
        await driver.sees("A short  baseline")
        await driver.wait(lambda: "B a-name-a-name" in driver.line("A short  baseline"))


async def test_without_answers_it_is_said_where_they_come_from(make_app: MakeApp, many: list[str]) -> None:
    async with make_app((80, 24)) as driver:
        await compare(driver, *many[:2])
        await driver.press("right_square_bracket", "right_square_bracket")
        await driver.sees("None of these runs has answered sample prompts yet.")


async def test_a_report_is_written_where_one_says(make_app: MakeApp, three: SampleRuns, home: Home) -> None:
    async with make_app(notifications=True) as driver:
        await compare(driver, OLD, NEW)
        await driver.press("W")
        await driver.sees("Write a report of 2 runs", "emoji-r8-and-emoji-r16.html ")
        await driver.press("enter")
        path = home.root / "reports" / "emoji-r8-and-emoji-r16.html"
        await driver.sees("The report is in")
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
        await driver.press("W")
        await driver.sees("Write a report of 2 runs")
        await driver.press("enter")
        await says(driver, "already. Write over it?")
        await driver.press("n", "W")
        await driver.sees("Write a report of 2 runs")
        await driver.press(*["backspace"] * 4, "x", "enter")
        await driver.sees("one of these endings")


def test_the_end_of_a_name_says_the_kind() -> None:
    kinds = {"a.html": "html", "a.B.PNG": "png", "a.csv": "csv", "a.points.csv": "curves", "a.md": "md", "a": None}
    assert {name: kind_of(Path(name)) for name in kinds} == kinds
    assert file_name(["a/b c", "../x"]) == "a-b-c-and-x.html" and file_name(["", "b", "c"]) == "run-and-2-more.html"


def test_letters_go_on_after_z() -> None:
    assert [letter_of(slot) for slot in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        *("A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA")
    ]


def test_short_names_leave_out_the_common_beginning() -> None:
    assert short_names(["emoji-r16-lr2", "emoji-r8-lr1"]) == ["r16-lr2", "r8-lr1"]
    assert short_names(["alone-1"]) == ["alone-1"]
    assert short_names(["run", "run-2"]) == ["run", "run-2"]
    assert short_names(["same", "same"]) == ["same", "same"]
