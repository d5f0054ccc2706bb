"""Damaged and hostile run folders, as copied from elsewhere: shown or left out, and none holds up the others."""

import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FinetuiError
from engine.history import find_history, import_history
from engine.home import Home
from engine.inference.panes import panes_for
from engine.insight.failures import failure_of
from engine.registry.info import info_of
from engine.runs.entry import new_run
from engine.runs.identity import host, read_process
from engine.runs.lineage import lineage_of
from engine.runs.manager import RunManager
from engine.runs.queue import planned_s
from engine.runs.reconcile import judge, was_waiting
from engine.runs.rundir import RunDir, read_table
from store import Store, open_store
from store.records import NewRun, Run
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, FEW, as_json, changes, document, mutated

GOOD = "r0000000good"
ODD = "r00000000odd"
INPUTS: dict[str, Any] = {
    "id": ODD,
    "name": "odd",
    "tags": ["a"],
    "created": 1000.0,
    "model": {"name": "starter", "path": "/models/starter", "revision": None, "kind": "starter"},
    "dataset": {"id": "d0123456789", "name": "tickets", "version": 1, "dir": "/datasets/d0123456789"},
    "devices": ["cpu"],
    "visible": {"gpu0": "0"},
    "leases": "/leases",
    "needs_bytes": 5,
    "processes": 1,
    "priority": 0,
    "prepare": [{"argv": ["true"], "phase": "x", "lock": None, "skip_if_exists": None}],
    "versions": {"python": "3.11"},
    "plan": {"time_s": 60.0, "peak_bytes": 5},
    "parent": {"id": GOOD, "name": "good", "step": 4},
    "sweep": {"id": "s1", "trial": 2},
    "template_hash": "abc",
    "notes": "n",
}
EXIT: dict[str, Any] = {
    "attempt": 1,
    "code": 1,
    "signal": 9,
    "started": 5.0,
    "ended": 6.0,
    "requested": "stop",
    "oom_killed": False,
    "phase": None,
    "log_offset": 3,
}
PROCESS: dict[str, Any] = {
    "host": host(),
    "boot_id": "another",
    "attempt": 2,
    "supervisor": {"pid": 2**22 + 1, "create_time": 5},
    "worker": {"pid": 2**22 + 2, "create_time": 6},
    "backend": "local",
}
RECIPE = b'method = "qlora"\nlora_r = 16\nlearning_rate = 2e-4\ndevices = [0, 1]\ncost_per_hour = 2.5\n'
EVENT = b'{"v":1,"seq":0,"t":100.0,"attempt":1,"kind":"state","status":"training"}\n'


def some(known: dict[str, Any]) -> st.SearchStrategy[bytes | None]:
    """The file as it should be, in other forms, nested without an end, or not there."""
    return st.one_of(
        st.just(as_json(known)),
        document(known).map(as_json),
        mutated([as_json(known)]),
        st.sampled_from(DEEP),
        st.none(),
    )


folders = st.fixed_dictionaries(
    {
        "inputs.json": some(INPUTS),
        "exit.json": some(EXIT),
        "process.json": some(PROCESS),
        "recipe.toml": st.just(RECIPE) | mutated([RECIPE]) | st.none(),
    }
)


@dataclass
class Shelf:
    """A home with a good run and, beside it, one that is made anew for each example."""

    home: Home
    store: Store
    manager: RunManager
    odd: RunDir

    def put(self, files: dict[str, bytes | None]) -> None:
        shutil.rmtree(self.odd.path, ignore_errors=True)
        self.odd.path.mkdir()
        self.odd.events.write_bytes(EVENT)
        self.odd.log.write_text("Traceback (most recent call last)\n  x\nRuntimeError: CUDA out of memory\n")
        marker = self.odd.checkpoints / "step-none" / "COMMITTED"
        marker.parent.mkdir(parents=True)
        marker.touch()
        for name, content in files.items():
            if content is not None:
                (self.odd.path / name).write_bytes(content)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    home = Home(tmp_path_factory.mktemp("shelf") / "home").ensure()
    store = open_store(home.db)
    good = RunDir(home.runs / GOOD)
    good.path.mkdir()
    good.inputs.write_bytes(as_json(INPUTS | {"id": GOOD, "name": "good", "parent": None}))
    good.recipe.write_bytes(RECIPE)
    good.events.write_bytes(EVENT)
    good.exit.write_bytes(as_json(EXIT))
    manager = RunManager(home, store)
    yield Shelf(home, store, manager, RunDir(home.runs / ODD))
    manager.close()
    store.close()


