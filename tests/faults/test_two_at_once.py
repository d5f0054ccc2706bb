"""Row 23: two supervisors for one run, and two apps that take in what runs write."""

import errno
import fcntl
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs.claim import claimed
from engine.runs.leases import try_lock
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir, write_json
from store import Store
from store.records import Status
from tests.engine.runs_at_work import PROJECT, events, kill, reached, record, stand_in, wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe
from tests.engine.test_supervisor import make_run

APP = """
    import sys, time
    from pathlib import Path
    from engine.home import Home
    from engine.runs.manager import RunManager
    from store import open_store
    home = Home(Path(sys.argv[1]))
    manager = RunManager(home, open_store(home.db))
    manager.refresh()
    print("at work", flush=True)
    while True:
        manager.refresh()
        time.sleep(0.05)
"""


def supervise(run: RunDir, *options: str) -> "subprocess.Popen[bytes]":
    """A supervisor that nobody hands the claim to, as where a cluster starts one job twice."""
    command = [sys.executable, "-P", "-m", "engine.runs.supervisor", str(run.path), "--worker", *stand_in(*options)]
    with run.log.open("ab") as log:
        return subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)


def test_row_23_of_two_supervisors_of_one_run_one_works(home: Home) -> None:
    run = make_run(home.root)
    both = [supervise(run, "--hold-at", "1") for _ in range(2)]
    wait_for(lambda: any(one.poll() is not None for one in both))
    loser, winner = sorted(both, key=lambda one: one.poll() is None)
    assert loser.returncode == 1
    assert "is being run already" in run.log.read_text()
    reached(run, 1)
    assert (winner.poll(), run.exit.exists()) == (None, False), "the other one's run goes on"
    supervisor = record(run).supervisor
    assert supervisor is not None and supervisor.pid == winner.pid
    (run.path / "go").touch()
    assert winner.wait(20) == 0
    assert [event["step"] for event in events(run, "metrics")] == [1, 2, 3]
    assert len(events(run, "plan")) == len(events(run, "end")) == 1


def test_row_23_a_supervisor_waits_for_whoever_submits_its_job_and_is_no_second_one(home: Home) -> None:
    """A cluster may begin a job before the one who submits it has put it on record."""
    run = make_run(home.root)
    with claimed(run.lock, "it is at work"):
        early = supervise(run)
        time.sleep(1)
        assert early.poll() is None and not run.process.exists()
        write_json(run.process, {"host": "", "boot_id": "", "attempt": 1, "supervisor": None, "worker": None})
    assert early.wait(20) == 0
    assert [event["step"] for event in events(run, "metrics")] == [1, 2, 3]


@pytest.mark.parametrize("more", [(), ("--hold-at", "3")], ids=["it is over at once", "it is at work"])
def test_row_23_of_two_who_resume_a_run_at_once_one_is_told(
    home: Home, store: Store, managers: Managers, more: tuple[str, ...]
) -> None:
    manager = managers("--steps", "3", "--crash-at", "3")
    run = manager.launch(recipe())
    rundir = folder(home, run)
    assert ended(manager, store, run).status is Status.FAILED
    told: list[str] = []

    def resume(manager: RunManager) -> None:
        try:
            manager.resume(run.id)
        except BadInput as error:
            told.append(error.what)

    both = [threading.Thread(target=resume, args=(managers("--steps", "3", *more),)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    (rundir.path / "go").touch()
    done = ended(manager, store, run)
    assert (done.status, done.attempt, done.step) == (Status.SUCCEEDED, 2, 3)
    assert len(told) == 1 and run.name in told[0]
    announced = [event["attempt"] for event in events(rundir, "state") if event["status"] == "queued"]
    assert announced == [1, 2]


def test_row_23_where_nothing_can_be_locked_nothing_is_launched(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = managers("--steps", "3")
    lock = fcntl.flock

    def refuse(file: int, operation: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().name == ".lock":
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        lock(file, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(FinetuiError, match="cannot be locked") as refused:
            manager.launch(recipe())
        assert "No locks available" in refused.value.why
    assert store.runs.list() == [] and [*home.runs.iterdir()] == []


def test_row_23_of_two_apps_one_takes_events_in_and_the_other_takes_over(
    home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--steps", "40", "--hold-at", "20")
    run = manager.launch(recipe())
    manager.close()
    rundir = folder(home, run)
    apps = []
    try:
        for _ in range(2):
            command = [sys.executable, "-c", textwrap.dedent(APP), str(home.root)]
            apps.append(subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True))
            output = apps[-1].stdout
            assert output is not None and output.readline() == "at work\n"
        reached(rundir, 20)
        wait_for(lambda: (found := store.runs.get(run.id)) and found.step == 20)
        assert try_lock(home.root / "ingest.lock") is None, "there is no room for a third one"
        kill(apps[0].pid)  # it came first, and took events in
        apps[0].wait(20)
        (rundir.path / "go").touch()
        wait_for(lambda: (found := store.runs.get(run.id)) and found.status is Status.SUCCEEDED)
        assert apps[1].poll() is None
    finally:
        for app in apps:
            app.kill()
            app.communicate()
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None and series.steps == [*range(1, 41)]
    assert store.runs.ingest_offset(run.id) == rundir.events.stat().st_size
    assert store.runs.problems(run.id) == []
    assert store.check() == []
