"""The family of a run: data, parents, children, sweep."""

from pathlib import Path
from typing import Any

import pytest

from engine.runs.lineage import lineage_of, start_step
from engine.runs.rundir import write_json
from store import Store, open_store
from store.records import Dataset, NewRun, Run, Sweep, SweepStatus


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = open_store(tmp_path / "finetui.db")
    yield opened
    opened.close()


def add(store: Store, folder: Path, run_id: str, parent: str = "", *, at: float = 1.0, **fields: Any) -> Run:
    path = folder / run_id
    path.mkdir()
    known: dict[str, Any] = {"dataset": "tickets", "dataset_id": "", "recipe": {}} | fields
    store.runs.add(
        NewRun(
            id=run_id,
            name=f"name-{run_id}",
            model="m",
            method="lora",
            created=at,
            dir=str(path),
            parent=parent,
            **known,
        )
    )
    found = store.runs.get(run_id)
    assert found is not None
    return found


def dataset(dataset_id: str, version: int, parent: str | None) -> Dataset:
    return Dataset(dataset_id, "tickets", version, "messages", 10, {"train": 10}, None, parent, "f", 1.0, "/d")


def test_parents_and_children(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a", at=1)
    add(store, tmp_path, "b", "a", at=2, recipe={"continue_from": "name-a@40"})
    run = add(store, tmp_path, "c", "b", at=3, recipe={"continue_from": "b"})
    add(store, tmp_path, "d", "c", at=5)
    add(store, tmp_path, "e", "d", at=6)
    add(store, tmp_path, "f", "c", at=4, recipe={"continue_from": "c@7"})
    add(store, tmp_path, "other", "a", at=7)
    found = lineage_of(store, run)
    assert [(kin.id, kin.step, kin.generation) for kin in found.parents] == [("a", 40, 2), ("b", None, 1)]
    assert [(kin.id, kin.step, kin.generation) for kin in found.children] == [
        ("f", 7, 1),
        ("d", None, 1),
        ("e", None, 2),
    ]
    assert {run.id for run in store.runs.descendants("a")} == {"b", "c", "d", "e", "f", "other"}


def test_a_parent_that_was_removed_is_named(store: Store, tmp_path: Path) -> None:
    run = add(store, tmp_path, "b", "gone")
    write_json(Path(run.dir) / "inputs.json", {"parent": {"id": "gone", "name": "first-try"}})
    (kin,) = lineage_of(store, run).parents
    assert (kin.id, kin.name, kin.run) == ("gone", "first-try", None)


def test_runs_that_name_each_other_as_parents_come_to_an_end(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "a", "b")
    run = add(store, tmp_path, "b", "a")
    found = lineage_of(store, run)
    assert [kin.id for kin in found.parents] == ["a"]
    assert [kin.id for kin in found.children] == ["a"]


def test_the_data_from_its_import_on(store: Store, tmp_path: Path) -> None:
    for one in (dataset("d1", 1, None), dataset("d2", 2, "d1"), dataset("d3", 3, "d2")):
        store.datasets.add(one)
    run = add(store, tmp_path, "a", dataset_id="d2")
    assert [one.id for one in lineage_of(store, run).datasets] == ["d1", "d2"]
    assert lineage_of(store, add(store, tmp_path, "b", dataset_id="dgone")).datasets == []


def test_the_sweep_and_its_other_trials(store: Store, tmp_path: Path) -> None:
    store.sweeps.add(Sweep("s1", "ranks", 1.0, SweepStatus.RUNNING, "", None, {}, "/s"))
    run = add(store, tmp_path, "a", sweep="s1", at=1)
    add(store, tmp_path, "b", sweep="s1", at=2)
    found = lineage_of(store, run)
    assert found.sweep is not None and found.sweep.name == "ranks"
    assert [one.id for one in found.trials] == ["b"]


@pytest.mark.parametrize(
    ("told", "step"), [(None, None), ("p", None), ("p@12", 12), ("p@last", None), ("tagged@5", None), ("tagged@5@6", 6)]
)
def test_where_it_began(store: Store, tmp_path: Path, told: str | None, step: int | None) -> None:
    parent = add(store, tmp_path, "p")
    store.runs.rename("p", "tagged@5")
    parent = store.runs.get("p") or parent
    child = add(store, tmp_path, "c", "p", recipe={"continue_from": told})
    assert start_step(child, parent) == step
