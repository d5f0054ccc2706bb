"""Row 23: two apps, or two supervisors, for one device."""

import subprocess
import sys
import textwrap

from engine.home import Home
from engine.runs.resolve import find_run
from store import Store
from store.records import Status
from tests.engine.runs_at_work import PROJECT, events, stand_in, wait_for
from tests.engine.test_manager import Managers, ended, folder, look, recipe


def test_row_23_of_two_apps_that_launch_at_once_one_gets_the_device(
    home: Home, store: Store, managers: Managers
) -> None:
    code = f"""
        import sys
        from pathlib import Path
        from engine.home import Home
        from engine.recipe import make_recipe
        from engine.runs.manager import RunManager
        from store import open_store
        home = Home(Path({str(home.root)!r}))
        manager = RunManager(home, open_store(home.db), worker={stand_in("--steps", "2", "--hold-at", "1")!r})
        print("ready", flush=True)
        sys.stdin.readline()
        print(manager.launch(make_recipe({{"dataset": "support"}})).id, flush=True)
    """
    own = managers("--steps", "2", "--hold-at", "1")
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        ours = own.launch(recipe())
        runs = [ours, find_run(store, other.stdout.readline().strip())]

    def statuses() -> set[Status]:
        return {look(own, store, run).status for run in runs}

    wait_for(lambda: statuses() == {Status.TRAINING, Status.QUEUED})
    first, second = sorted(runs, key=lambda run: look(own, store, run).status is Status.QUEUED)
    (folder(home, first).path / "go").touch()
    (folder(home, second).path / "go").touch()
    assert ended(own, store, second).status is ended(own, store, first).status is Status.SUCCEEDED
    assert events(folder(home, second), "plan")[0]["t"] >= events(folder(home, first), "end")[0]["t"]
