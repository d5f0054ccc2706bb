"""Row 9: the pid of a run belongs to a stranger now."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.home import Home
from engine.runs.identity import (
    Identity,
    ProcessRecord,
    boot_id,
    host,
    identity_of,
    is_alive,
    kill_group,
    send_signal,
)
from engine.runs.rundir import read_json, write_json
from store import Store
from store.records import Status
from tests.engine.runs_at_work import gone, kill, reached, record, wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
ATTEMPTS = 200


@contextmanager
def stranger_with(pid: int) -> Iterator["subprocess.Popen[bytes] | None"]:
    """A process that leads a group and a session of its own and has `pid`, which is free; `None` where that is not
    allowed, or where others keep taking the pid first."""
    command = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
    for _ in range(ATTEMPTS):
        try:
            LAST_PID.write_text(str(pid - 1), encoding="ascii")
        except OSError:
            break
        with subprocess.Popen(command, start_new_session=True) as found:
            try:
                if found.pid == pid:
                    yield found
                    return
            finally:
                found.kill()
    yield None


def test_row_9_a_stranger_with_the_pid_is_not_signalled(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold-at", "1")
    run = manager.launch(recipe())
    reached(folder(home, run), 1)
    for process in record(folder(home, run)).alive():
        kill(process.pid)
    wait_for(lambda: gone(folder(home, run)))
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        value = read_json(folder(home, run).process)
        assert value is not None
        for role in ("supervisor", "worker"):
            value[role]["pid"] = stranger.pid
        write_json(folder(home, run).process, value)
        manager.stop(run.id)
        manager.stop(run.id, now=True)
        run = ended(manager, store, run)
        assert (run.status, run.failure) == (Status.LOST, "vanished")
        assert stranger.poll() is None
        stranger.kill()


def test_row_9_a_pid_that_the_system_gave_to_a_stranger(home: Home, store: Store, managers: Managers) -> None:
    """The pid really is another process's, given by the kernel. Where the next pid cannot be chosen (it takes root, and
    a kernel built for it), the test above stands alone: there the record names a stranger's pid."""
    manager = managers("--hold-at", "1")
    run = manager.launch(recipe())
    reached(folder(home, run), 1)
    processes = record(folder(home, run)).alive()
    for process in processes:
        kill(process.pid)
    wait_for(lambda: manager.refresh() is not None and not Path(f"/proc/{processes[0].pid}").exists())
    wait_for(lambda: not any(Path(f"/proc/{one.pid}").exists() for one in processes))
    worker = processes[-1]
    with stranger_with(worker.pid) as stranger:
        if stranger is None:
            return
        found = identity_of(worker.pid)
        assert found is not None and found != worker, "the same pid, another process"
        assert not is_alive(worker)
        assert not send_signal(worker, signal.SIGKILL)
        assert not kill_group(worker)
        run = ended(manager, store, run)
        assert run.status in (Status.LOST, Status.FAILED)
        manager.resume(run.id)  # is not held up by a stranger that has the pid of the attempt before
        assert ended(manager, store, run).status is Status.SUCCEEDED
        assert stranger.poll() is None


@pytest.mark.parametrize("other", ["boot", "ticks"])
def test_row_9_neither_another_boot_nor_another_beginning_is_the_run(other: str) -> None:
    """A process of this machine, and records that have its pid alone in common with it."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        mine = identity_of(process.pid)
        assert mine is not None and is_alive(mine)
        if other == "ticks":
            assert not send_signal(Identity(mine.pid, mine.create_time + 1), signal.SIGKILL)
            assert not send_signal(Identity(mine.pid, mine.create_time - 1), signal.SIGKILL)
        else:
            assert ProcessRecord(host(), boot_id(), 1, mine, None).alive() == [mine]
            assert ProcessRecord(host(), "another-boot", 1, mine, mine).alive() == []
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
