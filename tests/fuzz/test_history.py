"""Files of other tools, damaged in any way: what is readable becomes a run that names the rest, or an error in words.

`tests/history/test_damage.py` breaks files off and turns single bits; here whole stretches are turned, cut and doubled,
and what comes of it goes all the way into the store.
"""

import gzip
import shutil
import sqlite3
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
from store import Store, open_store
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, SHARP, as_json, changes, document, mutated

FILES = Path(__file__).parents[1] / "history" / "files"
STATE: dict[str, Any] = {
    "global_step": 8,
    "max_steps": 12,
    "log_history": [{"loss": 2.5, "step": 4, "epoch": 0.5, "learning_rate": 1e-4}, {"eval_loss": 2.0, "step": 8}],
}
METRICS = {"loss": 2.5, "nested": {"a": 1}, "text": "x"}


def original(pattern: str) -> bytes:
    [path] = FILES.glob(pattern)
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def trackio_of(metrics: list[str]) -> bytes:
    """A database of Trackio's with these metrics, as JSON or not."""
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step, metrics);"
            "CREATE TABLE configs (id INTEGER PRIMARY KEY, run_name TEXT, config TEXT);"
        )
        for step, one in enumerate(metrics):
            values = (f"2026-01-01T00:00:{step:02}+00:00", "r", step, one)
            connection.execute("INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?)", values)
            connection.execute("INSERT INTO configs (run_name, config) VALUES ('r', ?)", (one,))
        connection.commit()
        return connection.serialize()


trackio = st.lists(document(METRICS).map(lambda one: as_json(one).decode()), min_size=1, max_size=4).map(trackio_of)
KINDS: dict[str, tuple[str, st.SearchStrategy[bytes]]] = {
    "wandb": ("run-x.wandb", mutated([original("wandb/*handmade/run-handmade.wandb")])),
    "tensorboard": (
        "events.out.tfevents.1763712391.host",
        mutated([original("tensorboard/mixed/events.out.tfevents.1763712391.host")]),
    ),
    "trainer": (
        "trainer_state.json",
        document(STATE).map(as_json) | mutated([as_json(STATE)]) | st.sampled_from(DEEP),
    ),
    "trackio": ("t.db", trackio | mutated([original("trackio/by-hand.db.gz")])),
    "mlflow": ("mlflow.db", mutated([original("mlflow/mlflow.db.gz")])),
}


@dataclass
class Desk:
    home: Home
    store: Store
    there: Path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("history")
    home = Home(folder / "home").ensure()
    store = open_store(home.db)
    yield Desk(home, store, folder / "there")
    store.close()


def check_history(desk: Desk, name: str, data: bytes) -> None:
    shutil.rmtree(desk.there, ignore_errors=True)
    desk.there.mkdir()
    (desk.there / name).write_bytes(data)
    try:
        outcome = import_history(desk.home, desk.store, find_history(desk.there).runs)
    except FinetuiError as error:
        assert error.what
        return
    for one in outcome.runs:
        assert one.id or one.problems
        assert not any("Error" in problem for problem in one.problems), one.problems
        run = desk.store.runs.get(one.id) if one.id else None
        assert (run is None) is not bool(one.id)
    for run in desk.store.runs.list():
        assert not desk.store.runs.problems(run.id)
        desk.store.runs.delete(run.id)
        shutil.rmtree(run.dir)
    assert not list(desk.home.runs.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_any_history_is_imported_or_refused_in_words(desk: Desk, kind: str) -> None:
    name, files = KINDS[kind]

    @examples(8)
    @given(files)
    def tried(data: bytes) -> None:
        check_history(desk, name, data)

    tried()


def test_every_entry_of_a_trainers_history_may_be_anything(desk: Desk) -> None:
    entries = [*SHARP, *(changed for entry in STATE["log_history"] for changed in changes(entry))]
    check_history(desk, "trainer_state.json", as_json(STATE | {"log_history": entries}))
    check_history(desk, "trainer_state.json", as_json(STATE)[:-40])


@pytest.mark.parametrize("path", cases("history"), ids=lambda path: path.name)
def test_files_that_were_found(desk: Desk, path: Path) -> None:
    check_history(desk, KINDS[path.name.split(".")[0]][0], path.read_bytes())
