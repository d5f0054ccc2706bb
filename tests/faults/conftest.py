"""Real stores, real supervisors, a stand-in for the worker, and a home in which everything means harm."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.engine.test_manager import home, managers, store

if TYPE_CHECKING:
    from tests.faults.hostile_home import Hostile

__all__ = ["home", "managers", "store"]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Hostile]":
    from tests.faults.hostile_home import hostile_home

    with hostile_home(tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.fixture
def hostile(made_once: "Hostile", monkeypatch: pytest.MonkeyPatch) -> "Hostile":
    """Tests look at it and change nothing; what was found out about its runs stays as it is."""
    from engine.runs.manager import RunManager

    monkeypatch.setattr(RunManager, "_diagnose", lambda self, run_id: None)
    return made_once
