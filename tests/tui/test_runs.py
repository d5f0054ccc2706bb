"""The list of runs: what it shows, filters, orders, marks and does."""

import json
import math
import os

import pytest

from engine.home import Home
from engine.runs.rundir import RunDir
from store import Store
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.format import fmt_when
from tui.messages import ChatWith, CompareRuns, NewRunLike
from tui.widgets.line_chart import LineChart
from tui.widgets.run_table import RunTable


def table(driver: Driver) -> RunTable:
    return driver.app.screen.query_one(RunTable)


async def to_run(driver: Driver, name: str) -> None:
    """Put the cursor on the run of that name."""
    await driver.sees(name)
    await driver.press("home")
    for _ in table(driver).runs:
        run = table(driver).highlighted
        if run is not None and run.name == name:
            return
        await driver.press("down")
    raise AssertionError(f"no run {name}")


class Posted(list[object]):
    """Messages that reached the app, instead of what the app does with them."""


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> Posted:
    caught = Posted()
    from tui.modes import ModesApp

    async def keep(self: ModesApp, event: object) -> None:
        caught.append(event)

    for kind in (CompareRuns, ChatWith, NewRunLike):
        handlers = [(handler, selectors) for handler, selectors in ModesApp._decorated_handlers[kind]]
        monkeypatch.setitem(ModesApp._decorated_handlers, kind, [(keep, selectors) for _, selectors in handlers])
    return caught


async def test_an_empty_home_says_what_to_do(make_app: MakeApp) -> None:
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("No runs yet", "Press 2 to import", "finetui demo")
        assert "compare" not in driver.text().splitlines()[-1]


async def test_an_empty_list_tells_of_runs_that_the_store_has_lost(make_app: MakeApp, home: Home) -> None:
    inputs = {"id": "r1gone", "name": "gone", "created": 1.0, "tags": [], "source": "trainer", "method": "lora"}
    inputs |= {"config": {}, "model": {"name": "tiny"}, "dataset": {"id": "d1", "name": "support"}}
    rundir = RunDir(home.runs / "r1gone")
    rundir.path.mkdir(parents=True)
    rundir.inputs.write_text(json.dumps(inputs), encoding="utf-8")
    os.utime(rundir.inputs, (1.0, 1.0))  # else it may be about to be launched
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("1 run is in", "in the store", "finetui store rebuild")
        assert "No runs yet" not in driver.text()


