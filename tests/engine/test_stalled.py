"""When a live run counts as stalled."""

from pathlib import Path
from typing import Any

import pytest

from engine.insight.stalled import SILENT_S, stalled_since, step_s
from engine.runs.rundir import RunDir
from store import open_store
from store.records import NewRun, Run, Status
from tests.engine.test_failures import make_run

HEARD = 1_000_000.0


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "r1")


def live(rundir: RunDir, status: Status = Status.TRAINING, **fields: Any) -> Run:
    values: dict[str, Any] = {"heartbeat": HEARD, "ended": None} | fields
    return make_run(rundir.path, "", status=status, **values)


def test_a_minute_without_a_word_is_too_long_for_one_that_trains(rundir: RunDir) -> None:
    run = live(rundir)
    assert stalled_since(run, rundir, now=HEARD + SILENT_S) is None
    assert stalled_since(run, rundir, now=HEARD + SILENT_S + 1) == HEARD


def test_long_steps_may_be_silent_for_longer(rundir: RunDir) -> None:
    run = live(rundir, step=10, total_steps=20, eta_s=300.0)
    assert step_s(run) == 30.0
    assert stalled_since(run, rundir, now=HEARD + 299) is None
    assert stalled_since(run, rundir, now=HEARD + 301) == HEARD


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTING, Status.SUCCEEDED, Status.LOST])
def test_who_waits_loads_or_has_ended_may_be_silent(rundir: RunDir, status: Status) -> None:
    assert stalled_since(live(rundir, status), rundir, now=HEARD + 1e6) is None
    assert stalled_since(live(rundir, heartbeat=None), rundir, now=HEARD + 1e6) is None


def test_a_log_that_was_just_written_to_is_a_sign_of_life_whatever_its_clock_says(rundir: RunDir) -> None:
    run = live(rundir)
    rundir.events.touch()
    assert stalled_since(run, rundir) is None


def test_the_store_keeps_it_for_live_runs_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "finetui.db")
    store.runs.add(NewRun("r1", "a", "m", "qlora", "d", "d1", 0.0, {}, "/runs/r1"))
    store.runs.set_stalled("r1", HEARD)
    found = store.runs.get("r1")
    assert found is not None and found.stalled == HEARD
    store.runs.finish("r1", Status.LOST, "gone", HEARD, "vanished")
    store.runs.set_stalled("r1", HEARD)
    found = store.runs.get("r1")
    assert found is not None and (found.stalled, found.failure) == (None, "vanished")
    store.close()
