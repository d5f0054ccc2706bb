"""Readers beside a writer, and a store that another process holds."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from store import Store, StoreError, open_store
from store.records import Series
from tests.store.builders import add_points, new_run

WRITER = """
import pathlib, sys
from store import open_store
from tests.store.builders import add_points, new_run
store = open_store(pathlib.Path(sys.argv[1]))
for n in range(int(sys.argv[2])):
    add_points(store, "r1", {"a": [(n, float(n), float(n))], "b": [(n, float(n), float(n))]})
"""

HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2])) if len(sys.argv) > 2 else sys.stdin.readline()
connection.execute("COMMIT")
"""


def is_consistent(series: Series | None, seen: int) -> int:
    """A reader sees whole batches, in order, never fewer than before. Returns how many it sees."""
    steps = series.steps if series else []
    assert steps == list(range(len(steps)))
    assert len(steps) >= seen
    return len(steps)


def test_a_thread_reads_while_another_writes(store: Store) -> None:
    store.runs.add(new_run("r1"))
    written = threading.Event()

    def write() -> None:
        try:
            for n in range(150):
                add_points(store, "r1", {"a": [(n, float(n), float(n))]})
        finally:
            written.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while not written.is_set():
        seen = is_consistent(store.metrics.series("r1", "a"), seen)
        store.runs.list()
    thread.join()
    assert is_consistent(store.metrics.series("r1", "a"), seen) == 150


def test_threads_that_write_at_once_lose_nothing(store: Store) -> None:
    for n in range(4):
        store.runs.add(new_run(f"r{n}"))
    failures: list[BaseException] = []

    def write(run_id: str) -> None:
        try:
            for n in range(40):
                add_points(store, run_id, {"a": [(n, float(n), float(n))]})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [is_consistent(store.metrics.series(f"r{n}", "a"), 0) for n in range(4)] == [40] * 4


def test_a_process_reads_while_another_writes(store: Store) -> None:
    store.runs.add(new_run("r1"))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(store.path), "200"])
    seen = 0
    while writer.poll() is None:
        seen = is_consistent(store.metrics.series("r1", "a"), seen)
        assert is_consistent(store.metrics.series("r1", "b"), seen) >= seen
    assert writer.returncode == 0
    assert is_consistent(store.metrics.series("r1", "b"), seen) == 200
    assert store.check() == []


def hold(path: Path, *seconds: float) -> "subprocess.Popen[str]":
    """Another process that writes for so long, else until it is sent a line."""
    command = [sys.executable, "-c", HOLDER, str(path), *map(str, seconds)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_writer_waits_for_a_locked_store_and_readers_do_not(store: Store) -> None:
    store.runs.add(new_run("r1"))
    holder = hold(store.path)
    assert store.runs.count() == 1
    opened = open_store(store.path)
    assert opened.runs.count() == 1
    opened.close()
    writing = threading.Thread(target=store.runs.rename, args=("r1", "renamed"))
    writing.start()
    writing.join(1.0)
    assert writing.is_alive() and holder.poll() is None
    holder.communicate("that is all\n")
    writing.join(60)
    assert [run.name for run in store.runs.list()] == ["renamed"]


def test_a_store_that_stays_locked_is_an_error_in_words(store: Store) -> None:
    store.runs.add(new_run("r1"))
    holder = hold(store.path)
    try:
        with store._database.explained():
            store._database.connection().execute("PRAGMA busy_timeout = 100")
        with pytest.raises(StoreError, match="is busy") as caught:
            store.runs.rename("r1", "renamed")
        assert "Try again" in caught.value.fix
    finally:
        holder.kill()
        holder.wait()
    store.runs.rename("r1", "renamed")
    assert [run.name for run in store.runs.list()] == ["renamed"]
