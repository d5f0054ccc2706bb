"""Sweeps in the store, and the runs that belong to them."""

from dataclasses import replace

import pytest

from store import Store, StoreError
from store.records import Sweep, SweepStatus
from tests.store.builders import new_run


def sweep(sweep_id: str, name: str = "rates", created: float = 1.0) -> Sweep:
    spec = {"name": name, "search": {"lora_r": {"values": [8, 16]}}}
    return Sweep(sweep_id, name, created, SweepStatus.RUNNING, "", None, spec, f"/sweeps/{sweep_id}")


def test_what_is_added_is_found(store: Store) -> None:
    first, second = sweep("s1aa"), sweep("s1bb", "ranks", 2.0)
    store.sweeps.add(first)
    store.sweeps.add(second)
    assert store.sweeps.get("s1aa") == first
    assert store.sweeps.get("s1") is None
    assert store.sweeps.list() == [second, first]
    assert store.sweeps.list(limit=1) == [second]
    assert store.sweeps.find("ranks") == [second]
    assert store.sweeps.find("s1") == [second, first]
    assert store.sweeps.find("") == store.sweeps.find("s2") == []
    with pytest.raises(StoreError, match="already"):
        store.sweeps.add(first)


def test_how_it_stands(store: Store) -> None:
    store.sweeps.add(sweep("s1"))
    store.sweeps.set_status("s1", SweepStatus.FAILED, "three in a row", 9.0)
    assert store.sweeps.get("s1") == replace(sweep("s1"), status=SweepStatus.FAILED, reason="three in a row", ended=9.0)
    store.sweeps.set_status("s1", SweepStatus.RUNNING)
    assert store.sweeps.get("s1") == sweep("s1")
    with pytest.raises(StoreError, match="no sweep"):
        store.sweeps.set_status("s2", SweepStatus.LOST)
    assert [status for status in SweepStatus if status.live] == [SweepStatus.RUNNING, SweepStatus.STOPPING]


def test_runs_of_a_sweep(store: Store) -> None:
    store.sweeps.add(sweep("s1", "Rates"))
    for number, run_id in enumerate(("b", "a", "c")):
        store.runs.add(new_run(run_id, created=float(number), sweep="s1" if run_id != "c" else ""))
    assert store.sweeps.run_ids("s1") == ["b", "a"]
    assert store.sweeps.run_ids("") == [], "runs of no sweep are not runs of the sweep without a name"
    for query in ("sweep:s1", "sweep:rates"):
        assert {run.id for run in store.runs.list(query)} == {"a", "b"}
    assert {run.id for run in store.runs.list("NOT sweep:s1")} == {"c"}
    store.sweeps.delete("s1")
    assert store.sweeps.get("s1") is None
    assert store.runs.count("sweep:s1") == 0 and store.runs.count() == 3


def test_runs_of_a_sweep_are_found_by_an_index(store: Store) -> None:
    with store.transaction() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM runs WHERE sweep = ? AND sweep <> '' ORDER BY created, key", ("s1",)
        ).fetchall()
    assert any("runs_by_sweep" in str(row) for row in plan)
