"""Files that the real libraries wrote (`make_files.py`), unpacked; a home and its store."""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.history import Outcome, find_history, import_history
from engine.home import Home
from store import Store, open_store
from store.records import Run

FILES = Path(__file__).parent / "files"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files, the databases unpacked. Not to be written to."""
    folder = tmp_path_factory.mktemp("history") / "files"
    shutil.copytree(FILES, folder)
    for packed in folder.rglob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    return folder


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """What was logged when the files were made."""
    found: dict[str, Any] = json.loads((FILES / "expected.json").read_text())
    return found


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.ensure().db)
    yield opened
    opened.close()


class Here:
    """A home into which things are imported."""

    def __init__(self, home: Home, store: Store) -> None:
        self.home = home
        self.store = store

    def take(self, path: Path, **options: Any) -> Outcome:
        return import_history(self.home, self.store, find_history(path).runs, **options)

    def only(self, path: Path, **options: Any) -> Run:
        """Import the one run in `path`."""
        outcome = self.take(path, **options)
        assert len(outcome.runs) == 1
        return self.run(outcome.ids[0])

    def named(self, name: str) -> Run:
        return self.store.runs.find(name)[0]

    def run(self, run_id: str) -> Run:
        found = self.store.runs.get(run_id)
        assert found is not None
        return found

    def points(self, run: Run, metric: str) -> dict[int, float]:
        series = self.store.metrics.series(run.id, metric)
        return dict(zip(series.steps, series.values, strict=True)) if series else {}


@pytest.fixture
def here(home: Home, store: Store) -> Here:
    return Here(home, store)
