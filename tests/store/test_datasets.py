"""Dataset versions."""

from typing import Any

import pytest

from store import QueryError, Store, StoreError
from store.records import Dataset
from tests.store.builders import new_run


def dataset(dataset_id: str, name: str = "emoji-chat", version: int = 1, **fields: Any) -> Dataset:
    known: dict[str, Any] = {
        "shape": "messages",
        "rows": 474,
        "splits": {"train": 426, "validation": 48},
        "tokens": None,
        "parent": None,
        "source": "/data/Emoji.jsonl",
        "created": 100.0 + version,
        "dir": f"/datasets/{dataset_id}",
    }
    return Dataset(id=dataset_id, name=name, version=version, **(known | fields))


def test_a_dataset_comes_back_as_it_was(store: Store) -> None:
    one = dataset("d0001", tokens=9, parent="d0000", warnings=("12 duplicate rows", "„Ünïcode“"))
    store.datasets.add(one)
    assert store.datasets.get("d0001") == one
    assert store.datasets.get("d") is None
    assert store.datasets.list() == [one]


def test_an_id_and_a_version_are_taken_once(store: Store) -> None:
    store.datasets.add(dataset("d0001"))
    for twice in (dataset("d0001", version=2), dataset("d0002")):
        with pytest.raises(StoreError, match="already"):
            store.datasets.add(twice)
    assert store.datasets.next_version("emoji-chat") == 2
    assert store.datasets.next_version("support") == 1


def test_find(store: Store) -> None:
    for dataset_id, name, version in (("da1", "emoji", 1), ("da2", "emoji", 2), ("db3", "emoji v9", 1), ("d", "x", 4)):
        store.datasets.add(dataset(dataset_id, name, version))
    found = {
        text: [one.id for one in store.datasets.find(text)]
        for text in (
            "da1",
            "emoji",
            "emoji@1",
            "emoji@v2",
            "emoji v2",
            "Emoji",
            "emoji v9",
            "da",
            "d",
            "x v4",
            "x@5",
            "",
        )
    }
    assert found == {
        "da1": ["da1"],
        "emoji": ["da2", "da1"],
        "emoji@1": ["da1"],
        "emoji@v2": ["da2"],
        "emoji v2": ["da2"],
        "Emoji": [],
        "emoji v9": ["db3"],
        "da": ["da2", "da1"],
        "d": ["d"],
        "x v4": ["d"],
        "x@5": [],
        "": [],
    }


def test_list_newest_first_and_filtered(store: Store) -> None:
    store.datasets.add(dataset("d1", "emoji", 1))
    store.datasets.add(dataset("d2", "support", 5, source="tickets.csv"))
    assert [one.id for one in store.datasets.list()] == ["d2", "d1"]
    assert [one.id for one in store.datasets.list("TICKETS")] == ["d2"]
    assert [one.id for one in store.datasets.list("name:emo -d2")] == ["d1"]
    with pytest.raises(QueryError, match="no key 'tag'"):
        store.datasets.list("tag:a")


def test_runs_using_and_delete(store: Store) -> None:
    store.datasets.add(dataset("d1"))
    store.runs.add(new_run("r1", dataset_id="d1", created=1.0))
    store.runs.add(new_run("r2", dataset_id="d1", created=2.0))
    store.runs.add(new_run("r3", dataset_id="d2"))
    assert store.datasets.runs_using("d1") == ["r2", "r1"]
    store.datasets.delete("d1")
    assert store.datasets.get("d1") is None
    assert store.runs.count() == 3
