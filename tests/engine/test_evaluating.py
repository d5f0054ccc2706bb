"""Evaluations: chosen, measured by a process, stopped, killed and gone on with; a stand-in measures."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row, Turn
from engine.errors import BadInput, FinetuiError, NotFound
from engine.evaluation.driver import start_driver
from engine.evaluation.folder import EvaluationDir
from engine.evaluation.probes import probe_set
from engine.evaluation.reading import (
    Chosen,
    choose_probes,
    choose_split,
    choose_suite,
    some,
    split_row,
    trained_on,
)
from engine.evaluation.rows import EvaluationRow, row_document
from engine.evaluation.running import Options, drive, find_evaluation, new_evaluation
from engine.evaluation.state import rebuild, remove_evaluation, state_of, stop_evaluation
from engine.evaluation.subjects import base_for, labels, named, seated, with_first
from engine.evaluation.worker_process import needed_bytes
from engine.home import Home
from engine.runs.driver_folder import Stage
from engine.runs.leases import read_holders
from engine.runs.rundir import RunDir, write_json
from engine.suites.reading import Suite, SuitePrompt
from store import Store, open_store
from store.evaluation_records import Evaluation
from store.records import Dataset
from tests.engine.models_made import make_model, make_starter
from tests.store.builders import new_run, the

STAND_IN = Path(__file__).with_name("evaluation_stand_in.py")
PATIENCE_S = 60.0


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.ensure().db)
    yield opened
    opened.close()


@pytest.fixture
def library(home: Home, store: Store) -> Iterator[DatasetLibrary]:
    opened = DatasetLibrary(home, store)
    yield opened
    opened.close()


@pytest.fixture
def support(library: DatasetLibrary, tmp_path: Path) -> Dataset:
    """Twelve conversations; two of the four test rows have the same category, one asks nothing."""
    rows = []
    for number in range(12):
        messages = [
            {"role": "system", "content": "be short"},
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": f"answer {number} of the day"},
        ]
        if number == 9:
            messages = [{"role": "assistant", "content": "welcome"}]
        split = "test" if number >= 8 else "train"
        rows.append({"messages": messages, "split": split, "category": "odd" if number % 2 else "even"})
    file = tmp_path / "support.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return library.import_file(file)


@pytest.fixture
def run(home: Home, store: Store) -> str:
    """A run with an adapter, on the starter model."""
    make_starter(home)
    folder = RunDir(home.runs / "r1")
    folder.adapter.mkdir(parents=True)
    (folder.adapter / "adapter_model.safetensors").write_bytes(b"")
    write_json(folder.inputs, {"model": {"path": str(home.starter), "revision": None}})
    store.runs.add(new_run("r1", "tuned", dir=str(folder.path), method="lora"))
    return "r1"


@pytest.fixture
def chosen(library: DatasetLibrary, support: Dataset) -> Chosen:
    return choose_split(library, support)


@pytest.fixture
def made(home: Home, store: Store, chosen: Chosen, run: str) -> Evaluation:
    return new_evaluation(home, store, chosen, ("base:starter", run), Options())


def stand_in(how: str) -> list[str]:
    return [sys.executable, str(STAND_IN), how]


def measured(home: Home, store: Store, evaluation: Evaluation, how: str = "well") -> Evaluation:
    return drive(home, store, evaluation, worker=stand_in(how))


def wait_for(told: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not told():
        assert time.monotonic() < give_up
        time.sleep(0.02)


# what is asked


def test_the_rows_held_out_are_asked_up_to_their_last_answer(chosen: Chosen, support: Dataset) -> None:
    assert (chosen.kind, chosen.data, chosen.split) == ("split", support.id, "test")
    assert [row.row for row in chosen.rows] == [8, 10, 11]
    first = chosen.rows[0]
    assert [message["role"] for message in first.messages] == ["system", "user"] and first.question == "question 8"
    assert first.expected == "answer 8 of the day" and first.about == {"category": "even"}
    assert chosen.notes == ("1 rows of the split have no answer to compare with and were left out.",)


def test_a_split_that_is_not_there_is_refused(library: DatasetLibrary, support: Dataset) -> None:
    with pytest.raises(BadInput, match="held out under the name 'validation'") as refused:
        choose_split(library, support, "validation")
    assert "train (8), test (4)" in refused.value.why or "test (4)" in refused.value.why
    assert "finetui datasets split support" in refused.value.fix
    told = choose_split(library, support, "train")
    assert len(told.rows) == 8 and "trained on the split train" in told.notes[0]


def test_of_other_shapes_what_is_wanted_is_expected() -> None:
    question = (Turn("user", "hi"),)
    pair = Row(0, "test", question, {}, chosen=(Turn("assistant", "good"),), rejected=(Turn("assistant", "bad"),))
    assert (row := split_row(pair)) is not None and row.expected == "good"
    assert split_row(Row(0, "test", (*question, Turn("assistant", "no")), {}, label=False)) is None
    assert split_row(Row(0, "test", (Turn("assistant", "said first"),), {})) is None
    text = split_row(Row(3, "test", (Turn("text", "once upon a time"),), {}))
    assert text is not None and text.messages == () and text.expected == "once upon a time"
    several = split_row(
        Row(0, "test", (*question, Turn("assistant", "a"), Turn("user", "b"), Turn("assistant", "c")), {})
    )
    assert several is not None and len(several.messages) == 3 and several.expected == "c"


def test_the_turns_of_a_suite_follow_their_references() -> None:
    prompts = (
        SuitePrompt(0, ("one", "two"), "a", ("first", "second"), "be kind"),
        SuitePrompt(1, ("three", "four")),
    )
    chosen = choose_suite(Suite("s1", "asked", 2, prompts))
    assert [(row.row, row.question, row.expected) for row in chosen.rows] == [
        (0, "one", "first"),
        (1, "two", "second"),
        (2, "three", None),
    ]
    assert [message["content"] for message in chosen.rows[1].messages] == ["be kind", "one", "first", "two"]
    assert chosen.rows[1].about == {"prompt": 0, "turn": 1, "category": "a"} and chosen.name == "asked v2"
    assert chosen.notes == ("1 later turns were left out: the turns before them have no reference.",)


def test_texts_may_hold_every_kind_of_line_end(tmp_path: Path) -> None:
    folder = EvaluationDir(tmp_path / "e1")
    folder.path.mkdir()
    row = EvaluationRow(0, ({"role": "user", "content": "one\u2028two\x85three\nfour"},), "five\u2029six", about={})
    folder.rows.write_text(json.dumps(row_document(row), ensure_ascii=False) + "\n", encoding="utf-8")
    assert folder.read_rows() == [row]


def test_rows_are_drawn_by_the_seed(chosen: Chosen) -> None:
    drawn = [tuple(row.row for row in some(chosen, 2, seed).rows) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1] and len({*drawn}) > 1 and all(rows == tuple(sorted(rows)) for rows in drawn)
    assert some(chosen, 3, 1) is chosen and "2 of 3 rows, drawn with seed 1." in some(chosen, 2, 1).notes


def test_probes_are_asked_with_their_choices() -> None:
    chosen = choose_probes(probe_set("general"))
    assert chosen.kind == "retention" and len(chosen.rows) >= 100 and chosen.name == "general"
    assert all(row.choices and row.answer is not None for row in chosen.rows)


# who is asked


def test_models_are_named_as_people_name_them(home: Home, store: Store, run: str, tmp_path: Path) -> None:
    make_model(tmp_path / "merged")
    merged = f"path:{tmp_path / 'merged'}"
    assert named(store, home, "tuned") == "r1" and named(store, home, merged) == merged
    assert named(store, home, "base:starter") == "base:starter" and base_for(store, ["r1"]) == "base:starter"
    assert base_for(store, [merged]) == "" and with_first(["r1", merged, "r1"], "base:starter") == (
        "base:starter",
        "r1",
        merged,
    )
    assert labels(store, ["base:starter", "r1", merged, "gone"]) == ["starter (base)", "tuned", "merged", "gone"]
    panes = seated(store, home, [merged, "base:starter", "r1"])
    assert [pane.model for pane in panes] == [str(tmp_path / "merged"), str(home.starter), str(home.starter)]
    assert panes[0].adapter is None and panes[2].adapter == home.runs / "r1" / "adapter"
    assert needed_bytes(home, panes) > 2 << 30 and needed_bytes(home, [replace(panes[0], model="nothing")]) == 0
    for wrong in ("nobody", "base:nothing-at-all", f"path:{tmp_path / 'no'}"):
        with pytest.raises(BadInput):
            named(store, home, wrong)


def test_runs_of_different_data_are_warned_of(support: Dataset) -> None:
    assert [*trained_on([support, support])] == []
    assert "support v1, other v1" in next(trained_on([support, replace(support, id="d2", name="other")]))


# making


def test_a_folder_has_all_that_the_worker_needs(home: Home, store: Store, made: Evaluation) -> None:
    folder = EvaluationDir.of(home, made.id)
    spec = folder.read(folder.spec)
    assert spec["kind"] == "split" and spec["generate"] and spec["score"] and spec["batch_rows"] == 16
    assert [(one["label"], one["adapter"]) for one in spec["models"]] == [
        ("starter (base)", None),
        ("tuned", str(home.runs / "r1" / "adapter")),
    ]
    assert len({(one["base"], one["method"], one["precision"]) for one in spec["models"]}) == 1, "loaded once"
    assert spec["sampling"] == {"max_new_tokens": 256, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "seed": 0}
    assert store.evaluations.get(made.id) == made and made.name == "support-test" and made.rows == 3
    assert folder.record() == made
    only = Options(measures=("perplexity",))
    scored = new_evaluation(home, store, choose_probes(probe_set("starter")), ["r1"], Options(), name="kept")
    assert scored.settings["max_new_tokens"] == 32 and scored.settings["generate"] and scored.settings["score"]
    again = new_evaluation(home, store, replace_rows(folder), ["r1"], only)
    assert again.name == "support-test-2" and not again.settings["generate"] and again.settings["score"]


def replace_rows(folder: EvaluationDir) -> Chosen:
    return Chosen("split", "d1", "support v1", "test", tuple(folder.read_rows()))


def test_what_cannot_be_measured_is_refused(home: Home, store: Store, chosen: Chosen, run: str) -> None:
    with pytest.raises(BadInput, match="No model"):
        new_evaluation(home, store, chosen, [], Options())
    with pytest.raises(BadInput, match="measure"):
        new_evaluation(home, store, chosen, [run], Options(measures=("beauty",)))
    store.runs.add(new_run("r2", "empty", dir=str(home.runs / "r2")))
    with pytest.raises(BadInput, match="no adapter yet"):
        new_evaluation(home, store, chosen, ["r2"], Options())
    assert store.evaluations.list() == [] and not home.evaluations.exists()


# measuring


def test_models_are_measured_beside_the_base(home: Home, store: Store, made: Evaluation) -> None:
    ended = measured(home, store, made)
    assert ended.ended is not None and ended.reason == "" and store.evaluations.get(made.id) == ended
    figures = {(one.model, one.metric): one for one in store.evaluations.figures(made.id)}
    assert figures[1, "exact_match"].value == 1.0 and figures[0, "exact_match"].value == 0.0
    assert figures[1, "exact_match"].difference == 1.0 and figures[1, "exact_match"].rows == 3
    assert figures[1, "perplexity"].value < figures[0, "perplexity"].value
    assert figures[0, "perplexity"].difference is None, "it is what the others are compared with"
    assert the(store.runs.get("r1")).figures["rouge_l"] == pytest.approx(1.0)
    state = state_of(home, ended)
    assert (state.stage, state.done, state.total) == (Stage.DONE, 6, 6)
    folder = EvaluationDir.of(home, made.id)
    told = folder.read(folder.figures)
    assert told["tokenizer"] and "no answer to compare with" in told["notes"][0]
    assert not folder.busy() and read_holders(home.root / "leases") == {}, "the device is free again"
    assert find_evaluation(store, "support-test") == ended and find_evaluation(store, made.id[:5]) == ended


def test_a_worker_that_is_killed_goes_on_where_it_was(home: Home, store: Store, made: Evaluation) -> None:
    assert measured(home, store, made, "killed").reason == ""
    folder = EvaluationDir.of(home, made.id)
    lines = [(line["row"], line["model"]) for line in folder.answer_lines()]
    assert len(lines) == len({*lines}) == 6 and folder.read(folder.spec)["batch_rows"] == 8
    assert "taking all the memory" in folder.log.read_text()


def test_why_a_worker_cannot_go_on_is_said(home: Home, store: Store, made: Evaluation) -> None:
    with pytest.raises(FinetuiError, match="could not be measured") as refused:
        measured(home, store, made, "refuse")
    assert refused.value.why == "The model is a chair." and f"--resume {made.id}" in refused.value.fix
    state = state_of(home, the_evaluation(store, made.id))
    assert state.stage is Stage.FAILED and "a chair" in state.problem
    assert "a chair" in the_evaluation(store, made.id).reason
    with pytest.raises(FinetuiError, match="6 answers are missing"):
        measured(home, store, made, "lazy")
    assert measured(home, store, made).reason == "" and state_of(home, made).stage is Stage.DONE


def the_evaluation(store: Store, evaluation: str) -> Evaluation:
    found = store.evaluations.get(evaluation)
    assert found is not None
    return found


def test_rows_that_one_model_cannot_answer_count_for_none(home: Home, store: Store, made: Evaluation) -> None:
    measured(home, store, made, "error")
    folder = EvaluationDir.of(home, made.id)
    assert {one.rows for one in folder.measured() if one.metric == "rouge_l"} == {2}
    assert "1 rows that a model could not answer" in folder.read(folder.figures)["notes"][-1]
    measured(home, store, made)
    assert {one.rows for one in folder.measured() if one.metric == "rouge_l"} == {3}, "they are asked again"


def test_it_ends_when_it_is_stopped_and_goes_on_later(home: Home, store: Store, made: Evaluation) -> None:
    folder = EvaluationDir.of(home, made.id)
    seen: list[Stage] = []

    def look() -> None:
        state = state_of(home, made)
        seen.append(state.stage)
        if state.done == 2:
            assert state.doing == "measuring: starter (base)" and stop_evaluation(home, made.id)
            with pytest.raises(BadInput, match="being made already"):
                remove_evaluation(store, home, made)

    ended = drive(home, store, made, worker=stand_in("slow"), on_look=look)
    assert {*seen} == {Stage.RUNNING} and ended.reason == "It was stopped."
    assert state_of(home, ended).stage is Stage.STOPPED and len([*folder.answer_lines()]) == 2
    assert measured(home, store, made).reason == "" and len([*folder.answer_lines()]) == 6


def test_one_that_cannot_be_started_is_not_taken_for_at_work(
    home: Home, store: Store, made: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: EvaluationDir, *_words: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(EvaluationDir, "say", full)
        with pytest.raises(OSError, match="No space left"):
            start_driver(home, made.id)
    assert state_of(home, made).stage is Stage.STOPPED
    assert measured(home, store, made).reason == ""


def test_a_worker_whose_driver_was_killed_can_be_stopped(home: Home, store: Store, made: Evaluation) -> None:
    folder = EvaluationDir.of(home, made.id)
    start = (
        "import sys; from pathlib import Path; from engine.evaluation.running import drive, find_evaluation;"
        "from engine.home import Home; from store import open_store; home = Home(Path(sys.argv[1]));"
        "store = open_store(home.db); drive(home, store, find_evaluation(store, sys.argv[2]), worker=sys.argv[3:])"
    )
    words = [str(home.root), made.id, *stand_in("slow")]
    driver = subprocess.Popen([sys.executable, "-c", start, *words], cwd=STAND_IN.parents[2])
    try:
        wait_for(lambda: len([*folder.answer_lines()]) == 2)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        assert folder.busy() and read_holders(home.root / "leases"), "the worker has the device still"
        assert state_of(home, made).stage is Stage.RUNNING
        with pytest.raises(BadInput, match="being made already"), folder.begun():
            pass
        stop_evaluation(home, made.id)
        wait_for(lambda: not folder.busy())
    finally:
        driver.kill()
        driver.wait()
    assert measured(home, store, made).reason == "" and len([*folder.answer_lines()]) == 6


def test_the_store_is_made_again_from_the_folders(home: Home, store: Store, made: Evaluation) -> None:
    ended = measured(home, store, made)
    figures = store.evaluations.figures(made.id)
    store.evaluations.delete(made.id)
    (home.evaluations / "strange").mkdir()
    assert rebuild(store, home) == 1 and rebuild(store, home) == 1
    again = the_evaluation(store, made.id)
    assert again == replace(ended, ended=again.ended) and store.evaluations.figures(made.id) == figures
    remove_evaluation(store, home, again)
    assert store.evaluations.list() == [] and not (home.evaluations / made.id).exists()
    with pytest.raises(NotFound, match="no evaluation"):
        find_evaluation(store, made.id)


def test_damaged_lines_are_left_out(home: Home, store: Store, made: Evaluation) -> None:
    measured(home, store, made)
    folder = EvaluationDir.of(home, made.id)
    whole = folder.read_answers()
    with folder.answers.open("a") as file:
        file.write('nonsense\n[1]\n{"row": "x", "model": 0}\n{"row": 77, "model": 0}\n{"row": 8, "model": 0, "te')
    assert folder.read_answers() == whole
    folder.rows.write_text("{")
    with pytest.raises(FinetuiError, match="cannot be read"):
        folder.read_rows()
