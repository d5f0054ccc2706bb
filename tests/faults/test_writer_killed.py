"""Row 3: `kill -9` of the store's writer at any moment, many times. The store stays sound, and nothing counts twice."""

import multiprocessing
import random
import sqlite3
import time
from pathlib import Path

from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from store import Store, open_store
from store.records import NewRun
from tests.engine.runs_at_work import wait_for

KILLS = 25
LONGEST_S = 0.06
"""Of life that a writer is given once it is at work: some dozens of transactions."""
EVENTS = 900
SEED = 3

TABLES = ("runs", "attempts", "points", "rollups", "latest", "events", "problems")
"""What is made from the log."""


def make_log(rundir: RunDir) -> None:
    """Two attempts, with a damaged line and alerts between the figures."""
    rundir.path.mkdir(parents=True)
    clock = iter(range(1, 10 * EVENTS)).__next__
    for attempt in (1, 2):
        writer = EventWriter(rundir.events, attempt, clock=lambda: float(clock()))
        first = EVENTS // 4 if attempt == 2 else 0
        writer.write("state", status="training", from_step=first)
        for step in range(first + 1, first + EVENTS // 2):
            writer.write("metrics", step=step, values={"train/loss": 1 / step, "train/grad_norm": step % 7})
            if step % 50 == 0:
                writer.write("alert", level="warning", code="estimate_off", message=f"at {step}")
        writer.write("end", status="failed" if attempt == 1 else "succeeded", reason="")
        writer.close()
        with rundir.events.open("ab") as log:
            log.write(b'{"v":1,"seq"\n')


def new_store(path: Path, rundir: RunDir) -> Store:
    store = open_store(path)
    store.runs.add(NewRun("r1", "first", "starter", "lora", "d", "d1", 0.0, {"lora_r": 8}, str(rundir.path)))
    return store


def write_for_ever(path: Path, rundir: RunDir, begun: Path) -> None:
    """Take the log in in small batches, over and over; between two of them write what no log has."""
    store = open_store(path)
    chat = 0

    def write_own(offset: int) -> None:
        nonlocal chat
        chat += 1
        store.runs.set_note("r1", f"note {chat} " + "of some length " * (chat % 40))
        begun.touch()

    while True:
        ingest_run(store, "r1", rundir, batch_bytes=4096, progress=write_own)
        with store.transaction():
            store.runs.reset("r1")


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that the store has from the log."""
    connection = sqlite3.connect(path)
    try:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}
    finally:
        connection.close()


def test_row_3_a_store_whose_writer_is_killed_again_and_again_is_sound(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path / "run")
    make_log(rundir)
    fresh = new_store(tmp_path / "fresh.db", rundir)
    ingest_run(fresh, "r1", rundir)
    fresh.close()
    new_store(tmp_path / "killed.db", rundir).close()

    moments = random.Random(SEED)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    offsets = set()
    for number in range(KILLS):
        begun = tmp_path / f"begun-{number}"
        writer = context.Process(target=write_for_ever, args=(tmp_path / "killed.db", rundir, begun), daemon=True)
        writer.start()
        wait_for(begun.exists)
        time.sleep(moments.uniform(0, LONGEST_S))
        writer.kill()
        writer.join()
        assert writer.exitcode == -9, "it was at work until then"
        store = open_store(tmp_path / "killed.db")
        assert store.check() == []
        offsets.add(store.runs.ingest_offset("r1"))
        store.close()
    assert len(offsets) > KILLS / 3, "the kills came at different places"

    store = open_store(tmp_path / "killed.db")
    ingest_run(store, "r1", rundir)
    assert not ingest_run(store, "r1", rundir)
    assert store.check() == []
    store.runs.set_note("r1", "")
    store.close()
    assert rows(tmp_path / "killed.db") == rows(tmp_path / "fresh.db")
