"""The app dies in any way there is; the run goes on, and the next app shows it without a gap."""

import os
import signal

import pytest

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir
from store import open_store
from tests.engine.runs_at_work import ending, import_support, reached, stand_in


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "hung-up"])
def test_row_2_an_app_that_dies_takes_no_run_with_it(home: Home, number: signal.Signals) -> None:
    store = open_store(home.db)
    import_support(home, store)
    manager = RunManager(home, store, worker=stand_in("--steps", "40", "--delay", "0.05"))
    run = manager.launch(make_recipe({"dataset": "support"}), name="goes-on")
    manager.close()
    rundir = RunDir(home.runs / run.id)
    with Terminal([FINETUI, "open", "goes-on"], home.root) as terminal:
        terminal.wait_for(b"Lineage")
        reached(rundir, 5)
        os.kill(terminal.pid, number)
        assert ending(rundir)["code"] == 0
    manager = RunManager(home, store)
    manager.refresh()
    manager.close()
    series = store.metrics.series(run.id, "train/loss")
    found = store.runs.get(run.id)
    store.close()
    assert series is not None and series.steps == list(range(1, 41))
    assert found is not None and found.status == "succeeded"
