"""Row 1: `kill -9` of the worker, wherever it is."""

import time

import pytest

from engine.home import Home
from engine.insight.failures import Action, failure_of
from engine.insight.fixing import apply_fix
from engine.runs.rundir import checkpoint_step
from store import Store
from store.records import Status
from tests.engine.runs_at_work import kill, reached, record, wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe

WITHIN_S = 5.0

PLACES = {
    "importing": (["--hold-in", "importing"], [], 0),
    "tokenising": (["--hold-in", "tokenising"], [], 0),
    "at a step": (["--hold-at", "2"], [1, 2], 2),
    "in the middle of a save": (["--hold-in", "saving"], [1, 2], 1),
    "at the end": (["--hold-in", "ending"], [1, 2, 3], 3),
}
"""Place → how the worker gets there, the steps it has written by then, and the last checkpoint that counts."""


@pytest.mark.parametrize("place", PLACES)
def test_row_1_a_killed_worker_loses_nothing_that_was_written(
    home: Home, store: Store, managers: Managers, place: str
) -> None:
    options, steps, checkpoint = PLACES[place]
    manager = managers("--only-attempt", "1", "--steps", "3", *options)
    run = manager.launch(recipe())
    rundir = folder(home, run)
    if place == "at a step":
        reached(rundir, 2)
    else:
        wait_for(lambda: (rundir.path / "held").exists())
    worker = record(rundir).worker
    assert worker is not None
    kill(worker.pid)
    killed = time.monotonic()
    (rundir.path / "go").touch()  # the next attempt does not stop at the step
    run = ended(manager, store, run)
    assert time.monotonic() - killed < WITHIN_S
    assert (run.status, run.reason, run.failure) == (Status.FAILED, "killed by signal 9 (SIGKILL)", "killed")
    series = store.metrics.series(run.id, "train/loss")
    assert (series.steps if series else []) == steps

    failure = failure_of(store, run)
    assert failure is not None
    assert failure.action is Action.RESUME
    assert apply_fix(manager, store, run, failure) == run.id
    run = ended(manager, store, run)
    assert (run.status, run.attempt, run.step) == (Status.SUCCEEDED, 2, 3)
    assert store.runs.attempts(run.id)[1].from_step == checkpoint
    assert [checkpoint_step(one) for one in rundir.committed_checkpoints()] == [1, 2, 3]
