"""Sweeps from start to end, with real drivers, supervisors, optuna and store, and a stand-in for the worker."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.runs.identity import read_process
from engine.runs.rundir import read_json
from engine.sweeps.folder import SweepDir, TrialState
from engine.sweeps.manager import SweepManager
from engine.sweeps.spec import SweepSpec, make_spec
from store import Store, open_store
from store.records import Run, Status, Sweep, SweepStatus
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import PROJECT, import_support, put_away, wait_for

WORKER = str(PROJECT / "tests" / "engine" / "sweep_stand_in.py")
Managers = Callable[..., SweepManager]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    home = Home(tmp_path / "home").ensure()
    make_starter(home)
    with put_away(home.runs), put_away(home.sweeps):
        yield home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = open_store(home.db)
    import_support(home, store)
    yield store
    store.close()


@pytest.fixture
def managers(home: Home, store: Store) -> Managers:
    """Makes managers whose runs are trained by the stand-in with the options given."""
    return lambda *options: SweepManager(home, store, worker=["python", WORKER, *options])


def spec(**values: Any) -> SweepSpec:
    search = {"learning_rate": [1e-4, 1e-3], "lora_r": [8, 16]}
    return make_spec(
        {"name": "rates", "method": "grid", "prune": False, "search": search, "recipe": {"dataset": "support"}} | values
    )


def ended(manager: SweepManager, sweep: Sweep) -> Sweep:
    def over() -> Sweep | None:
        found = manager.get(sweep.id)
        return None if found.status.live else found

    found: Sweep = wait_for(over, 180)
    return found


def runs_of(store: Store, sweep: Sweep) -> list[Run]:
    found = [store.runs.get(run_id) for run_id in store.sweeps.run_ids(sweep.id)]
    return [run for run in found if run is not None]


def test_a_grid_of_eight_killed_and_resumed(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold")
    rates = [3e-3, 1e-3, 1e-4, 1e-5]
    sweep = manager.start(spec(search={"learning_rate": rates, "lora_r": [8, 16]}, concurrency=2))
    folder = SweepDir(Path(sweep.dir))
    assert sweep.status is SweepStatus.RUNNING and sweep.name == "rates"
    wait_for(lambda: len(folder.read_trials()) == 2 and any(run.step for run in runs_of(store, sweep)))
    driver = wait_for(lambda: read_process(folder.process))
    assert driver.supervisor is not None
    assert os.getsid(driver.supervisor.pid) == driver.supervisor.pid, "it outlives who started it"
    os.kill(driver.supervisor.pid, signal.SIGKILL)
    lost = ended(manager, sweep)
    assert lost.status is SweepStatus.LOST and "killed" in lost.reason
    with sqlite3.connect(folder.study) as study:  # as if it had been killed between a launch and noting it
        assert study.execute("DELETE FROM trial_user_attributes WHERE key = 'run'").rowcount == 2
    study.close()
    (home.root / "go").touch()
    manager.resume(sweep.id)
    done = ended(manager, sweep)
    assert (done.status, done.reason) == (SweepStatus.SUCCEEDED, "")
    runs = runs_of(store, sweep)
    assert [run.name for run in runs] == [f"rates-{number:02d}" for number in range(1, 9)], "none twice"
    assert [(run.recipe["learning_rate"], run.recipe["lora_r"]) for run in runs] == [
        (rate, rank) for rate in rates for rank in (8, 16)
    ]
    assert {run.status for run in runs} == {Status.SUCCEEDED} and {run.attempt for run in runs} == {1}
    trials = folder.read_trials()
    assert [trial.run_id for trial in trials] == [run.id for run in runs]
    best = min(trials, key=lambda trial: trial.value or 9)
    assert best.params == {"learning_rate": 1e-3, "lora_r": 8}
    assert best.value == pytest.approx(1 + 1 / 40) and best.step == 40, "step 0 is the base model's"
    with pytest.raises(BadInput, match="cannot be resumed"):
        manager.resume(sweep.id)


def test_trials_that_do_worse_are_pruned(store: Store, managers: Managers) -> None:
    manager = managers("--hold-worst")
    rates = {"learning_rate": [1e-3, 2e-3, 1e-6]}
    sweep = manager.start(spec(search=rates, prune=True, startup_trials=2, warmup_evaluations=1))
    assert ended(manager, sweep).status is SweepStatus.SUCCEEDED
    trials = SweepDir(Path(sweep.dir)).read_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED]
    assert trials[2].reason == "pruned at step 20: eval/loss 4.05 is worse than the median"
    run = store.runs.get(trials[2].run_id)
    assert run is not None
    assert (run.status, run.reason) == (Status.STOPPED, trials[2].reason), "and its own log says so"
    assert run.step == 20


def test_stopped_and_gone_on_with(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold")
    rates = {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}
    sweep = manager.start(spec(search=rates, method="tpe", trials=2))
    wait_for(lambda: any(run.step for run in runs_of(store, sweep)))
    with pytest.raises(BadInput, match="Stop it first"):
        manager.remove(sweep.id)
    manager.stop(sweep.id)
    assert manager.get(sweep.id).status is SweepStatus.STOPPING
    stopped = ended(manager, sweep)
    assert (stopped.status, stopped.reason) == (SweepStatus.STOPPED, "1 of 2 trials begun")
    assert [(run.status, run.step) for run in runs_of(store, sweep)] == [(Status.STOPPED, 10)]
    (home.root / "go").touch()
    manager.resume(sweep.id)
    assert ended(manager, sweep).status is SweepStatus.SUCCEEDED
    first, second = runs_of(store, sweep)
    assert (first.attempt, second.attempt) == (2, 1), "the run that had been stopped went on"
    store.sweeps.delete(sweep.id)
    assert manager.rebuild() == 1
    again = manager.get(sweep.id)
    assert (again.name, again.status) == ("rates", SweepStatus.SUCCEEDED)
    manager.remove(sweep.id)
    assert not Path(sweep.dir).exists() and store.runs.count() == 2
    with pytest.raises(NotFound):
        manager.find("rates")


def test_failures(store: Store, managers: Managers) -> None:
    manager = managers("--fail-above", "9")
    ranks = spec(search={"lora_r": [16, 8, 32, 64, 4]}, max_failures=2)
    failed = ended(manager, manager.start(ranks))
    assert failed.status is SweepStatus.FAILED
    assert failed.reason == "2 trials in a row failed, the last one: failed: out of memory"
    states = [trial.state for trial in SweepDir(Path(failed.dir)).read_trials()]
    assert [state.value for state in states] == ["failed", "complete", "failed", "failed"]
    assert (read_json(SweepDir(Path(failed.dir)).exit) or {})["status"] == "failed"


def test_what_was_tried_is_not_trained_again(store: Store, managers: Managers) -> None:
    manager = managers()
    done = ended(manager, manager.start(spec(search={"lora_r": [8, 16]}, method="random", trials=5)))
    assert done.status is SweepStatus.SUCCEEDED
    trials = SweepDir(Path(done.dir)).read_trials()
    assert len(trials) == 5 and len(runs_of(store, done)) == len({trial.params["lora_r"] for trial in trials}) == 2
    assert sum(trial.reason.startswith("the same as trial") for trial in trials) == 3


def test_what_cannot_be_launched_is_refused_at_once(home: Home, store: Store, managers: Managers) -> None:
    with pytest.raises(NotFound, match="nothing"):
        managers().start(spec(recipe={"dataset": "nothing"}))
    assert store.sweeps.list() == [] and not home.sweeps.exists()
