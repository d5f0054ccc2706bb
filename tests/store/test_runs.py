"""What people and processes do to runs."""

import pytest

from store import Store, StoreError
from store.records import Attempt, EventRow, IngestBatch, Status
from tests.store.builders import add_points, line, new_run, the


def test_a_new_run_is_queued_and_whole(store: Store) -> None:
    new = new_run("r1", "first", tags=("b", "a"), recipe={"lora_r": 16, "target_modules": ["q_proj"], "naïve": "🙂"})
    store.runs.add(new)
    run = the(store.runs.get("r1"))
    assert (run.status, run.reason, run.attempt, run.step, run.progress) == (Status.QUEUED, "", 1, 0, None)
    assert (run.name, run.model, run.method, run.dataset, run.dataset_id) == (
        *("first", "starter", "qlora", "tickets v1", "d0123456789"),
    )
    assert run.recipe == new.recipe
    assert run.tags == ("a", "b")
    assert (run.created, run.started, run.ended, run.heartbeat) == (1000.0, None, None, None)
    assert run.metrics == {}
    assert store.runs.get("r") is None
    with pytest.raises(StoreError, match="already"):
        store.runs.add(new)


def test_names_notes_and_tags(store: Store) -> None:
    store.runs.add(new_run("r1"))
    store.runs.rename("r1", "better")
    store.runs.set_note("r1", "keep this")
    for tag in ("b", "a", "b"):
        store.runs.add_tag("r1", tag)
    store.runs.remove_tag("r1", "nothing")
    run = the(store.runs.get("r1"))
    assert (run.name, run.notes, run.tags) == ("better", "keep this", ("a", "b"))
    assert [found.id for found in store.runs.list("better keep b")] == ["r1"]
    store.runs.remove_tag("r1", "b")
    assert store.runs.list("tag:b") == []
    for change in (
        lambda: store.runs.rename("r2", "x"),
        lambda: store.runs.set_note("r2", "x"),
        lambda: store.runs.add_tag("r2", "x"),
        lambda: store.runs.delete("r2"),
        lambda: store.runs.finish("r2", Status.LOST, "", 1.0),
        lambda: store.runs.reset("r2"),
        lambda: store.runs.ingest(IngestBatch("r2", 0, 1)),
    ):
        with pytest.raises(StoreError, match="no run r2"):
            change()


def test_find(store: Store) -> None:
    for number, (run_id, name) in enumerate([("abc1", "x"), ("abd2", "abc"), ("ab", "y"), ("zz", "y"), ("%", "w")]):
        store.runs.add(new_run(run_id, name, created=float(number)))
    ids = {
        text: [run.id for run in store.runs.find(text)] for text in ("ab", "abc", "y", "abd", "a", "q", "", "%", "_")
    }
    assert ids == {
        "ab": ["ab"],
        "abc": ["abd2"],
        "y": ["zz", "ab"],
        "abd": ["abd2"],
        "a": ["ab", "abd2", "abc1"],
        "q": [],
        "": [],
        "%": ["%"],
        "_": [],
    }


def test_list_pages(store: Store) -> None:
    for number in range(7):
        store.runs.add(new_run(f"r{number}", created=float(number)))
    assert [run.id for run in store.runs.list(limit=3)] == ["r6", "r5", "r4"]
    assert [run.id for run in store.runs.list(limit=3, offset=5)] == ["r1", "r0"]
    assert [run.id for run in store.runs.list(limit=2, descending=False)] == ["r0", "r1"]
    assert store.runs.count() == 7


def test_sorted_by_a_metric(store: Store) -> None:
    for run_id, loss in (("r1", 2.0), ("r2", 1.0), ("r3", 3.0)):
        store.runs.add(new_run(run_id))
        add_points(store, run_id, {"eval/loss": [(1, loss, 1.0)]})
    store.runs.add(new_run("r4"))
    assert [run.id for run in store.runs.list(sort="eval/loss", descending=False)] == ["r2", "r1", "r3", "r4"]
    assert [run.id for run in store.runs.list("-r3", sort="eval/loss")] == ["r1", "r2", "r4"]


