"""Prompt suites: read, asked in batches, stopped, killed and gone on with."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.inference.pool import Pane, Sampling
from engine.runs.driver_folder import Stage
from engine.runs.rundir import RunDir, write_json
from engine.suites.asking import SuiteProgress
from engine.suites.driver import start_driver
from engine.suites.figures import figures_of
from engine.suites.folder import SuiteDir
from engine.suites.reading import SHIPPED, Suite, find_suite, read_suite, suite_datasets
from engine.suites.running import find_suite_run, go_on, new_suite_run, run_suite, sampling_of
from engine.suites.seating import labels_of, models_of, panes_of
from engine.suites.state import remove_suite_run, states_of, stop_suite_run
from store import Store, open_store
from store.talk_records import SuiteRun
from tests.engine.suite_stand_in import StandInPool, too_long
from tests.store.builders import new_run, the

BASE = Pane("base", "/models/starter", None, True, None, None)
TUNED = replace(BASE, label="tuned", adapter=Path("/runs/r1/adapter"), run_id="r1")
OTHER = replace(BASE, label="other", model="/models/other")
MODELS = ("base:starter", "r1")
SAMPLING = Sampling(max_new_tokens=64, temperature=0.5, stop=("\n\n",))
SOURCE = Path(__file__).parents[2]

QUESTIONS = [
    {"category": "a", "turns": ["one", "and then"], "reference": ["a good first answer here", "two"]},
    {"category": "b", "turns": ["two"]},
    {"category": "a", "turns": ["three"], "reference": ["x"]},
]


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
def suite(library: DatasetLibrary, tmp_path: Path) -> Suite:
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, QUESTIONS)))
    return read_suite(library, find_suite(library, str(file)))


def ask(
    store: Store, suite: Suite, pool: StandInPool, batch: int = 4, stop: Callable[[], bool] | None = None
) -> SuiteRun:
    return run_suite(store, pool, suite, [BASE, TUNED], MODELS, SAMPLING, batch=batch, stop=stop)


# reading


def test_turns_categories_and_references_are_read(suite: Suite) -> None:
    first, second, _ = suite.prompts
    assert first.turns == ("one", "and then") and first.category == "a"
    assert (first.reference(0), first.reference(1), first.reference(2)) == ("a good first answer here", "two", "")
    assert second.references == () and suite.turns == 4 and suite.categories == ["a", "b"]
    assert suite.first(1).prompts == (first,)


def test_conversations_are_asked_what_their_users_ask(library: DatasetLibrary, tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    turns = [("system", "Be brief."), ("user", "a?"), ("assistant", "A."), ("user", "b?"), ("assistant", "B.")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns], "topic": "letters"}
    file.write_text(json.dumps(row) + "\n" + json.dumps({"messages": row["messages"][1:3]}))
    prompt = read_suite(library, library.import_file(file, validation=0)).prompts[0]
    assert prompt.turns == ("a?", "b?") and prompt.references == ("A.", "B.")
    assert prompt.system == "Be brief." and prompt.category == "letters"


def test_a_toml_file_is_a_suite_and_the_same_file_the_same_suite(library: DatasetLibrary, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[prompts]]\nturns = ["Hi", "And?"]\ncategory = "x"\n[[prompts]]\nturns = ["Ho"]\n')
    dataset = find_suite(library, str(file))
    assert find_suite(library, str(file)) == dataset and find_suite(library, "mine") == dataset
    assert [prompt.turns for prompt in read_suite(library, dataset).prompts] == [("Hi", "And?"), ("Ho",)]
    assert library.card(dataset.id)["source"]["file"] == "mine.toml"
    file.write_text("prompts = 3")
    with pytest.raises(BadInput, match="holds no prompts"):
        find_suite(library, str(file))


def test_the_suite_that_is_shipped_is_there_when_asked_for(library: DatasetLibrary) -> None:
    assert suite_datasets(library) == []
    dataset = find_suite(library, SHIPPED)
    assert find_suite(library, SHIPPED) == dataset and suite_datasets(library) == [dataset]
    read = read_suite(library, dataset)
    assert len(read.prompts) == 20 and [len(one.turns) for one in read.prompts].count(2) == 3
    assert len(read.categories) >= 5 and all(prompt.category for prompt in read.prompts)
    with pytest.raises(NotFound, match="no suite 'nothing'"):
        find_suite(library, "nothing")


def test_what_asks_nothing_is_no_suite(library: DatasetLibrary, tmp_path: Path) -> None:
    file = tmp_path / "text.jsonl"
    file.write_text('{"text": "Once upon a time"}\n{"text": "there was a fern."}\n')
    with pytest.raises(BadInput, match="nothing to ask"):
        read_suite(library, library.import_file(file, shape="text"))


# asking


def test_every_model_answers_every_turn_after_its_own_words(store: Store, suite: Suite) -> None:
    pool = StandInPool()
    told: list[SuiteProgress] = []
    run = run_suite(store, pool, suite, [BASE, TUNED], MODELS, SAMPLING, batch=4, on_progress=told.append, system="S")
    answers = {(one.position, one.turn, one.model): one for one in store.suites.answers(run.id)}
    assert len(answers) == 8 and not any(one.error for one in answers.values())
    assert answers[0, 1, 1].text == "tuned on and then" and answers[2, 0, 0].text == "base on three"
    assert answers[0, 0, 0].tokens is not None and answers[0, 0, 0].tokens_per_s == 20.0
    assert run.ended is not None and store.suites.get(run.id) == run
    assert [len(request) for request in pool.asked] == [4, 4], "prompts and models share batches"
    second = next(messages for label, messages in pool.asked[1] if label == "tuned" and len(messages) > 2)
    assert [message["content"] for message in second] == ["S", "one", "tuned on one", "and then"]
    assert (told[0].done, told[-1].done, told[-1].total, told[-1].eta_s) == (0, 8, 8, 0.0)
    assert sampling_of(run) == SAMPLING and run.name == "questions"
    assert new_suite_run(store, suite, MODELS, SAMPLING).name == "questions-2"


def test_a_stop_leaves_what_is_there_and_going_on_asks_the_rest(store: Store, suite: Suite) -> None:
    pool = StandInPool(delay_s=0.05)
    run = ask(store, suite, pool, batch=1, stop=lambda: len(store.suites.answers(store.suites.list()[0].id)) >= 3)
    kept = store.suites.answers(run.id)
    assert run.ended is None and 3 <= len(kept) < 8
    again = StandInPool()
    after = go_on(store, again, suite, [BASE, TUNED], run)
    assert after.ended is not None and len(store.suites.answers(run.id)) == 8
    assert sum(map(len, again.asked)) == 8 - len(kept), "only what is missing"
    turns = {messages[-1]["content"]: messages for request in again.asked for _, messages in request}
    assert "and then" not in turns or len(turns["and then"]) == 3


def test_one_prompt_that_is_refused_costs_no_other_its_answer(store: Store, suite: Suite) -> None:
    pool = StandInPool()
    pool.refuse = too_long("one")
    run = ask(store, suite, pool)
    answers = {(one.position, one.turn, one.model): one for one in store.suites.answers(run.id)}
    assert run.ended is not None and len(answers) == 8
    assert "too long" in answers[0, 0, 0].error and answers[0, 1, 1].error == "Turn 1 was not answered."
    assert not answers[1, 0, 0].error and not answers[2, 0, 1].error
    pool.refuse = lambda _: None
    asked = len(pool.asked)
    go_on(store, pool, suite, [BASE, TUNED], run)
    assert sum(map(len, pool.asked[asked:])) == 4 and store.suites.counts([run.id])[run.id].errors == 0


def test_a_batch_too_large_for_the_memory_is_asked_in_parts(store: Store, suite: Suite) -> None:
    pool = StandInPool()
    pool.refuse = lambda conversations: FinetuiError("CUDA out of memory") if len(conversations) > 2 else None
    run = ask(store, suite, pool, batch=8)
    assert store.suites.counts([run.id])[run.id].answers == 8 and run.ended is not None


def test_a_server_that_does_not_start_ends_it_and_leaves_it_open(store: Store, suite: Suite) -> None:
    pool = StandInPool()
    pool.refuse = lambda _: FinetuiError("The model server ended while it was starting.")
    with pytest.raises(FinetuiError, match="while it was starting"):
        ask(store, suite, pool)
    assert len(pool.asked) == 2, "it was not asked for each prompt"
    [run] = store.suites.list()
    assert run.ended is None and store.suites.answers(run.id) == []


def test_a_model_that_cannot_answer_does_not_keep_the_others_from_it(store: Store, library: DatasetLibrary) -> None:
    suite = read_suite(library, find_suite(library, SHIPPED))
    pool = StandInPool()
    pool.fail = lambda pane, _: "no such model" if pane.label == "other" else None
    with pytest.raises(FinetuiError, match="no such model"):
        run_suite(store, pool, suite, [BASE, OTHER], ("base:starter", "base:other"), SAMPLING, batch=4)
    [run] = store.suites.list()
    answers = store.suites.answers(run.id)
    assert len([one for one in answers if one.model == 0 and not one.error]) == 23
    assert all(one.error for one in answers if one.model == 1) and run.ended is None
    assert sum(label == "other" for request in pool.asked for label, _ in request) < 20, "it was given up"


def test_figures_compare_with_the_reference_and_the_first_model(store: Store, suite: Suite) -> None:
    pool = StandInPool()
    pool.fail = lambda pane, messages: "no" if pane.label == "tuned" and messages[-1]["content"] == "two" else None
    run = ask(store, suite, pool)
    base, tuned = figures_of(suite, 2, store.suites.answers(run.id))
    assert (base.answered, base.errors, tuned.answered, tuned.errors, tuned.missing) == (4, 0, 3, 1, 0)
    assert base.tokens_per_s == pytest.approx(20.0) and base.first_token_s == 0.5
    assert base.length_ratio == 3.0 and base.same_as_first is None and tuned.same_as_first == 0
    empty = figures_of(suite, 1, [])[0]
    assert empty.missing == 4 and empty.mean_tokens is None and empty.length_ratio is None


# processes


def start(home: Home, suite_run: str, delay_s: str = "0.3") -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.engine.suite_stand_in", str(home.root), suite_run, delay_s]
    return subprocess.Popen(command, cwd=SOURCE)


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.fixture
def tuned(home: Home, store: Store) -> SuiteRun:
    """A run with an adapter, and a suite run of the shipped suite for it alone, of which nothing was asked."""
    folder = RunDir(home.runs / "r1")
    folder.adapter.mkdir(parents=True)
    (folder.adapter / "adapter_model.safetensors").touch()
    write_json(folder.inputs, {"model": {"name": "starter", "path": "/models/starter"}})
    store.runs.add(new_run("r1", "tuned", dir=str(folder.path)))
    library = DatasetLibrary(home, store)
    suite = read_suite(library, find_suite(library, SHIPPED))
    library.close()
    return new_suite_run(store, suite, ["r1"], SAMPLING)


def test_killed_in_the_middle_it_goes_on_where_it_was(home: Home, store: Store, tuned: SuiteRun) -> None:
    def state() -> Stage:
        return states_of(store, home, [tuned])[0].stage

    assert state() is Stage.STOPPED
    process = start(home, tuned.id, "0.6")
    wait_for(lambda: store.suites.counts([tuned.id])[tuned.id].answers >= 5)
    assert state() is Stage.RUNNING
    with pytest.raises(BadInput, match="asked already"), SuiteDir.of(home, tuned.id).begun():
        pass
    process.send_signal(signal.SIGKILL)
    process.wait(90)
    kept = store.suites.answers(tuned.id)
    assert 5 <= len(kept) < 23 and state() is Stage.STOPPED
    again = start(home, tuned.id, "0")
    assert again.wait(90) == 0
    answers = store.suites.answers(tuned.id)
    assert len(answers) == 23 and {*kept} <= {*answers}
    now = find_suite_run(store, tuned.id)
    found = states_of(store, home, [now])[0]
    assert found.stage is Stage.DONE and (found.done, found.total, found.errors) == (23, 23, 0)


def test_told_to_stop_it_stops(home: Home, store: Store, tuned: SuiteRun) -> None:
    assert not stop_suite_run(home, tuned.id), "nobody is at work"
    process = start(home, tuned.id)
    wait_for(lambda: store.suites.answers(tuned.id))
    assert stop_suite_run(home, tuned.id)
    with pytest.raises(BadInput, match="asked already"):
        remove_suite_run(store, home, tuned)
    assert process.wait(90) == 0
    [found] = states_of(store, home, [tuned])
    assert found.stage is Stage.STOPPED and 0 < found.done < found.total == 23
    remove_suite_run(store, home, tuned)
    assert store.suites.list() == [] and not SuiteDir.of(home, tuned.id).path.exists()


def test_a_process_of_its_own_says_why_it_could_not_ask(home: Home, store: Store, tuned: SuiteRun) -> None:
    gone = replace(tuned, id="t0gone", name="gone", models=("r9",))
    store.suites.add(gone)
    assert start_driver(home, gone.id).wait(90) == 1
    [found] = states_of(store, home, [gone])
    assert found.stage is Stage.FAILED and "no run r9" in found.problem and found.total == 20
    assert "no run r9" in SuiteDir.of(home, gone.id).log.read_text()


def test_models_are_seated_by_their_names(home: Home, store: Store, tuned: SuiteRun) -> None:
    run = the(store.runs.get("r1"))
    assert models_of([run], []) == ("base:starter", "r1") and models_of([run], [], with_base=False) == ("r1",)
    assert models_of([run], ["a", "b"]) == ("base:a", "base:b", "r1")
    [pane] = panes_of(store, home, ["r1"])
    assert pane.run_id == "r1" and pane.adapter == home.runs / "r1" / "adapter"
    assert labels_of(store, ["base:starter", "r1", "r2"]) == ["starter", "tuned", "r2"]
    with pytest.raises(NotFound, match="no run r2"):
        panes_of(store, home, ["r2"])
