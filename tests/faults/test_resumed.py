"""A run that is resumed is followed from before it is at work, and one that cannot be started stands as it stood."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import FinetuiError
from engine.home import Home
from engine.insight.failures import failure_of
from engine.runs import backends, manager
from engine.runs.claim import claimed
from engine.runs.identity import kill_group, read_process
from engine.runs.ingest import ingest_run
from engine.runs.manager import RunManager
from engine.runs.reconcile import judge
from engine.runs.rundir import RunDir
from engine.sweeps.folder import SweepDir, TrialState
from store import Store, StoreError
from store.records import Run, Status, SweepStatus
from tests.engine.runs_at_work import ending, events, kill, reached, record, wait_for
from tests.engine.test_manager import Managers, ended, folder, look, recipe
from tests.engine.test_reconcile import was_at_work
from tests.engine.test_sweeps import Managers as SweepManagers
from tests.engine.test_sweeps import ended as sweep_ended
from tests.engine.test_sweeps import managers as sweep_managers
from tests.engine.test_sweeps import runs_of, spec

__all__ = ["sweep_managers"]


def failed(manager: RunManager, store: Store) -> Run:
    """A run that its worker has crashed."""
    run = manager.launch(recipe())
    assert ended(manager, store, run).status is Status.FAILED
    return run


def test_row_1_the_store_knows_of_an_attempt_before_its_process_is_there(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = managers("--steps", "3", "--crash-at", "3")
    run = failed(one, store)
    start, seen = backends.start, []

    def watched(*arguments: Any) -> Any:
        seen.append(store.runs.get(run.id))
        return start(*arguments)

    monkeypatch.setattr(backends, "start", watched)
    two = managers("--steps", "3")
    two.resume(run.id)
    assert [(found.status, found.attempt) for found in seen if found] == [(Status.QUEUED, 2)]
    assert ended(one, store, run).status is Status.SUCCEEDED


def test_row_1_where_the_store_is_in_the_way_nothing_is_started(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = managers("--steps", "3", "--crash-at", "3")
    run = failed(one, store)
    two = managers("--steps", "3")

    def busy(*_: Any) -> bool:
        raise StoreError("The store is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(manager, "ingest_run", busy)
        with pytest.raises(StoreError, match="busy"):
            two.resume(run.id)
    assert not folder(home, run).process.exists(), "nobody is at work on it"
    two.resume(run.id)
    done = ended(one, store, run)
    assert (done.status, done.step) == (Status.SUCCEEDED, 3)


def test_row_1_one_that_cannot_be_started_stands_as_it_stood(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = managers("--steps", "3", "--crash-at", "3", "--no-checkpoints")
    run = failed(one, store)
    before = look(one, store, run)

    def full(*_: Any) -> Any:
        raise BlockingIOError(11, os.strerror(11))

    with monkeypatch.context() as patch:
        patch.setattr(backends, "start", full)
        with pytest.raises(FinetuiError, match="could not be started"):
            one.resume(run.id)
    found = look(one, store, run)
    assert replace(found, attempt=1, ended=0, heartbeat=0, busy_s=0, started=0) == replace(
        before, ended=0, heartbeat=0, busy_s=0, started=0
    )
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None and series.steps == [1, 2], "what it has shown is still shown"
    why = failure_of(store, before)
    assert why is not None and failure_of(store, found) == why
    two = managers("--steps", "3")
    two.resume(run.id)
    done = ended(one, store, run)
    assert (done.status, done.attempt) == (Status.SUCCEEDED, 3)


def test_row_1_one_whose_resumer_was_killed_can_be_resumed(home: Home, store: Store, managers: Managers) -> None:
    one = managers("--steps", "3", "--crash-at", "3")
    run = failed(one, store)
    rundir = folder(home, run)
    with pytest.raises(KeyboardInterrupt), claimed(rundir.lock, "it is at work"):
        from engine.runs import launcher

        launcher._prepare_attempt(rundir, 2)
        ingest_run(store, run.id, rundir)
        raise KeyboardInterrupt  # as it ends whoever resumes
    lost = ended(one, store, run)
    assert (lost.status, lost.reason) == (Status.LOST, "its process never started")
    two = managers("--steps", "3")
    two.resume(run.id)
    assert ended(one, store, run).status is Status.SUCCEEDED


def test_row_1_the_claim_counts_where_the_record_is_old(tmp_path: Path) -> None:
    """A command is at work before it is on record, and records are put away before the next attempt is at work."""
    run = RunDir(tmp_path)
    was_at_work(run)
    with claimed(run.lock, "it is at work"):
        assert judge(run) is None
    assert (found := judge(run)) and found.status is Status.LOST


def test_row_1_the_end_of_an_attempt_is_not_taken_for_that_of_the_next(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = managers("--steps", "9", "--hold-at", "3")
    run = one.launch(recipe())
    rundir = folder(home, run)
    reached(rundir, 3)
    look(one, store, run)
    told = record(rundir)
    assert told.supervisor is not None and told.worker is not None
    found, again = judge, managers("--steps", "9", "--hold-at", "6")

    def judged(rundir: RunDir) -> Any:
        verdict = found(rundir)
        monkeypatch.setattr(manager, "judge", found)
        store.runs.finish(run.id, Status.LOST, "as another app saw it", 1.0, "")
        again.resume(run.id)
        return verdict

    for process in (told.supervisor, told.worker):
        kill(process.pid)
    wait_for(lambda: not told.alive())
    wait_for(lambda: found(rundir))
    monkeypatch.setattr(manager, "judge", judged)
    assert look(one, store, run).status.live, "it is at work: attempt 2 has begun"
    (rundir.path / "go").touch()
    done = ended(one, store, run)
    assert (done.status, done.attempt, done.step) == (Status.SUCCEEDED, 2, 9)


def test_row_1_why_it_is_gone_is_there_before_it_is_gone(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = managers("--ignore-term", "--hold-at", "2")
    run = one.launch(recipe())
    rundir = folder(home, run)
    reached(rundir, 2)
    told = record(rundir)
    assert told.supervisor is not None
    kill(told.supervisor.pid)
    wait_for(lambda: told.supervisor not in told.alive())
    seen: list[str] = []

    def watched(*arguments: Any) -> bool:
        seen.append(ending(rundir)["requested"])
        return kill_group(*arguments)

    monkeypatch.setattr(manager, "kill_group", watched)
    one.stop(run.id, now=True)
    assert seen == ["kill"]
    assert ended(one, store, run).reason == "killed; 2 steps kept"


def test_row_1_a_sweep_that_went_down_with_its_runs_takes_them_up_again(
    home: Home, store: Store, sweep_managers: SweepManagers
) -> None:
    sweeps = sweep_managers("--hold")
    sweep = sweeps.start(spec(search={"learning_rate": [1e-3]}))
    sweep_dir = SweepDir(Path(sweep.dir))
    wait_for(lambda: any(run.step for run in runs_of(store, sweep)))
    [run] = runs_of(store, sweep)
    driver, told = read_process(sweep_dir.process), record(folder(home, run))
    assert driver and driver.supervisor and told.supervisor and told.worker
    os.kill(driver.supervisor.pid, signal.SIGSTOP)  # it sees nothing of the end of its run
    for process in (told.supervisor, told.worker, driver.supervisor):
        kill(process.pid)
    assert sweep_ended(sweeps, sweep).status is SweepStatus.LOST
    assert store.runs.get(run.id).status.live, "nobody has looked at it"  # type: ignore[union-attr]
    (home.root / "go").touch()
    sweeps.resume(sweep.id)
    done = sweep_ended(sweeps, sweep)
    assert (done.status, done.reason) == (SweepStatus.SUCCEEDED, "")
    assert [(one.status, one.attempt) for one in runs_of(store, sweep)] == [(Status.SUCCEEDED, 2)]
    trials = sweep_dir.read_trials()
    assert len(trials) == 1 and [event["step"] for event in events(folder(home, run), "metrics")][-1] == 40


def test_row_1_a_sweep_whose_run_is_gone_goes_on_without_it(
    home: Home, store: Store, sweep_managers: SweepManagers
) -> None:
    sweeps = sweep_managers("--hold")
    sweep = sweeps.start(spec(search={"learning_rate": [1e-3, 1e-4]}))
    wait_for(lambda: any(run.step for run in runs_of(store, sweep)))
    sweeps.stop(sweep.id)
    assert sweep_ended(sweeps, sweep).status is SweepStatus.STOPPED
    [run] = runs_of(store, sweep)
    shutil.rmtree(folder(home, run).path)
    (home.root / "go").touch()
    sweeps.resume(sweep.id)
    assert sweep_ended(sweeps, sweep).status is SweepStatus.SUCCEEDED
    trials = SweepDir(Path(sweep.dir)).read_trials()
    assert [trial.state for trial in trials] == [TrialState.FAILED, TrialState.COMPLETE]
    assert "is gone" in trials[0].reason