def test_a_batch_is_taken_in_once(store: Store) -> None:
    store.runs.add(new_run("r1"))
    batch = IngestBatch(
        "r1",
        0,
        100,
        points={("a", 1): line(3)},
        attempts=[Attempt("r1", 1, 5.0, None, Status.TRAINING, "", 0)],
        events=[EventRow("r1", 3, 6.0, 1, "alert", {"level": "warning", "message": "half \ud83d a pair"})],
        problems=[(40, "damaged line")],
        unknown=2,
        last_seq=7,
        updates={"status": Status.TRAINING, "started": 5.0, "step": 3, "total_steps": 12},
    )
    assert store.runs.ingest(batch)
    once = store.runs.get("r1")
    assert not store.runs.ingest(batch)
    assert store.runs.get("r1") == once
    run = the(once)
    assert (run.status, run.step, run.progress, run.alerts, run.warnings) == (Status.TRAINING, 3, 0.25, 1, 3)
    assert store.runs.ingest_offset("r1") == 100
    assert store.runs.last_seq("r1") == 7
    assert store.runs.problems("r1") == [(40, "damaged line")]
    assert store.runs.events("r1", ["alert"])[0].body == {"level": "warning", "message": "half ? a pair"}
    assert [found.id for found in store.runs.live()] == ["r1"]


def test_a_batch_that_fails_leaves_nothing_behind(store: Store) -> None:
    store.runs.add(new_run("r1"))
    with pytest.raises(ValueError, match="name"):
        store.runs.ingest(IngestBatch("r1", 0, 9, points={("a", 1): line(3)}, updates={"name": "x"}))
    assert store.metrics.names("r1") == []
    assert store.runs.ingest_offset("r1") == 0


def test_events_are_the_last_ones_newest_last(store: Store) -> None:
    store.runs.add(new_run("r1"))
    rows = [EventRow("r1", n, float(n), 1, "alert" if n % 2 else "sample", {"n": n}) for n in range(20)]
    store.runs.ingest(IngestBatch("r1", 0, 1, events=rows))
    assert [row.seq for row in store.runs.events("r1", ["alert"], limit=3)] == [15, 17, 19]
    assert [row.seq for row in store.runs.events("r1", {"alert", "sample"}, limit=3)] == [17, 18, 19]
    assert store.runs.events("r1", []) == []


def test_finish_ends_the_run_and_its_attempt(store: Store) -> None:
    store.runs.add(new_run("r1"))
    updates = {"status": Status.TRAINING, "started": 50.0, "eta_s": 9.0, "phase": "x", "phase_progress": 0.5}
    attempt = Attempt("r1", 1, 50.0, None, Status.TRAINING, "", 0)
    store.runs.ingest(IngestBatch("r1", 0, 1, attempts=[attempt], updates=updates))
    store.runs.finish("r1", Status.LOST, "the process is gone", 40.0)
    run = the(store.runs.get("r1"))
    assert (run.status, run.reason, run.eta_s, run.phase, run.phase_progress) == (
        *(Status.LOST, "the process is gone", None, "", None),
    )
    assert run.ended == 50.0, "not before it began"
    assert store.runs.attempts("r1") == [Attempt("r1", 1, 50.0, 50.0, Status.LOST, "the process is gone", 0)]
    assert store.runs.live() == []


def test_finish_of_a_run_that_never_said_a_word(store: Store) -> None:
    store.runs.add(new_run("r1"))
    store.runs.finish("r1", Status.FAILED, "no such file", 40.0)
    assert the(store.runs.get("r1")).ended == 40.0
    assert store.runs.attempts("r1") == [Attempt("r1", 1, 40.0, 40.0, Status.FAILED, "no such file", None)]


def test_reset_forgets_the_log_and_keeps_what_people_said(store: Store) -> None:
    store.runs.add(new_run("r1", "first", tags=("a",)))
    fresh = store.runs.get("r1")
    add_points(store, "r1", {"a": line(30)}, from_step=0)
    store.runs.set_note("r1", "mine")
    store.runs.finish("r1", Status.FAILED, "why", 3.0)
    store.runs.reset("r1")
    store.runs.set_note("r1", "")
    assert store.runs.get("r1") == fresh
    assert store.runs.ingest_offset("r1") == 0
    assert store.metrics.series("r1", "a") is None
    assert store.runs.attempts("r1") == []


def test_delete_leaves_no_row(store: Store) -> None:
    for run_id in ("r1", "r2"):
        store.runs.add(new_run(run_id, tags=("a",)))
        add_points(store, run_id, {"a": line(30)}, from_step=0)
    store.runs.ingest(
        IngestBatch("r1", 1, 2, events=[EventRow("r1", 1, 1.0, 1, "alert", {})], problems=[(0, "damaged")])
    )
    store.runs.delete("r1")
    assert [run.id for run in store.runs.list()] == ["r2"]
    assert store.check() == []
    with store.transaction() as connection:
        (key,) = connection.execute("SELECT key FROM runs").fetchone()
        for table in ("points", "rollups", "latest", "tags", "attempts", "events", "problems"):
            assert connection.execute(f"SELECT count(*) FROM {table} WHERE run <> ?", (key,)).fetchone() == (0,)
