"""The tabs of a run's screen beside charts and log: samples, events, recipe, data, lineage."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.rundir import RunDir, write_json
from store.records import EventRow, FindingRow, NewRun
from tests.tui.panes import PaneDriver, showing
from tests.tui.sample_runs import SampleRuns
from tui.messages import OpenDataset, OpenRun, OpenSweeps
from tui.screens.reading import ReadingDialog
from tui.widgets.event_words import entries_of
from tui.widgets.lineage_words import change_words
from tui.widgets.run_data import DataPane
from tui.widgets.run_events import EventsPane
from tui.widgets.run_lineage import LineagePane
from tui.widgets.run_recipe import RecipePane
from tui.widgets.run_samples import SamplesPane
from tui.widgets.sample_answers import compared, samples_of, steps_shown
from tui.widgets.word_diff import likeness, word_diff

RUN = "r1000000000"
PROMPTS = ("How do I reset my password?", "Where is [my] order?")


def answer(runs: SampleRuns, step: int, *texts: str, reference: str = "", run_id: str = RUN) -> None:
    """Let the run answer its prompts."""
    samples: list[dict[str, Any]] = [
        {"prompt": prompt, "text": text} | ({"reference": reference} if reference else {})
        for prompt, text in zip(PROMPTS, texts, strict=False)
    ]
    runs.write(run_id, "sample", step=step, samples=samples)


def talker(runs: SampleRuns) -> None:
    """A run with four evaluations, whose answers change."""
    runs.add(RUN, "talker", steps=0, status="training", samples=())
    answer(runs, 0, "Lorem ipsum dolor.", "I do not know.", reference="Open Settings, then Security.")
    answer(runs, 10, "Open your Settings.", "It is on its way.", reference="Open Settings, then Security.")
    answer(runs, 20, "Open Settings now.", "It is on its way.", reference="Open Settings, then Security.")
    answer(runs, 30, "Open Settings, then Security.", "It is here.", reference="Open Settings, then Security.")
    runs.write(RUN, "evaluation", step=20, values={"eval/loss": 1.25}, best=True, best_step=20)
    runs.take_in(RUN)


class TestSamples:
    async def test_answers_stand_side_by_side_the_base_first(self, runs: SampleRuns) -> None:
        talker(runs)
        async with showing(SamplesPane(), runs, RUN, size=(200, 30)) as driver:
            await driver.sees("2 prompts · 4 steps · compared with the step before")
            head = driver.line("base model")
            assert head.index("base model") < head.index("step 10") < head.index("step 20") < head.index("step 30")
            assert "loss 1.250 ★" in head
            await driver.sees("Lorem ipsum dolor.", "reference", "100% as reference", "Open your Settings now.")
            await driver.press("j")
            await driver.sees("Where is [my] order?", "the same", "It is on its way.")

    async def test_what_answers_are_compared_with(self, runs: SampleRuns) -> None:
        talker(runs)
        async with showing(SamplesPane(), runs, RUN, size=(200, 30)) as driver:
            await driver.press("D")
            await driver.sees("compared with the base model", "all new")
            await driver.press("D")
            await driver.sees("compared with the reference", "the same")
            await driver.press("D")
            await driver.sees("compared with nothing")
            await driver.press("left", "left", "space")
            await driver.sees("compared with step 10", "changed")
            await driver.press("space")
            await driver.sees("compared with the step before")

    async def test_new_answers_are_followed_unless_one_looks_at_an_earlier_step(self, runs: SampleRuns) -> None:
        talker(runs)
        async with showing(SamplesPane(), runs, RUN, size=(80, 24)) as driver:
            assert driver.pane.has_class("-narrow")
            await driver.sees("step 30")
            answer(runs, 40, "Newest.", "Newest too.")
            runs.take_in(RUN)
            await driver.read(RUN)
            assert driver.pane._cursor == 40
            await driver.press("left", "left")
            answer(runs, 50, "Newer.", "Newer too.")
            runs.take_in(RUN)
            await driver.read(RUN)
            assert driver.pane._cursor == 20
            assert await driver.read(RUN) is None, "nothing is new"

    async def test_small_screens_have_them_one_below_the_other(self, runs: SampleRuns) -> None:
        talker(runs)
        async with showing(SamplesPane(), runs, RUN, size=(60, 24)) as driver:
            await driver.sees("base model", "step 20", "step 30")
            lines = driver.text().splitlines()
            assert not any("base model" in line and "step 30" in line for line in lines)
            assert all(len(line) <= 60 for line in lines)

    async def test_without_samples_it_says_when_they_come(self, runs: SampleRuns) -> None:
        runs.add(RUN, status="training", steps=3, samples=(), eval_steps=10)
        runs.add("r2000000000", status="failed", steps=0, samples=())
        async with showing(SamplesPane(), runs, RUN) as driver:
            await driver.sees("No samples yet", "at step 10", "sample_prompts")
            await driver.read("r2000000000")
            await driver.sees("ended before its first evaluation")

    def test_what_a_resume_did_over_is_left_out(self, runs: SampleRuns) -> None:
        from store.records import Attempt, Status

        def said(seq: int, attempt: int, step: int, text: str) -> EventRow:
            return EventRow(
                RUN, seq, 1.0, attempt, "sample", {"step": step, "samples": [{"prompt": "p", "text": text}]}
            )

        attempts = [
            Attempt(RUN, 1, 0.0, 1.0, Status.LOST, "", 0),
            Attempt(RUN, 2, 1.0, None, Status.TRAINING, "", 10),
        ]
        events = [said(1, 1, 10, "a"), said(2, 1, 20, "lost"), said(3, 2, 15, "b")]
        found = samples_of(events, [], attempts)
        assert found.steps == [10, 15]
        assert found.prompts[0].by_step == {10: "a", 15: "b"}

    def test_two_conversations_with_the_same_last_words_are_two(self) -> None:
        body = {"step": 1, "samples": [{"prompt": "go on", "text": "a"}, {"prompt": "go on", "text": "b\x1b[2J"}]}
        found = samples_of([EventRow(RUN, 1, 1.0, 1, "sample", body)], [], [])
        assert [one.by_step[1] for one in found.prompts] == ["a", "b"]

    @given(
        st.lists(st.integers(0, 500), min_size=1, max_size=30, unique=True).map(sorted),
        st.data(),
        st.integers(1, 6),
    )
    def test_the_steps_shown(self, steps: list[int], data: st.DataObject, room: int) -> None:
        cursor = data.draw(st.sampled_from(steps))
        pinned = data.draw(st.none() | st.sampled_from(steps))
        found = steps_shown(steps, cursor, pinned, room)
        assert cursor in found and found == sorted(set(found)) and set(found) <= set(steps)
        assert len(found) <= room and (room < 2 or pinned is None or pinned in found)
        assert len(found) == min(room, len(steps)) or room == 1


class TestDiff:
    def test_a_phrase_is_struck_as_a_whole(self) -> None:
        content = word_diff("one two three end", "four five six end")
        assert content.plain == "one two threefour five six end"
        assert len(content.spans) == 2

    def test_likeness(self) -> None:
        assert likeness("", "") == 1.0
        assert likeness("a, b.", "a  b") == 1.0
        assert likeness("a b", "c d") == 0.0

    def test_answers_too_long_to_compare_are_shown(self) -> None:
        found = compared("one " * 3000, "two " * 3000)
        assert found.note == "changed, too long to compare"
        assert compared("a", " ").content.plain == "(no answer)"

    @given(st.text(), st.text())
    def test_nothing_is_lost(self, before: str, after: str) -> None:
        from tui.text import clean

        content = word_diff(before, after)
        gone = {place for span in content.spans if "strike" in str(span.style) for place in range(span.start, span.end)}
        came = {place for span in content.spans if "bold" in str(span.style) for place in range(span.start, span.end)}
        plain = content.plain
        assert "".join(c for at, c in enumerate(plain) if at not in gone) == clean(after)
        assert "".join(c for at, c in enumerate(plain) if at not in came) == clean(before)


class TestEvents:
    async def test_what_happened_the_newest_first(self, runs: SampleRuns) -> None:
        runs.add(RUN, steps=20, alert="Loss [rises].", status="failed", reason="out of memory", failure="killed")
        async with showing(EventsPane(), runs, RUN, size=(120, 30)) as driver:
            await driver.sees("ended: failed, out of memory", "Loss [rises]. Stop it and keep step 30.")
            text = driver.text()
            order = ["ended: failed", "Loss [rises]", "checkpoint saved", "evaluated: loss", "planned: 60 steps"]
            places = [text.index(words) for words in order]
            assert places == sorted(places)
            await driver.sees("the best so far", "426 rows")

    async def test_levels_words_and_the_whole_of_one(self, runs: SampleRuns) -> None:
        runs.add(RUN, steps=20, alert="Loss rises.")
        runs.append_raw(RUN, '{"v":1,"seq":9999,"broken')
        runs.take_in(RUN)
        async with showing(EventsPane(), runs, RUN) as driver:
            await driver.press("L")
            await driver.sees(
                "2 of", "warnings and errors only", "Loss rises.", "damaged line of the event log, at byte"
            )
            await driver.sees_no("checkpoint")
            await driver.press("L")
            await driver.sees("No errors.", "L shows everything")
            await driver.press("L")
            await driver.press("slash")
            await driver.type("saved best")
            await driver.press("enter")
            await driver.sees("1 of", "checkpoint saved")
            await driver.press("enter")
            await driver.wait(lambda: isinstance(driver.app.screen, ReadingDialog))
            await driver.sees("path", "checkpoints/step-000020")
            await driver.press("escape", "escape")
            await driver.sees("evaluated")
            await driver.press("slash")
            await driver.type("zebra")
            await driver.sees("No event has “zebra” in it.")

    async def test_findings_stand_where_they_were_found_and_dismissed_ones_are_dim(self, runs: SampleRuns) -> None:
        runs.add(RUN, steps=20)
        body = {
            "title": "It overfits",
            "why": "Eval loss rises while train loss falls.",
            "evidence": [{"metric": "eval/loss", "words": "1.02 → 1.30"}],
            "acts": [{"offer": "stop and keep step 10"}],
        }
        found = FindingRow(RUN, "overfitting", "warning", 20, 4e9, None, body)
        runs.store.findings.replace(RUN, [found])
        async with showing(EventsPane(), runs, RUN) as driver:
            await driver.sees("It overfits")
            await driver.press("enter")
            await driver.sees("Eval loss rises", "eval/loss: 1.02 → 1.30", "What helps: stop and keep step 10")
            await driver.press("escape")
            runs.store.findings.dismiss(RUN, "overfitting")
            await driver.read(RUN)
            await driver.sees("It overfits, dismissed")
            await driver.press("L")
            await driver.sees("No warnings and no errors.")

    async def test_the_cursor_stays_on_its_event(self, runs: SampleRuns) -> None:
        runs.add(RUN, status="training", steps=20)
        async with showing(EventsPane(), runs, RUN) as driver:
            listing: Any = driver.pane.query_one("#timeline")
            await driver.press("j", "j")
            before = listing.highlighted
            runs.train(RUN, 21, 30, total_steps=60)
            runs.take_in(RUN)
            await driver.read(RUN)
            assert listing.highlighted == before and listing.cursor > 2
            assert await driver.read(RUN) is None, "nothing has happened since"

    def test_a_phase_that_goes_on_is_one_line_and_a_resume_is_said(self, runs: SampleRuns) -> None:
        def state(seq: int, attempt: int, status: str, **more: Any) -> EventRow:
            return EventRow(RUN, seq, float(seq), attempt, "state", {"status": status} | more)

        run = runs.add(RUN)
        events = [state(seq, 1, "starting", phase="building", progress=seq / 10) for seq in range(9)]
        events += [state(10, 1, "training"), state(11, 1, "evaluating"), state(12, 1, "training")]
        events += [state(13, 2, "queued"), state(14, 2, "starting", from_step=20)]
        words = [entry.words for entry in entries_of(run, events, [], [])]
        assert words == ["attempt 2 resumed from step 20", "queued", "training", "starting: building"]

    def test_events_that_were_skipped_are_counted(self, runs: SampleRuns) -> None:
        run = replace(runs.add(RUN), warnings=3)
        (entry, other) = entries_of(run, [], [], [(12, "no [json]\x1b[2J")])
        assert "at byte 12: no [json]" in entry.words
        assert "2 lines" in other.words and "Update finetui" in other.whole.plain


class TestRecipe:
    async def test_facts_changes_and_reasons(self, runs: SampleRuns) -> None:
        runs.add(RUN, learning_rate=5e-4, max_length=512)
        rundir = RunDir(runs.home.runs / RUN)
        recipe = runs.store.runs.get(RUN)
        assert recipe is not None
        asked = recipe.recipe | {"max_length": "auto"}
        plan = {"plan": {"reasons": {"max_length": "the longest row has 498 tokens"}}}
        write_json(rundir.inputs, {"id": RUN, "asked": asked, "plan": plan})
        async with showing(RecipePane(), runs, RUN, size=(140, 90)) as driver:
            await driver.sees("24 Linear4bit modules", "426 to train", "attempt 1")
            await driver.wait(
                lambda: "● learning_rate = 0.0005" in driver.text() and "default 2e-4" in driver.line("learning_rate =")
            )
            assert "◦ max_length = 512   the longest row has 498 tokens" in driver.text()
            assert "  lora_alpha" in driver.line("lora_alpha =")
            await driver.sees("nearest is", "learning_rate")

    async def test_a_recipe_that_is_gone_and_settings_of_others(self, runs: SampleRuns) -> None:
        runs.add(RUN)
        (runs.home.runs / RUN / "recipe.toml").unlink()
        folder = runs.home.runs / "r2000000000"
        folder.mkdir()
        new = NewRun("r2000000000", "theirs", "gpt2", "", "", "", 1.0, {"lr": 0.1}, str(folder), source="wandb")
        runs.store.runs.add(new)
        async with showing(RecipePane(), runs, RUN) as driver:
            await driver.sees("recipe.toml cannot be read")
            await driver.read("r2000000000")
            await driver.sees("lr  0.1")


def import_rows(runs: SampleRuns, driver_library: Any, rows: int, name: str = "support") -> Any:
    file = runs.home.root.parent / f"{name}.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"q {n}", "response": f"a {n}"}) for n in range(rows)))
    return driver_library.import_file(file, name=name)


@pytest.fixture
def library(runs: SampleRuns) -> Any:
    from engine.datasets.library import DatasetLibrary

    opened = DatasetLibrary(runs.home, runs.store)
    yield opened
    opened.close()


def add_kin(runs: SampleRuns, run_id: str, name: str, *, dataset_id: str = "", **more: Any) -> None:
    """A run without a log that is of some family."""
    folder = runs.home.runs / run_id
    folder.mkdir(exist_ok=True)
    recipe = more.pop("recipe", {"learning_rate": 2e-4})
    runs.store.runs.add(
        NewRun(run_id, name, "starter", "qlora", "support", dataset_id, 1e9, recipe, str(folder), **more)
    )


class TestData:
    async def test_the_card_and_the_way_to_the_rows(self, runs: SampleRuns, library: Any) -> None:
        dataset = import_rows(runs, library, 40)
        newer = import_rows(runs, library, 41)
        add_kin(runs, RUN, "on support", dataset_id=dataset.id, recipe={"max_length": 256})
        async with showing(DataPane(), runs, RUN, size=(120, 40)) as driver:
            await driver.sees("support v1", "v2 is newer: 41 rows", "40", "36 train", "4 val", "cut at 256 tokens")
            await driver.sees("support.jsonl", dataset.id, "Not checked yet", "how it came to be")
            await driver.press("o")
            await driver.wait(lambda: driver.asked)
            (asked,) = driver.asked
            assert isinstance(asked, OpenDataset) and asked.dataset_id == dataset.id != newer.id

    async def test_its_grade_and_faults(self, runs: SampleRuns, library: Any) -> None:
        from engine.datasets.quality import validate

        dataset = import_rows(runs, library, 12)
        library.save_report(dataset.id, validate(library, dataset).to_json())
        add_kin(runs, RUN, "on support", dataset_id=dataset.id)
        async with showing(DataPane(), runs, RUN, size=(120, 50)) as driver:
            report = library.report(dataset.id)
            faults = [check for check in report["checks"] if check["level"] != "info" and check["count"]]
            assert faults
            await driver.sees(faults[0]["title"], "prompts", "characters")

    async def test_data_that_is_gone_or_was_never_here(self, runs: SampleRuns) -> None:
        add_kin(runs, RUN, "orphan", dataset_id="dgone")
        add_kin(runs, "r2000000000", "theirs", source="mlflow")
        async with showing(DataPane(), runs, RUN) as driver:
            await driver.sees("support (dgone) is not in this home any more", "Import its file again")
            assert not driver.pane.check_action("open_dataset", ())
            await driver.read("r2000000000")
            await driver.sees("the run was imported, and its data was not")


class TestLineage:
    async def test_the_tree_opens_runs_data_and_sweeps(self, runs: SampleRuns, library: Any) -> None:
        from store.records import Sweep, SweepStatus

        dataset = import_rows(runs, library, 40)
        sweep = Sweep("s1", "lr by rank", 1.0, SweepStatus.RUNNING, "", None, {}, "/s")
        runs.store.sweeps.add(sweep)
        add_kin(runs, "r0", "first", dataset_id=dataset.id)
        changed = {"learning_rate": 1e-4, "continue_from": "first@300"}
        add_kin(runs, RUN, "second", dataset_id=dataset.id, parent="r0", sweep="s1", recipe=changed)
        add_kin(runs, "r3", "third", dataset_id=dataset.id, parent=RUN)
        add_kin(runs, "r4", "trial 2", dataset_id=dataset.id, sweep="s1")
        async with showing(LineagePane(), runs, RUN, size=(140, 30)) as driver:
            await driver.sees("support v1", "base model starter", "◂ here", "lr by rank", "1 other run")
            here = driver.line("◂ here")
            assert "from step 300" in here and "learning_rate 2e-4 → 1e-4" in here
            text = driver.text()
            assert text.index("└ first") < text.index("└ second") < text.index("└ third") < text.index("trial 2")
            await self.opens(driver, "enter")
            assert not driver.asked, "it is the run one looks at"
            for key, kind in (("k", OpenRun), ("g", OpenDataset), ("G", OpenRun)):
                await self.opens(driver, key, "enter")
                assert isinstance(driver.asked[-1], kind)
            assert [one.run_id for one in driver.asked if isinstance(one, OpenRun)] == ["r0", "r4"]
            await self.opens(driver, "k", "enter")
            assert isinstance(driver.asked[-1], OpenSweeps)

    async def opens(self, driver: PaneDriver[Any], *keys: str) -> None:
        await driver.press(*keys)
        await driver.pilot.pause()

    async def test_alone_it_says_how_a_family_begins(self, runs: SampleRuns) -> None:
        runs.add(RUN)
        async with showing(LineagePane(), runs, RUN, size=(80, 24)) as driver:
            await driver.sees("this version was removed", "no run goes on from it yet", "continue_from")
            assert all(len(line) <= 80 for line in driver.text().splitlines())

    def test_what_changed_in_words(self) -> None:
        assert change_words({"a": 1, "b": 2e-4}, {"a": 1, "b": 1e-4}) == "b 2e-4 → 1e-4"
        many = dict.fromkeys("abcde", 1)
        assert change_words(many, dict.fromkeys("abcde", 2)) == "a 1 → 2, b 1 → 2, c 1 → 2 and 2 more"
        assert change_words({"continue_from": None}, {"continue_from": "x"}) == ""
