"""Damaged and hostile folders of the registry: entered as far as they are whole, shown, and put on a card."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FinetuiError
from engine.home import Home
from engine.registry.card import model_card
from engine.registry.finding import as_run
from engine.registry.folder import NameDir, VersionDir
from engine.registry.form import in_form
from engine.registry.keeping import problems_of, rebuild, version_before
from store import Store, open_store
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, FEW, as_json, changes, document, mutated, nested

NAME = "odd"
INFO: dict[str, Any] = {
    "v": 1,
    "kind": "adapter",
    "name": NAME,
    "version": 1,
    "created": "2026-11-21T22:03:00Z",
    "description": "d",
    "tags": ["a"],
    "run": {"id": "r00000000odd", "name": "odd", "status": "succeeded", "step": 20, "total_steps": 40, "kept_step": 20},
    "base": {"name": "starter", "kind": "hub", "revision": "abc", "licence": "mit"},
    "dataset": {"id": "d1", "name": "t", "version": 1, "rows": 100, "splits": {"train": 90}, "hub": "a/b"},
    "method": "qlora",
    "recipe": {"lora_r": 16, "lora_alpha": 32, "learning_rate": 2e-4, "seed": 42, "objective": "sft"},
    "rows": {"train": 90, "validation": 10},
    "train_tokens": 5000,
    "parameters": {"trained": 5, "total": 10},
    "training": {"eval/loss": {"last": 2.0, "best": 1.5, "best_step": 20}},
    "effect": {"max_logit_change": 3.0, "probes": 4},
    "evaluations": [
        {
            "kind": "text",
            "data": "t v1",
            "split": "validation",
            "rows": 10,
            "beside": "base",
            "figures": [
                {"metric": "rouge_l", "value": 0.5, "low": 0.4, "high": 0.6, "difference": 0.1, "p_value": 0.04}
            ],
        }
    ],
    "votes": {"win_rate": 0.5, "votes": 4},
    "took": {"time_s": 60.0, "device": "cpu", "devices": 1, "cost": 1.5, "currency": "EUR", "energy_j": 5.0},
    "size_bytes": 5000,
    "versions": {"torch": "2"},
}
ABOUT: dict[str, Any] = {"created": 5.0, "last": 1, "promotions": [{"t": 5.0, "version": 1, "note": "n"}]}
INPUTS: dict[str, Any] = {"id": "r00000000odd", "model": {"name": "starter"}}
DIGESTS: dict[str, Any] = {"v": 1, "files": {"adapter/x": {"bytes": 1, "sha256": "00"}, "../../x": {"sha256": "00"}}}


def some(known: dict[str, Any]) -> st.SearchStrategy[bytes]:
    whole = as_json(known)
    return st.just(whole) | document(known).map(as_json) | mutated([whole]) | st.sampled_from(DEEP)


files = st.fixed_dictionaries(
    {
        "model_info.json": some(INFO),
        "name.json": some(ABOUT),
        "inputs.json": some(INPUTS),
        "digests.json": some(DIGESTS),
    }
)


@dataclass
class Shelf:
    home: Home
    store: Store
    place: VersionDir

    def put(self, found: dict[str, bytes]) -> None:
        shutil.rmtree(self.place.path.parent, ignore_errors=True)
        self.place.adapter.mkdir(parents=True)
        for name, content in found.items():
            (self.place.path.parent if name == "name.json" else self.place.path).joinpath(name).write_bytes(content)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    home = Home(tmp_path_factory.mktemp("registry") / "home").ensure()
    store = open_store(home.db)
    yield Shelf(home, store, NameDir.of(home, NAME).version(1))
    store.close()


def check_version(shelf: Shelf, found: dict[str, bytes]) -> None:
    shelf.put(found)
    if shelf.store.registry.name(NAME) is not None:
        shelf.store.registry.delete(NAME)
    entered = rebuild(shelf.home, shelf.store)
    versions = shelf.store.registry.versions(NAME)
    assert len(versions) == entered
    for version in versions:
        version_before(shelf.store, NAME)
        problems_of(shelf.home, version)
        run = as_run(shelf.home, version)
        f"{run.name}{run.model}{run.dataset}{run.tags}{run.notes}".encode()
        try:
            model_card(version.info).encode()
        except FinetuiError as error:
            assert error.what


@examples(20)
@given(files)
def test_any_version_is_entered_or_left_out(shelf: Shelf, found: dict[str, bytes]) -> None:
    check_version(shelf, found)


WHOLE = {
    "model_info.json": as_json(INFO),
    "name.json": as_json(ABOUT),
    "inputs.json": as_json(INPUTS),
    "digests.json": as_json(DIGESTS),
}


@pytest.mark.parametrize("path", cases("registry"), ids=lambda path: path.name)
def test_versions_that_were_found(shelf: Shelf, path: Path) -> None:
    check_version(shelf, WHOLE | {path.name.split(".")[0] + ".json": path.read_bytes()})


def test_every_field_may_be_anything() -> None:
    seen = set()
    for told in changes(INFO, FEW):
        info = in_form(told)
        if (form := repr(info)[:20_000]) not in seen:  # most of what is wrong comes to the same: it is left out
            seen.add(form)
            model_card(info).encode()
    assert len(seen) > 100


def test_a_setting_nested_deeply_is_on_the_card(shelf: Shelf) -> None:
    assert "…" in model_card(in_form(INFO | {"recipe": {"odd": nested(400)}}))


def test_the_original_is_entered(shelf: Shelf) -> None:
    check_version(shelf, WHOLE)
    [version] = shelf.store.registry.versions(NAME)
    assert "rouge" in model_card(version.info).lower() and version.tags == ("a",)
