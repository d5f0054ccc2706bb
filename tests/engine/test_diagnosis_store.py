"""Findings of runs in a store: read from it, kept in it, kept up to date while runs go on."""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from engine.home import Home
from engine.insight.diagnosis import (
    Curves,
    FindingKeeper,
    curves_of,
    diagnose,
    diagnose_run,
    finding_of,
    keep_findings,
    keeping,
    row_of,
)
from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from store import Store, open_store
from store.records import Run, Status
from tests.engine.curves_made import falling, points, run
from tests.store.builders import new_run, the


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = open_store(home.ensure().db)
    yield store
    store.close()


def overfitted(home: Home, store: Store, run_id: str = "r1", *, steps: int = 60, last: str = "training") -> Run:
    """A run whose validation loss rises from step 30 on, taken in from its log."""
    rundir = RunDir(home.runs / run_id)
    rundir.path.mkdir(parents=True, exist_ok=True)
    fresh = store.runs.get(run_id) is None
    if fresh:
        recipe = {"method": "lora", "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "learning_rate": 2e-4}
        store.runs.add(new_run(run_id, recipe=recipe, dir=str(rundir.path)))
    writer = EventWriter(rundir.events, 1)
    if fresh:
        writer.write("plan", total_steps=120, train_rows=80, eval_rows=8)
    writer.write("state", status="training")
    for step in range(the(store.runs.get(run_id)).step + 1, steps + 1):
        writer.write("metrics", step=step, values={"train/loss": 2.0 - step / 50, "train/epoch": step / 10})
        if step % 10 == 0:
            value = 1.0 + abs(step - 30) / 50
            writer.write("evaluation", step=step, values={"eval/loss": value}, best=step <= 30)
            folder = rundir.checkpoints / f"step-{step:06d}"
            folder.mkdir(parents=True)
            (folder / "COMMITTED").touch()
    if last != "training":
        writer.write("end", status=last)
    writer.close()
    ingest_run(store, run_id, rundir)
    return the(store.runs.get(run_id))


def codes(store: Store, run_id: str = "r1") -> list[str]:
    return [row.code for row in store.findings.of(run_id)]


def test_a_run_of_the_store_is_read_whole(home: Home, store: Store) -> None:
    curves = curves_of(store, overfitted(home, store))
    assert curves.metrics["eval/loss"] == [(step, 1.0 + abs(step - 30) / 50) for step in range(10, 70, 10)]
    assert (curves.step, curves.total_steps, curves.train_rows, curves.eval_rows) == (60, 120, 80, 8)
    assert (curves.epoch, curves.best_step, curves.checkpoints) == (6.0, 30, (10, 20, 30, 40, 50, 60))
    assert curves.live and curves.recipe["lora_r"] == 16
    assert "overfitting" in {finding.code for finding in diagnose(curves)}


def test_what_the_report_of_the_dataset_says_counts(home: Home, store: Store) -> None:
    from tests.engine.runs_at_work import import_support

    dataset = import_support(home, store)
    rundir = home.runs / "r2"
    rundir.mkdir(parents=True)
    store.runs.add(new_run("r2", dataset_id=dataset.id, dir=str(rundir)))
    assert curves_of(store, the(store.runs.get("r2"))).leaking_rows is None
    report = {
        "checks": [{"code": "leak-exact", "count": 3}, {"code": "leak-near", "count": 1}, {"code": "empty", "count": 9}]
    }
    (Path(dataset.dir) / "report.json").write_text(json.dumps(report))
    assert curves_of(store, the(store.runs.get("r2"))).leaking_rows == 4
    (Path(dataset.dir) / "report.json").write_text("[")
    assert curves_of(store, the(store.runs.get("r2"))).leaking_rows is None


def test_findings_come_back_from_the_store_as_they_were(store: Store) -> None:
    store.runs.add(new_run("r1"))
    train = [*points(falling(2.0, 0.5), 30), (31, nan)]
    eval_points = [(10, 1.02), (20, 1.1), (30, 1.3)]
    findings = diagnose(run(train, eval=eval_points, best_step=10, checkpoints=(10,)))
    assert len(findings) > 1
    assert store.findings.replace("r1", [row_of(one, "r1", 5.0) for one in findings]) == [one.code for one in findings]
    back = {row.code: finding_of(row) for row in store.findings.of("r1")}
    for one in findings:
        assert repr(back[one.code]) == repr(one)
    assert store.findings.replace("r1", [row_of(one, "r1", 9.0) for one in findings]) == []
    assert {row.found for row in store.findings.of("r1")} == {5.0}


def test_a_row_of_another_version_is_shown_as_far_as_it_goes(store: Store) -> None:
    store.runs.add(new_run("r1"))
    row = row_of(diagnose(run(eval_rows=0))[0], "r1", 1.0)
    assert finding_of(replace(row, code="new", body={"acts": "none"})).title == "new"


def test_nothing_is_written_where_nothing_changed(home: Home, store: Store) -> None:
    it = overfitted(home, store)
    assert keep_findings(store, it) == ["overfitting"]
    other = open_store(home.db)
    before = other.data_version()
    assert keep_findings(store, it) == []
    assert other.data_version() == before
    other.close()


def test_findings_follow_a_live_run_now_and_then(home: Home, store: Store) -> None:
    now = 100.0
    keeper = FindingKeeper(store, clock=lambda: now)
    overfitted(home, store, steps=20)
    keeper.look("r1")
    assert codes(store) == []
    overfitted(home, store, steps=60)
    now += keeping.EVERY_S / 2
    keeper.look("r1")
    assert codes(store) == [], "it was looked at a moment ago"
    now += keeping.EVERY_S / 2
    keeper.look("r1")
    assert codes(store) == ["overfitting"]
    assert the(store.runs.get("r1")).finding == "overfitting"


def test_the_end_of_a_run_is_looked_at_at_once(home: Home, store: Store) -> None:
    keeper = FindingKeeper(store, clock=lambda: 100.0)
    overfitted(home, store, steps=20)
    keeper.look("r1")
    it = overfitted(home, store, steps=60, last="succeeded")
    assert it.status is Status.SUCCEEDED
    keeper.look("r1")
    assert codes(store) == ["overfitting"]
    assert "stop" not in [act.code for act in finding_of(store.findings.of("r1")[0]).acts]


def test_what_was_dismissed_stays_so(home: Home, store: Store) -> None:
    it = overfitted(home, store)
    keep_findings(store, it)
    store.findings.dismiss("r1", "overfitting")
    keep_findings(store, overfitted(home, store, steps=70))
    (row,) = store.findings.of("r1")
    assert row.dismissed is not None and row.body["evidence"][0]["steps"][-1] == 70
    assert the(store.runs.get("r1")).finding == ""


def test_a_look_that_fails_holds_nothing_up(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(store: Store, run: Run) -> Curves:
        raise ZeroDivisionError

    it = overfitted(home, store)
    monkeypatch.setattr("engine.insight.diagnosis.reading.curves_of", broken)
    keeper = FindingKeeper(store, clock=lambda: 100.0)
    keeper.look(it.id)
    keeper.look(it.id)
    keeper.look("nobody")
    assert caplog.text.count("cannot be diagnosed") == 1
    assert codes(store) == []


def test_a_long_run_is_read_in_few_points(home: Home, store: Store) -> None:
    rundir = RunDir(home.runs / "r1")
    rundir.path.mkdir(parents=True)
    store.runs.add(new_run("r1", dir=str(rundir.path)))
    writer = EventWriter(rundir.events, 1)
    for step in range(1, 3001):
        writer.write("metrics", step=step, values={"train/loss": 1.0 + 1000 / (step + 500)})
    writer.close()
    ingest_run(store, "r1", rundir)
    curves = curves_of(store, the(store.runs.get("r1")))
    assert len(curves.metrics["train/loss"]) <= 400
    assert [finding.code for finding in diagnose_run(store, the(store.runs.get("r1")))] == ["healthy"]
