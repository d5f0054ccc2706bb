"""Rows 1 and 8: who launched is gone before the run's process has said a word, which takes as long as it takes.

An overloaded machine, or a home on a network's file system that has to be read first. Whoever looks meanwhile must not
give the run up: it would go on all the same, shown as lost.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.errors import FinetuiError
from engine.home import Home
from engine.runs import manager as managing
from engine.sweeps.manager import SweepManager
from store import Store
from store.records import Status, SweepStatus
from tests.engine.runs_at_work import PROJECT, stand_in, wait_for
from tests.engine.test_manager import Managers, ended, folder, look
from tests.engine.test_sweeps import WORKER, spec
from tests.faults.test_clock_jumps import DAY_S, Jump, jump

__all__ = ["jump"]

LAUNCH = """
import sys
from pathlib import Path
from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from store import open_store
home = Home(Path(sys.argv[1]))
run = RunManager(home, open_store(home.db), worker=sys.argv[2:]).launch(make_recipe({"dataset": "support"}))
print(run.id)
"""


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the processes begin that were started."""
    file = tmp_path / "begin"
    monkeypatch.setenv("FINETUI_TEST_BEGIN", str(file))
    folders = [str(Path(__file__).parent / "slow_start"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    return file.touch


def launched(home: Home, *options: str) -> str:
    """The id of a run whose launcher has ended."""
    command = [sys.executable, "-c", LAUNCH, str(home.root), *stand_in(*options)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize("by", [0.0, DAY_S, -DAY_S], ids=["alone", "clock forward", "clock back"])
def test_row_8_a_run_that_is_slow_to_start_is_not_given_up(
    home: Home,
    store: Store,
    managers: Managers,
    jump: Jump,
    begin: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    by: float,
) -> None:
    monkeypatch.setattr(managing, "SETTLE_S", 0.2)
    manager = managers("--steps", "3")
    run = store.runs.get(launched(home, "--steps", "3"))
    assert run is not None
    jump(by)
    for _ in range(3):
        assert look(manager, store, run).status is Status.QUEUED
    with pytest.raises(FinetuiError, match="still being started"):
        manager.stop(run.id)
    begin()
    done = ended(manager, store, run)
    assert (done.status, done.step, done.attempt, done.reason) == (Status.SUCCEEDED, 3, 1, "")


def test_row_1_a_process_that_is_killed_before_its_first_word_is_known_to_be_gone(
    home: Home, store: Store, managers: Managers, begin: Callable[[], None]
) -> None:
    manager = managers("--steps", "3")
    run = store.runs.get(launched(home, "--steps", "3"))
    assert run is not None
    home_of_run = str(folder(home, run).path)
    [supervisor] = [one for one in psutil.process_iter(["cmdline"]) if home_of_run in (one.info["cmdline"] or ())]
    assert look(manager, store, run).status is Status.QUEUED
    supervisor.kill()
    lost = ended(manager, store, run)
    assert (lost.status, lost.reason) == (Status.LOST, "its process never started")
    begin()
    manager.resume(run.id)
    assert ended(manager, store, run).status is Status.SUCCEEDED


def test_row_8_a_sweep_that_is_slow_to_start_is_not_given_up(
    home: Home, store: Store, jump: Jump, begin: Callable[[], None]
) -> None:
    sweeps = SweepManager(home, store, worker=["python", WORKER])
    sweep = sweeps.start(spec(search={"learning_rate": [1e-4]}))
    another = SweepManager(home, store)
    jump(DAY_S)
    assert another.get(sweep.id).status is SweepStatus.RUNNING
    jump(0.0)
    begin()
    wait_for(lambda: not another.get(sweep.id).status.live)
    done = another.get(sweep.id)
    assert done.status is SweepStatus.SUCCEEDED, json.dumps([done.reason, Path(done.dir, "log.txt").read_text()])