def check_folder(shelf: Shelf, files: dict[str, bytes | None]) -> None:
    shelf.put(files)
    judge(shelf.odd)
    was_waiting(shelf.odd)
    read_process(shelf.odd.process)
    planned_s(read_table(shelf.odd.inputs))
    for run in shelf.store.runs.list():
        if run.id != GOOD:
            shelf.store.runs.delete(run.id)
    assert shelf.manager.rebuild() in (1, 2)
    shelf.manager.refresh()
    ids = [run.id for run in shelf.store.runs.list()]
    assert GOOD in ids and set(ids) <= {GOOD, ODD}
    for run in shelf.store.runs.list():
        check_run(shelf, run)


def check_run(shelf: Shelf, run: Run) -> None:
    """What is read of a run's folder when it is looked at."""
    f"{run.name}{run.model}{run.dataset}{run.tags}{run.reason}".encode()
    info_of(shelf.home, shelf.store, run)
    lineage_of(shelf.store, run)
    for look in (lambda: panes_for([run], None, shelf.home), lambda: failure_of(shelf.store, run)):
        try:
            look()
        except FinetuiError as error:
            assert error.what


@examples(20)
@given(folders)
def test_any_folder_is_judged_and_entered_or_left_out(shelf: Shelf, files: dict[str, bytes | None]) -> None:
    check_folder(shelf, files)


@pytest.mark.parametrize("path", cases("run_folders"), ids=lambda path: path.name)
def test_folders_that_were_found(shelf: Shelf, path: Path) -> None:
    name = path.name.split(".")[0] + path.suffix
    check_folder(shelf, {"inputs.json": as_json(INPUTS), "recipe.toml": RECIPE, name: path.read_bytes()})


@examples(10)
@given(folders)
def test_any_folder_is_imported_or_refused_in_words(
    shelf: Shelf, tmp_path_factory: Any, files: dict[str, bytes | None]
) -> None:
    shelf.put(files)
    there = tmp_path_factory.mktemp("there") / ODD
    shelf.odd.path.rename(there)
    try:
        outcome = import_history(shelf.home, shelf.store, find_history(there).runs)
    except FinetuiError as error:
        assert error.what
    else:
        assert all(one.id for one in outcome.runs)
    shutil.rmtree(there)
    for path in shelf.home.runs.iterdir():
        if path.name != GOOD:
            shutil.rmtree(path)


def test_every_field_of_the_records_may_be_anything(shelf: Shelf) -> None:
    shelf.put({"recipe.toml": RECIPE})
    if shelf.store.runs.get(ODD):
        shelf.store.runs.delete(ODD)
    for told in changes(PROCESS):
        shelf.odd.process.write_bytes(as_json(told))
        judge(shelf.odd)
    for told in changes(EXIT):
        shelf.odd.exit.write_bytes(as_json(told))
        assert judge(shelf.odd)
    entered: list[NewRun] = []
    for told in changes(INPUTS, FEW):
        try:
            new = new_run(shelf.odd, told)
        except ValueError:
            continue
        planned_s(told)
        if new not in entered:
            entered.append(new)
            shelf.store.runs.add(new)
            shelf.store.runs.delete(new.id)


def test_the_recipe_used_here_is_toml() -> None:
    assert tomllib.loads(RECIPE.decode())["lora_r"] == 16
