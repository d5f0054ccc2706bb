"""What every test gets: a home of its own, so that no test sees the user's files."""

import os
from pathlib import Path

import pytest

from engine.home import Home

# Tests run side by side, one a core: a model's threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches the user's home, the network or the user's model cache, whatever a test calls `home` itself."""
    monkeypatch.setenv("FINETUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh, empty `$FINETUI_HOME`."""
    return Home(tmp_path / "home")
