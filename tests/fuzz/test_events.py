"""Any bytes as a run's event log: events are taken in, the rest is named, and the rows are the same however it is cut.

Rows 3 and 7: nothing in a log may raise, stop the reading, or make other rows when it is read a second time.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.insight.diagnosis import FindingKeeper
from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter, read_events
from engine.runs.rundir import RunDir
from store import Store, open_store
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, as_json, changes, document, mutated
from tests.store.builders import new_run
from tui.widgets.event_words import KINDS, entries_of

TABLES = ("points", "rollups", "latest", "attempts", "events", "problems")
EVENTS: list[dict[str, Any]] = [
    {"kind": "state", "status": "training", "phase": "x", "reason": "", "progress": 0.5, "from_step": 4},
    {"kind": "plan", "total_steps": 40, "train_rows": 426, "versions": {"torch": "2"}, "decisions": [{"field": "a"}]},
    {"kind": "rehearsal", "ok": True, "peak_bytes": 12, "seconds": 1.5, "parts": {"save_s": 0.1}},
    {"kind": "metrics", "step": 10, "eta_s": 60.5, "total_steps": 20, "values": {"train/loss": 4.5, "x": 1}},
    {"kind": "system", "step": 10, "values": {"gpu0/memory_peak_bytes": 7000, "gpu0/power_w": 100.5}},
    {"kind": "evaluation", "step": 20, "values": {"eval/loss": 4.0}, "best": True, "best_step": 20},
    {"kind": "sample", "step": 20, "samples": [{"prompt": "Hi", "text": "Hello", "tokens": 3}]},
    {"kind": "checkpoint", "step": 20, "path": "checkpoints/step-000020", "best": True},
    {"kind": "alert", "level": "warning", "code": "plateau", "message": "No.", "fix": "Stop.", "rows": [1]},
    {"kind": "heartbeat", "step": 33},
    {
        "kind": "end",
        "status": "succeeded",
        "reason": "done",
        "best_step": 20,
        "summary": {"adapter_effect": {"probes": 2}},
    },
]
WHOLE = [{"v": 1, "seq": at, "t": 100.0 + at, "attempt": 1 + at // 8} | event for at, event in enumerate(EVENTS)]
LOG = b"".join(as_json(event) + b"\n" for event in WHOLE)

line = st.sampled_from(WHOLE).flatmap(document).map(as_json)
logs = st.lists(line | st.sampled_from(DEEP) | st.binary(max_size=20), max_size=8).map(b"\n".join) | mutated([LOG])


@dataclass
class Desk:
    """A store, and a folder whose log is written anew for each example."""

    store: Store
    db: Path
    rundir: RunDir
    ids: Iterator[int]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("events")
    store = open_store(folder / "finetui.db")
    yield Desk(store, folder / "finetui.db", RunDir(folder), count())
    store.close()


def rows_of(db: Path, run_id: str) -> dict[str, list[Any]]:
    """All that the tables hold of a run, comparable: NaN as text."""
    connection = sqlite3.connect(db)
    connection.row_factory = sqlite3.Row
    try:
        run = dict(connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone())
        found = {"run": [repr(sorted(run.items()))]}
        for table in TABLES:
            selected = connection.execute(f"SELECT * FROM {table} WHERE run = ?", (run["key"],)).fetchall()
            found[table] = sorted(repr(tuple(row)) for row in selected)
        return found
    finally:
        connection.close()


def check_log(desk: Desk, data: bytes) -> None:
    """Takes in `data` at once, again in small batches, and once more: the same rows, which can all be read."""
    run_id = f"r{next(desk.ids)}"
    store, rundir = desk.store, desk.rundir
    store.runs.add(new_run(run_id, dir=str(rundir.path)))
    rundir.events.write_bytes(data)
    ingest_run(store, run_id, rundir)
    first = rows_of(desk.db, run_id)
    assert not ingest_run(store, run_id, rundir)
    store.runs.reset(run_id)
    ingest_run(store, run_id, rundir, batch_bytes=max(64, len(data) // 20))
    assert rows_of(desk.db, run_id) == first
    read = read_events(rundir.events)
    run = store.runs.get(run_id)
    assert run is not None
    assert store.runs.ingest_offset(run_id) == data.rfind(b"\n") + 1
    assert len(store.runs.problems(run_id)) >= len(read.problems)
    for name in run.metrics:
        assert store.metrics.series(run_id, name) is not None
    FindingKeeper(store).look(run_id)
    told, findings = store.runs.events(run_id, KINDS), store.findings.of(run_id)
    assert bool(told) <= bool(entries_of(run, told, findings, store.runs.problems(run_id)))
    writer = EventWriter(rundir.events, 1)
    writer.write("heartbeat", step=1)
    writer.close()
    assert read_events(rundir.events).events[-1]["step"] == 1
    store.runs.delete(run_id)


@examples(20)
@given(logs)
def test_any_log_is_taken_in(desk: Desk, data: bytes) -> None:
    check_log(desk, data)


@pytest.mark.parametrize("path", cases("events"), ids=lambda path: path.name)
def test_logs_that_were_found(desk: Desk, path: Path) -> None:
    check_log(desk, path.read_bytes())


def test_every_field_of_every_event_may_be_anything(desk: Desk) -> None:
    check_log(desk, b"".join(as_json(changed) + b"\n" for event in WHOLE for changed in changes(event)))


def test_too_deep_a_line_is_a_problem_and_the_next_counts(desk: Desk) -> None:
    check_log(desk, b"\n".join([*DEEP, LOG]))


@pytest.fixture(scope="module", autouse=True)
def sound_afterwards(desk: Desk) -> Iterator[None]:
    yield
    connection = sqlite3.connect(desk.db)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchone() is None
    connection.close()
