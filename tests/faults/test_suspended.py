"""Row 11: the worker is suspended."""

import os
import signal
import time

import pytest

from engine.home import Home
from engine.insight.stalled import SILENT_S, stalled_since, suspended_pid
from store import Store
from store.records import Status
from tests.engine.runs_at_work import reached, record, wait_for
from tests.engine.test_manager import Managers, ended, folder, look, recipe


def test_row_11_a_suspended_worker_is_stalled_and_not_dead_and_recovers(
    home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--hold-at", "1", "--steps", "2")
    run = manager.launch(recipe())
    rundir = folder(home, run)
    reached(rundir, 1)
    run = look(manager, store, run)
    assert run.stalled is None
    worker = record(rundir).worker
    assert worker is not None

    os.kill(worker.pid, signal.SIGSTOP)
    wait_for(lambda: look(manager, store, run).stalled is not None)
    stalled = look(manager, store, run)
    assert (stalled.status, stalled.stalled) == (Status.TRAINING, run.heartbeat)
    assert suspended_pid(rundir) == worker.pid

    os.kill(worker.pid, signal.SIGCONT)
    wait_for(lambda: look(manager, store, run).stalled is None)
    later = time.time() + SILENT_S + 1
    assert stalled_since(look(manager, store, run), rundir, now=later) == run.heartbeat, "ten minutes without a word"
    (rundir.path / "go").touch()
    assert ended(manager, store, run).status is Status.SUCCEEDED


SUSPENDED_S = 600.0


@pytest.mark.long
@pytest.mark.timeout(SUSPENDED_S + 120)
def test_row_11_ten_minutes_of_suspension_are_survived(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold-at", "1", "--steps", "2")
    run = manager.launch(recipe())
    rundir = folder(home, run)
    reached(rundir, 1)
    worker = record(rundir).worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)
    wait_for(lambda: look(manager, store, run).stalled is not None)
    until = time.monotonic() + SUSPENDED_S
    while time.monotonic() < until:
        found = look(manager, store, run)
        assert (found.status, found.stalled) == (Status.TRAINING, found.heartbeat)
        assert len(record(rundir).alive()) == 2, "supervisor and worker"
        time.sleep(5)
    os.kill(worker.pid, signal.SIGCONT)
    (rundir.path / "go").touch()  # its next word clears it: after so long, being awake is not enough
    run = ended(manager, store, run)
    assert (run.status, run.attempt, run.step, run.stalled) == (Status.SUCCEEDED, 1, 2, None)
