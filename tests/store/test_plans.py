"""The hot queries go through an index: none reads a whole table that grows with the number of points or runs."""

from collections.abc import Callable

import pytest

from store import Store
from store.records import Status
from tests.store.builders import add_points, line, new_run

QUERIES: dict[str, Callable[[Store], object]] = {
    "a list of runs": lambda store: store.runs.list(limit=50),
    "a filtered list": lambda store: store.runs.list("status:running tag:a word", sort="name"),
    "sorted by a metric": lambda store: store.runs.list(sort="train/loss"),
    "sorted by a lowest value": lambda store: store.runs.order(sort="train/loss.min"),
    "sorted by a setting": lambda store: store.runs.order(sort="cfg.lora_r"),
    "filtered by a metric": lambda store: store.runs.order("train/loss<1 train/loss.min:0..1 -train/loss=nan"),
    "filtered at a step": lambda store: store.runs.order("train/loss@100<1"),
    "filtered by a setting": lambda store: store.runs.order("cfg.lora_r>=8 cfg.target_modules:q has:cfg.lora_r"),
    "filtered by findings and parents": lambda store: store.runs.order("finding:over has:finding parent:x sweep:x"),
    "values of a metric": lambda store: store.runs.complete("train/loss.min<"),
    "values of a setting": lambda store: store.runs.complete("cfg.lora_r="),
    "values of columns": lambda store: [store.runs.complete(f"{key}:") for key in ("model", "dataset", "method")],
    "values of what few runs have": lambda store: [store.runs.complete(f"{key}:") for key in ("source", "failure")],
    "a deleted run": lambda store: store.runs.delete("r1"),
    "live runs": lambda store: store.runs.live(),
    "one run": lambda store: store.runs.get("r1"),
    "events": lambda store: store.runs.events("r1", ["alert", "sample"]),
    "latest": lambda store: store.metrics.latest("r1"),
    "a whole series": lambda store: store.metrics.series("r1", "train/loss"),
    "a thinned series": lambda store: store.metrics.series("r1", "train/loss", max_points=50),
    "a zoomed series": lambda store: store.metrics.series(
        "r1", "train/loss", max_points=50, first_step=9, last_step=4000
    ),
    "ingest": lambda store: add_points(store, "r1", {"train/loss": line(3)}, attempt=2, from_step=2),
    "evaluations of a run": lambda store: store.evaluations.of_model("r1"),
    "figures of runs": lambda store: store.evaluations.latest(["r1"]),
    "filtered and sorted by a figure": lambda store: store.runs.order("eval.bleu>1 has:figures", sort="eval.rouge_l"),
    "messages": lambda store: store.chats.messages("c1"),
    "attempts": lambda store: store.runs.attempts("r1"),
}


def statements(store: Store, query: Callable[[Store], object]) -> list[str]:
    connection = store._database.connection()
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    try:
        query(store)
    finally:
        connection.set_trace_callback(None)
    return [sql for sql in seen if sql.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")]


def full_scans(store: Store, sql: str) -> list[str]:
    """Steps of the plan that go through a whole table.

    A filter over the runs may, and once over those that it names; so may what reads the names of metrics and settings:
    those tables are small. What was measured is read of the newest evaluations.
    """
    plan = [str(row[3]) for row in store._database.connection().execute(f"EXPLAIN QUERY PLAN {sql}")]
    runs = "runs r" in sql and "rollups r" not in sql
    return [
        step
        for step in plan
        if (step.startswith("SCAN") or (step.startswith("SEARCH") and "(" not in step))
        and not step.startswith(
            ("SCAN json_each", "SCAN (subquery", "SCAN CONSTANT ROW", "SCAN (join", "SCAN v", "SCAN j VIRTUAL")
        )
        and not step.startswith(
            ("SCAN metric_names", "SCAN setting_names", "SCAN runs USING", "SCAN evaluations USING", "SCAN newest")
        )
        and not (runs and (step.startswith("SCAN r") or step == "SCAN o"))
    ]


@pytest.mark.parametrize("name", QUERIES)
def test_no_full_scan(store: Store, name: str) -> None:
    store.runs.add(new_run("r1"))
    add_points(store, "r1", {"train/loss": line(5000)})
    found = statements(store, QUERIES[name])
    assert found
    assert {sql: scans for sql in found if (scans := full_scans(store, sql))} == {}


def test_a_scan_would_be_seen(store: Store) -> None:
    for sql in ("SELECT count(*) FROM points", "SELECT max(value) FROM points", "SELECT l.value FROM latest l"):
        assert full_scans(store, sql)


def test_a_list_of_runs_is_five_queries_and_reads_no_point(store: Store) -> None:
    for n in range(30):
        store.runs.add(new_run(f"r{n:02}", tags=("a", "b")))
        add_points(store, f"r{n:02}", {"train/loss": line(5), "eval/loss": line(5)})
    found = statements(store, lambda opened: opened.runs.list())
    assert len(found) == 5  # the last two find that nobody has voted and nothing was evaluated
    assert not any("points" in sql or "rollups" in sql for sql in found)
    runs = store.runs.list()
    assert [run.id for run in runs] == [f"r{n:02}" for n in range(29, -1, -1)]
    assert all(run.metrics["train/loss"].last == 2.0 and run.tags == ("a", "b") for run in runs)
    assert {run.status for run in runs} == {Status.QUEUED}
