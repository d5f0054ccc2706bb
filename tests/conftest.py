"""What every test gets: a home of its own, so that no test sees the user's files. And how five thousand are found."""

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.home import Home

# Tests run side by side, one a core: a model's threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# All that is imported while tests are found stays: to look for garbage in it would take a quarter of that time.
gc.disable()


def pytest_sessionstart() -> None:
    """Each of several processes begins with files of its own, and finds those of the others rewritten.

    pytest rewrites what `assert` does in every file and keeps the outcome on disk. Processes that go through the files
    in the same order would all do the same work at the same time.
    """
    tests = Path(__file__).parent
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    step = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if step > 1:
        for file in sorted(tests.rglob("test_*.py"))[number::step]:
            with suppress(Exception, pytest.skip.Exception):  # said again, and shown, when the file's turn comes
                importlib.import_module(".".join(file.relative_to(tests.parent).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """Look for garbage again, but not in what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing reaches the user's home, the network or the user's model cache, whatever a test calls `home` itself.

    And what finetui does to its own process, closing its files to others, is over with the test.
    """
    umask = os.umask(0)
    os.umask(umask)
    monkeypatch.setenv("FINETUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield
    os.umask(umask)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh, empty `$FINETUI_HOME`."""
    return Home(tmp_path / "home")
