"""Work that ends in the moment in which somebody looks at it is shown as it ended, not as given up."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import engine.evaluation.results
import engine.runs.reconcile
import engine.sweeps.manager
from engine.evaluation.folder import EvaluationDir
from engine.evaluation.results import results_of
from engine.evaluation.state import state_of
from engine.export.running import clear_up, exports_of
from engine.export.spec import LOCK, SPEC, Source, Spec
from engine.home import Home
from engine.runs.claim import claimed
from engine.runs.driver_folder import DriverDir, Stage
from engine.runs.reconcile import judge as judge_run
from engine.runs.rundir import RunDir, write_json
from engine.suites.folder import SuiteDir
from engine.suites.state import states_of
from engine.sweeps.folder import SweepDir
from engine.sweeps.manager import judge as judge_sweep
from store import Store, open_store
from store.evaluation_records import Evaluation, Measured
from store.records import Status, SweepStatus
from store.talk_records import SuiteRun
from tests.engine.test_reconcile import was_at_work

EVALUATION = Evaluation("e1", 1.0, "support-test", "split", "d1", "test", ("base:starter",), {}, 2)
FIGURE = Measured("e1", 0, "rouge_l", 0.5, rows=2)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.ensure().db)
    yield opened
    opened.close()


def before(patch: pytest.MonkeyPatch, where: Any, name: str, happens: Callable[[], object]) -> None:
    """Let something happen just before `name` answers."""
    found = getattr(where, name)

    def answer(*arguments: Any, **named: Any) -> Any:
        happens()
        return found(*arguments, **named)

    patch.setattr(where, name, answer)


def test_row_23_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path)
    was_at_work(run)
    ending = {"attempt": 1, "requested": "stop", "signal": 15, "ended": 2.0}
    before(monkeypatch, engine.runs.reconcile, "read_process", lambda: write_json(run.exit, ending))
    found = judge_run(run)
    assert found is not None
    assert (found.status, found.ended) == (Status.STOPPED, 2.0)


def test_row_23_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepDir(tmp_path)
    was_at_work(RunDir(tmp_path))
    ending = {"status": "succeeded", "reason": "", "ended": 2.0}
    before(monkeypatch, engine.sweeps.manager, "read_process", lambda: write_json(folder.exit, ending))
    assert judge_sweep(folder) == (SweepStatus.SUCCEEDED, "", 2.0)


def test_row_23_an_evaluation(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = EvaluationDir.of(home, EVALUATION.id)
    folder.path.mkdir(parents=True)
    store.evaluations.add(EVALUATION)

    def ends() -> None:
        store.evaluations.set_figures(EVALUATION.id, [FIGURE])
        folder.write_figures([FIGURE], "", [])

    with monkeypatch.context() as patch:
        before(patch, DriverDir, "busy", ends)
        assert state_of(home, EVALUATION).stage is Stage.DONE
    folder.figures.unlink()
    store.evaluations.set_figures(EVALUATION.id, [])
    before(monkeypatch, engine.evaluation.results, "state_of", ends)
    results = results_of(store, home, EVALUATION)
    assert (results.state.stage, list(results.figures.values())) == (Stage.DONE, [FIGURE])


def test_row_23_one_that_failed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = EvaluationDir.of(home, EVALUATION.id)
    folder.path.mkdir(parents=True)
    failed = {"ended": 2.0, "error": {"what": "The model is a chair.", "why": "", "fix": ""}}
    before(monkeypatch, DriverDir, "busy", lambda: write_json(folder.exit, failed))
    assert state_of(home, EVALUATION).problem == "The model is a chair."


def test_row_23_the_questions_of_a_suite(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = SuiteRun("t1", "d1", "questions", time.time(), ("base:starter",), {}, 2)
    store.suites.add(run)
    SuiteDir.of(home, run.id).path.mkdir(parents=True)
    before(monkeypatch, DriverDir, "busy", lambda: store.suites.set_ended(run.id, 2.0))
    [found] = states_of(store, home, [run])
    assert (found.stage, found.run.ended) == (Stage.DONE, 2.0)


def test_row_23_an_export_that_begins_is_not_cleared_up(home: Home, tmp_path: Path) -> None:
    place = tmp_path / "staging"
    place.mkdir()
    source = Source("mine", "/models/mine", "mine", None, "lora", None)
    spec = Spec("e1", "merged", source, "mine", str(tmp_path / "out"), str(place))
    folder = exports_of(home) / spec.id
    folder.mkdir(parents=True)
    with claimed(folder / LOCK, "taken"):
        write_json(folder / SPEC, spec.to_json())
        clear_up(home)
        assert place.exists()
    clear_up(home)
    assert not place.exists(), "nobody is at work on it any more"