async def test_every_state_is_in_words(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.wait(lambda: "○ queued" in driver.line("emoji-next"))
        assert "◌ starting" in driver.line("starter-first-try")
        assert "building starter 40%" in driver.line("starter-first-try")
        assert "⚠ training" in driver.line("emoji-r16-lr2e4")
        assert "■ stopped" in driver.line("support-dora")
        assert "✗ failed" in driver.line("support-qlora")
        assert "✓ done" in driver.line("emoji-r8-lr1e4")


async def test_eighty_columns_show_the_answers(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("emoji-next")
        line = driver.line("emoji-r16-lr2e4")
        run = filled.store.runs.get("r4live00000")
        assert run is not None
        assert "70%" in line
        assert "27s" in line
        assert f"{run.metrics['eval/loss'].last:.3f}" in line
        older = filled.store.runs.get("r1done00000")
        assert older is not None and older.started is not None
        assert fmt_when(older.started) in driver.line("emoji-r8-lr1e4"), "yesterday, or the weekday"
        assert all(len(text) <= 80 for text in driver.text().splitlines())


async def test_the_eval_loss_has_an_arrow_when_it_rose(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "overfitted", steps=20)
    runs.add("r2000000000", "still-better", steps=20)
    runs.write("r1000000000", "evaluation", step=30, epoch=1, values={"eval/loss": 9.5}, best=False, best_step=20)
    runs.take_in("r1000000000")
    async with make_app() as driver:
        await driver.sees("overfitted")
        await driver.wait(lambda: "9.500 ↑" in driver.line("overfitted"))
        assert "+" in driver.line("overfitted").split("↑")[1]
        assert "best" in driver.line("still-better")


async def test_names_are_never_markup(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "[red]x", tags=["[/]"], reason="[/")
    runs.add("r2000000000", "[/", reason="\x1b[31mboom", status="failed")
    runs.add("r3000000000", "esc\x1b]0;owned\x07ape\x9b31m", samples=[{"prompt": "[bold", "text": "[/red] \x1b[5m"}])
    async with make_app(size=(200, 60)) as driver:
        await driver.sees("[red]x", "[/", "escape")
        for name in ("[red]x", "[/", "escape"):
            await driver.sees(name)
            await driver.press("down")
            await driver.pilot.pause()
        await driver.press("home")
        await driver.sees("[/red]")
        assert "\x1b" not in driver.text()
        assert "owned" not in driver.text()


async def test_the_preview_shows_curve_facts_and_the_last_sample(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await to_run(driver, "emoji-r16-lr2e4")
        await driver.sees("step 42/60", "qlora r16 α32 · lr 2e-4 cosine", "tags emoji", "1 alert", "Open settings.")
        chart = driver.app.screen.query_one(LineChart)
        assert [series.label for series in chart.series] == ["train", "eval"]
        assert {marker.symbol for marker in chart.markers} == {"◆", "★"}
        assert all(len(series.values) <= chart.columns * 2 for series in chart.series)


async def test_a_wide_terminal_has_the_preview_at_the_side(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(size=(200, 50)) as driver:
        await driver.sees("emoji-next")
        await driver.wait(lambda: "╭" in driver.text())
        assert any("emoji" in line.split("╭")[0] or "name" in line for line in driver.text().splitlines()[:4])
        assert driver.app.screen.has_class("-side")


async def test_filtering(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next", "6 runs")
        await driver.press("slash")
        await driver.type("status:failed")
        await driver.sees("1 of 6 runs")
        assert [run.name for run in table(driver).runs] == ["support-qlora"]
        await driver.press("enter")
        assert driver.app.focused is table(driver)
        await driver.press("escape")
        await driver.sees("6 runs", "emoji-next")
        assert "of 6" not in driver.text()


async def test_a_filter_that_finds_nothing_says_how_to_get_back(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("slash")
        await driver.type("zzz")
        await driver.sees("No run matches “zzz”", "Esc clears the filter")
        await driver.press("escape")
        await driver.sees("emoji-next")


async def test_a_wrong_filter_is_explained_in_place(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("slash")
        await driver.type("colour:red")
        await driver.sees("no key 'colour'", "Keys: status")
        assert not driver.app.screen.is_modal
        await driver.sees("emoji-next")
        await driver.press("escape")
        await driver.sees_no("no key")


async def test_letters_typed_into_the_filter_are_no_commands(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("slash")
        await driver.type("qs1t?")
        assert driver.app.current_mode == "runs"
        assert not driver.app.screen.is_modal
        assert "stop" not in driver.text().splitlines()[-1]


async def order_by(driver: Driver, words: str) -> None:
    await driver.press("o")
    await driver.sees("Order the runs by")
    await driver.type(words)
    await driver.press("enter")
    await driver.sees_no("Order the runs by")


async def test_the_order_is_chosen_and_turned_round(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("started↓")
        await order_by(driver, "name")
        await driver.sees("name↑", "by name")
        names = [run.name for run in table(driver).runs]
        assert names == sorted(names)
        await driver.press("O")
        await driver.sees("name↓")
        await driver.wait(lambda: [run.name for run in table(driver).runs] == names[::-1])
        await order_by(driver, "eval loss")
        await driver.sees("↑eval loss")
        losses = [run.metrics["eval/loss"].last for run in table(driver).runs if "eval/loss" in run.metrics]
        assert losses == sorted(losses)


async def test_what_the_runs_are_ordered_by_is_shown(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "small", lora_r=4)
    runs.add("r2000000000", "large", lora_r=64)
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("small", "large")
        await order_by(driver, "lora_r")
        await driver.sees("↓lora_r")
        assert [run.name for run in table(driver).runs] == ["large", "small"]
        assert "64" in driver.line("large")
        await order_by(driver, "lowest train/loss")
        run = runs.store.runs.get("r1000000000")
        assert run is not None and run.metrics["train/loss"].min is not None
        await driver.sees("lowest train/l", f"{run.metrics['train/loss'].min:.3f}")


async def test_the_cursor_stays_on_its_run_when_others_come(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await to_run(driver, "support-dora")
        filled.add("r9new000000", "brand-new", age_s=1)
        await driver.sees("brand-new")
        run = table(driver).highlighted
        assert run is not None
        assert run.name == "support-dora"


async def test_a_live_run_moves_on_by_itself(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await to_run(driver, "emoji-r16-lr2e4")
        assert "70%" in driver.line("⚠ training")
        filled.train("r4live00000", 43, 54, total_steps=60)
        await driver.sees("90%", "step 54/60")


async def test_nan_breaks_nothing(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "exploded", status="training", steps=20)
    for step in range(21, 30):
        runs.write("r1000000000", "metrics", step=step, values={"train/loss": math.nan, "train/grad_norm": math.inf})
    runs.write("r1000000000", "evaluation", step=30, epoch=1, values={"eval/loss": math.nan}, best=False, best_step=20)
    runs.take_in("r1000000000")
    async with make_app() as driver:
        await driver.sees("exploded")
        await driver.wait(lambda: "nan" in driver.line("exploded").split("…")[0])
        await driver.press("enter")
        await driver.sees("Samples", "nan")


async def test_marks_and_compare(make_app: MakeApp, filled: SampleRuns, posted: Posted) -> None:
    async with make_app() as driver:
        await to_run(driver, "support-dora")
        await driver.press("space")
        await to_run(driver, "support-qlora")
        await driver.press("space")
        await driver.wait(lambda: driver.text().count("✱") == 2)
        await driver.press("c")
        await driver.wait(lambda: posted)
        message = posted[0]
        assert isinstance(message, CompareRuns)
        assert message.run_ids == ("r3stopped00", "r2failed000")
        await driver.press("escape")
        await driver.sees_no("✱")


async def test_compare_without_marks_takes_the_run_below(make_app: MakeApp, filled: SampleRuns, posted: Posted) -> None:
    async with make_app() as driver:
        await to_run(driver, "support-dora")
        await driver.press("c")
        await driver.wait(lambda: posted)
        message = posted[0]
        assert isinstance(message, CompareRuns)
        assert message.run_ids == ("r3stopped00", "r1done00000")


async def test_chat_and_a_new_run_like_this_one(make_app: MakeApp, filled: SampleRuns, posted: Posted) -> None:
    async with make_app() as driver:
        await to_run(driver, "emoji-r8-lr1e4")
        await driver.press("t", "n")
        await driver.wait(lambda: len(posted) == 2)
        chat, like = posted
        assert isinstance(chat, ChatWith)
        assert chat.run_ids == ("r1done00000",)
        assert isinstance(like, NewRunLike)
        assert like.run_id == "r1done00000"


async def test_rename_tag_and_note(make_app: MakeApp, filled: SampleRuns, store: Store) -> None:
    async with make_app(size=(120, 44)) as driver:
        await to_run(driver, "support-dora")
        await driver.press("e")
        await driver.sees("Rename the run")
        await driver.type("better-name")
        await driver.press("enter")
        await driver.sees("better-name")
        await driver.press("number_sign")
        await driver.sees("separated by commas")
        await driver.type("a, b")
        await driver.press("enter")
        await driver.sees("tags a, b")
        await driver.press("N")
        await driver.sees("Note on")
        await driver.type("look again")
        await driver.press("enter")
        await driver.sees("note look again")
        run = store.runs.get("r3stopped00")
        assert run is not None
        assert (run.name, run.tags, run.notes) == ("better-name", ("a", "b"), "look again")


async def test_removing_says_what_is_deleted_and_asks(make_app: MakeApp, filled: SampleRuns, store: Store) -> None:
    async with make_app() as driver:
        await to_run(driver, "support-dora")
        await driver.press("d")
        await driver.sees("Remove support-dora?", "This deletes its recipe", "checkpoint: ", "cannot be undone")
        await driver.press("n")
        assert store.runs.get("r3stopped00") is not None
        await driver.press("d")
        await driver.sees("Remove support-dora?")
        await driver.press("y")
        await driver.wait(lambda: store.runs.get("r3stopped00") is None)
        await driver.sees("5 runs")
        await driver.wait(lambda: not (filled.home.runs / "r3stopped00").exists())


async def test_a_live_run_cannot_be_removed_and_a_dead_one_not_stopped(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await to_run(driver, "emoji-r16-lr2e4")
        await driver.press("d")
        await driver.pilot.pause()
        assert not driver.app.screen.is_modal
        assert "s stop" in driver.text().splitlines()[-1]
        await to_run(driver, "support-dora")
        await driver.sees("r resume")
        await driver.press("s")
        await driver.pilot.pause()
        assert not driver.app.screen.is_modal


async def test_stopping_asks_first_and_signals_the_run(make_app: MakeApp, filled: SampleRuns, store: Store) -> None:
    async with make_app() as driver:
        await to_run(driver, "emoji-r16-lr2e4")
        await driver.press("s")
        await driver.sees("Stop emoji-r16-lr2e4?", "saves a checkpoint")
        await driver.press("y")
        await driver.wait(lambda: not driver.line("training"))
        run = store.runs.get("r4live00000")
        assert run is not None
        assert not run.status.live


async def test_thousands_of_runs_are_read_as_they_come_into_sight(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add_many(3000)
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("3,000 runs", "run-00000")
        assert len(table(driver).ids) == 3000
        await driver.press("end")
        await driver.sees("run-02999")
        assert "name" in driver.text().splitlines()[2]
        for _ in range(40):
            await driver.press("pageup")
        await driver.wait(lambda: table(driver).highlighted)
        assert len(table(driver).runs) < 700
        run = table(driver).highlighted
        assert run is not None
        assert run.name in driver.text()
        await driver.press("home")
        await driver.sees("run-00000")
        await driver.press("slash")
        await driver.type("run-01234")
        await driver.sees("1 of 3,000 runs")
        await driver.wait(lambda: table(driver).highlighted_id == "many01234")
        await driver.press("escape")
        await driver.sees("run-01230", "run-01234")
        assert table(driver).highlighted_id == "many01234"


async def test_the_palette_finds_a_run_among_thousands(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add_many(1500)
    async with make_app() as driver:
        await driver.sees("1,500 runs")
        await driver.press("ctrl+p")
        await driver.wait(lambda: driver.app.screen.is_modal)
        await driver.type("run-01234")
        await driver.sees("Open run run-01234")


async def test_rows_stay_where_they_are_while_runs_come(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add_many(300)
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("300 runs")
        for _ in range(5):
            await driver.press("pagedown")
        await driver.press("up", "up")
        name = table(driver).highlighted_id.replace("many", "run-")
        await driver.sees(name)
        place = driver.text().splitlines().index(driver.line(name))
        for number in range(3):
            runs.add(f"r{number}new000000", f"new-{number}", age_s=1)
        await driver.sees("303 runs")
        assert driver.text().splitlines().index(driver.line(name)) == place


async def test_marked_runs_are_measured_by_the_first(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1000000000", "worse", start_loss=9.0)
    runs.add("r2000000000", "better", start_loss=1.0)
    async with make_app() as driver:
        await to_run(driver, "worse")
        await driver.sees("Δ best")
        await driver.press("space")
        await driver.sees("Δ first")
        one, other = (runs.store.runs.get(run_id) for run_id in ("r1000000000", "r2000000000"))
        assert one is not None and other is not None
        distance = other.metrics["eval/loss"].last - one.metrics["eval/loss"].last
        assert f"{distance:+.2f}" in driver.line("  better")
        await driver.press("escape")
        await driver.sees("Δ best")


async def test_past_runs_are_imported_by_key(make_app: MakeApp) -> None:
    async with make_app() as driver:
        await driver.sees("No runs yet", "I imports")
        await driver.press("I")
        await driver.sees("Import past runs", "a folder or a file")


async def test_a_list_that_scrolls_down_does_not_scroll_sideways(make_app: MakeApp, runs: SampleRuns) -> None:
    for number in range(14):
        runs.add(f"r{number:010d}", f"run-{number}", status="queued")
    async with make_app(size=(80, 24)) as driver:
        await driver.sees("14 runs")
        table = driver.app.screen.query_one(RunTable)
        await driver.wait(lambda: table.show_vertical_scrollbar)
        assert not table.show_horizontal_scrollbar
