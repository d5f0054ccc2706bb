"""Row 6: the store is deleted while a run is live. The run neither needs nor misses it, and is in the one made anew."""

import os
import time
from pathlib import Path

import pytest

from engine.home import Home
from engine.insight.checks import storing
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir
from store import Store, open_store
from store.records import Status
from tests.engine.runs_at_work import reached, stand_in
from tests.engine.test_manager import Managers, ended, folder, recipe

STEPS = 4


@pytest.mark.parametrize("anew", ["while it is live", "when it has ended"])
def test_row_6_a_store_lost_under_a_live_run_is_made_again_from_its_folder(
    home: Home, store: Store, managers: Managers, anew: str
) -> None:
    manager = managers("--steps", str(STEPS), "--hold-at", "2")
    run = manager.launch(recipe(), name="first", tags=["a"])
    rundir = folder(home, run)
    reached(rundir, 2)
    manager.refresh()
    manager.close()
    store.close()
    for file in home.root.glob(f"{home.db.name}*"):
        file.unlink()
    if anew == "when it has ended":
        (rundir.path / "go").touch()
        reached(rundir, STEPS)

    again = open_store(home.db)
    try:
        assert again.runs.list() == []
        if anew == "when it has ended":
            _say_what_is_missing(home, again, rundir)
        second = RunManager(home, again, worker=stand_in())
        assert second.rebuild() == 1
        assert storing.check_runs(home, again).ok
        (rundir.path / "go").touch()
        run = ended(second, again, run)
        assert (run.name, run.tags, run.status, run.attempt) == ("first", ("a",), Status.SUCCEEDED, 1)
        series = again.metrics.series(run.id, "train/loss")
        assert series is not None
        assert (series.steps, series.values) == ([1, 2, 3, 4], [1.0, 1 / 2, 1 / 3, 1 / 4])
        second.close()
    finally:
        again.close()


class Elsewhere(Home):
    """The same home; its store is not there."""

    @property
    def db(self) -> Path:
        return self.root / "another.db"


def _say_what_is_missing(home: Home, again: Store, rundir: RunDir) -> None:
    """At once it may be a run that is being launched; later it is one that the store lost."""
    assert storing.check_runs(home, again).ok
    long_ago = time.time() - 3600
    os.utime(rundir.inputs, (long_ago, long_ago))
    missing = storing.check_runs(home, again)
    assert missing in storing.cautions(home, again)
    assert missing.found == f"1 run is in {home.runs} and not in the store"
    assert "finetui store rebuild" in missing.fix
    assert storing.check_store(home).found == missing.found
    assert storing.check_store(Elsewhere(home.root)).found == missing.found, "also before there is a store"
