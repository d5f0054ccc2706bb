"""Row 5 where no disk can be made: the same refusals, by means that need no rights.

A limit on the size of files stands in for a full disk (the system refuses with another number), SQLite's own limit on
pages for the store's, and `/dev/full` for a log that cannot take a line.
"""

import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.home import Home
from engine.runs.protocol import EventWriter, read_events
from engine.runs.rundir import RunDir, read_json
from store import Store, StoreError
from store.records import Status
from tests.engine.runs_at_work import PATIENCE_S, PROJECT, events, stand_in, wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe
from tests.engine.test_supervisor import make_run


@contextmanager
def no_file_beyond(size_bytes: int) -> Iterator[None]:
    """Inside, the system refuses to let any file of this process grow beyond `size_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def size(path: Path) -> int:
    return path.stat().st_size


def test_row_5_a_log_that_could_not_be_written_says_so_and_loses_nothing_after(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    writer = EventWriter(log, 1)
    writer.write("metrics", step=1, values={"train/loss": 1.0})
    with no_file_beyond(size(log) + 20):  # a line is begun, and then there is no room for its end either
        for step in (2, 3, 4):
            writer.write("metrics", step=step, values={"train/loss": 1.0})
    assert writer.dropped == 3
    for step in (5, 6):
        writer.write("metrics", step=step, values={"train/loss": 1.0})
    with no_file_beyond(size(log)):
        writer.write("heartbeat", step=6)
    writer.write("heartbeat", step=6)  # within a minute of the first alert: told at the end
    writer.write("end", status="succeeded")
    writer.close()
    chunk = read_events(log)
    kinds = [
        (event["kind"], event.get("step"), event.get("message", "").partition(" of ")[0]) for event in chunk.events
    ]
    assert kinds == [
        ("metrics", 1, ""),
        ("alert", None, "3 events"),
        ("metrics", 5, ""),
        ("metrics", 6, ""),
        ("heartbeat", 6, ""),
        ("alert", None, "1 event"),
        ("end", None, ""),
    ]
    assert [event["seq"] for event in chunk.events] == [*range(7)]
    assert len(chunk.problems) == 1
    assert chunk.offset == size(log)


def test_row_5_a_worker_begins_though_it_cannot_close_the_line_that_another_left_open(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(b'{"v":1,"seq":0,"kin')
    with no_file_beyond(size(log)):
        writer = EventWriter(log, 2)
        writer.write("heartbeat", step=0)
    writer.write("heartbeat", step=1)
    writer.close()
    assert [event.get("step") for event in read_events(log).events] == [None, 1]


def test_row_5_the_end_waits_for_room(tmp_path: Path) -> None:
    code = f"""
        import resource, sys, threading
        from pathlib import Path
        sys.path.insert(0, {str(PROJECT)!r})
        from engine.runs.protocol import EventWriter
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        writer = EventWriter(Path("events.jsonl"), 1, end_for_s=60)
        ends = threading.Thread(target=writer.write, args=["end"], kwargs={{"status": "succeeded"}})
        ends.start()
        while not writer.dropped:
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ends.join()
    """
    subprocess.run([sys.executable, "-I", "-S", "-c", textwrap.dedent(code)], cwd=tmp_path, check=True, timeout=60)
    assert [event["kind"] for event in read_events(tmp_path / "events.jsonl").events] == ["end"]


def test_row_5_what_is_printed_ends_no_process(tmp_path: Path) -> None:
    code = f"""
        import logging, sys, traceback, warnings
        sys.path.insert(0, {str(PROJECT)!r})
        from engine.runs.printing import print_regardless
        print_regardless()
        print("a line" * 10_000)
        sys.stdout.flush()
        sys.stderr.write("a line\\n")
        logging.warning("a line")
        warnings.warn("a line")
        try:
            1 / 0
        except ZeroDivisionError:
            traceback.print_exc()
        print("to the end", file=open("reached", "w"))
        sys.exit(7)
    """
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]
        assert subprocess.run(command, cwd=tmp_path, stdout=full, stderr=full, check=False).returncode == 7
    assert (tmp_path / "reached").read_text() == "to the end\n"


def test_row_5_a_supervisor_whose_words_and_record_find_no_room_goes_on(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    run = make_run(tmp_path)
    run.process.mkdir()  # no record can be put in its place
    command = [
        sys.executable,
        "-P",
        "-m",
        "engine.runs.supervisor",
        str(run.path),
        "--worker",
        *stand_in("--crash-at", "2"),
    ]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=PROJECT, stdout=full, stderr=full, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0
    assert (read_json(run.exit) or {})["code"] == 1
    assert [event["step"] for event in events(run, "metrics")] == [1]


def test_row_5_a_store_without_room_says_what_to_free_and_catches_up(
    home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--steps", "400", "--no-checkpoints")
    run = manager.launch(recipe())
    rundir: RunDir = folder(home, run)
    wait_for(lambda: events(rundir, "end"))
    with store.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        before = connection.execute("PRAGMA max_page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(3):
        with pytest.raises(StoreError, match="is full") as caught:
            manager.refresh()
        assert "Free some space (old checkpoints under runs/ are the largest)" in caught.value.fix
        with pytest.raises(StoreError, match="is full"):
            store.runs.set_note(run.id, "a note that needs a page of its own " * 1000)
    assert (store.metrics.series(run.id, "train/loss"), store.check()) == (None, [])
    with store.transaction() as connection:
        connection.execute(f"PRAGMA max_page_count = {before}")
    assert ended(manager, store, run).status is Status.SUCCEEDED
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None and series.steps == [*range(1, 401)]
