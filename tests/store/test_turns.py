"""One process at a time writes: the lock beside the store, with real processes."""

import errno
import fcntl
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import Store, StoreError, connection, open_store
from store.turns import WriterTurn, has_wal_reset_fault, turn_file
from tests.engine.runs_at_work import is_locked
from tests.store.builders import new_run

HOLDER = """
import fcntl, os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(120)
"""


@contextmanager
def held(store: Store) -> Iterator["subprocess.Popen[str]"]:
    """Another process has its turn, and nothing else of the store."""
    command = [sys.executable, "-c", HOLDER, str(turn_file(store.path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def is_free(store: Store) -> bool:
    """Whether another process would get the turn."""
    return not is_locked(turn_file(store.path))


def test_a_writer_waits_for_its_turn_and_readers_do_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.1)
    store.runs.add(new_run("r1"))
    with held(store) as holder:
        with pytest.raises(StoreError, match="is busy") as caught:
            store.runs.rename("r1", "renamed")
        assert "Runs go on meanwhile" in caught.value.fix
        assert [run.id for run in store.runs.list()] == ["r1"]
        opened = open_store(store.path)
        assert opened.runs.count() == 1
        opened.close()
        monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 20.0)
        writer = threading.Thread(target=lambda: store.runs.rename("r1", "renamed"))
        writer.start()
        holder.kill()  # whoever is killed has had its turn
        writer.join(20)
    assert [run.name for run in store.runs.list()] == ["renamed"]


def test_a_turn_lasts_as_long_as_the_outermost_transaction(store: Store) -> None:
    with store.transaction():
        with store.transaction():
            assert not is_free(store)
        assert not is_free(store), "the pages are written back at the end of the outer one"
    assert is_free(store)
    with pytest.raises(ZeroDivisionError), store.transaction():
        _ = 1 // 0
    assert is_free(store)


def test_a_process_that_was_forked_does_not_keep_the_turn(store: Store) -> None:
    with store.transaction():
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        assert is_free(store)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_the_last_connection_closes_in_its_turn(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = open_store(tmp_path / "other.db")
    other.runs.add(new_run("r1"))
    seen: list[bool] = []
    give_back = WriterTurn.give_back

    def look(turn: WriterTurn) -> None:
        seen.append(is_free(other))
        give_back(turn)

    monkeypatch.setattr(WriterTurn, "give_back", look)
    log = other.path.with_name("other.db-wal")
    assert log.stat().st_size > 0
    other.close()
    assert seen == [False]
    assert not log.exists(), "its pages were written back"
    assert is_free(other)


def test_closing_waits_for_nobody(store: Store) -> None:
    store.runs.add(new_run("r1"))
    with held(store):
        store.close()


def test_a_store_closed_while_a_thread_writes_lets_go_afterwards(store: Store) -> None:
    inside, closed = threading.Event(), threading.Event()

    def write() -> None:
        with store.transaction():
            inside.set()
            closed.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(20)
    store.close()
    assert not is_free(store)
    closed.set()
    thread.join(20)
    assert is_free(store)
    assert store._database._turn._file is None


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(tmp_path / "finetui.db")
    finally:
        os.umask(before)
    assert stat.S_IMODE(turn_file(store.path).stat().st_mode) == 0o600
    store.close()


def test_where_there_are_no_such_locks_writing_goes_on_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What some network file systems answer, from a `flock` that is replaced: no file system here refuses one."""
    assert store.turns_missing() == ""

    def refuse(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        store.runs.add(new_run("r1"))
        store.runs.add(new_run("r2"))
        assert store.turns_missing() == "No locks available"
    assert len(caplog.records) == 1
    assert store.runs.count() == 2
    assert store.turns_missing() == ""


def test_another_process_that_writes_is_no_missing_lock(store: Store) -> None:
    with held(store):
        assert store.turns_missing() == ""


def test_the_versions_with_the_fault_are_those_that_sqlite_names() -> None:
    """Source: https://www.sqlite.org/wal.html#walresetbug"""
    faulty = [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 0), (3, 51, 2)]
    mended = [(3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 52, 0)]
    assert [has_wal_reset_fault(version) for version in faulty + mended] == [True] * len(faulty) + [False] * len(mended)
    assert has_wal_reset_fault() == has_wal_reset_fault(sqlite3.sqlite_version_info)
