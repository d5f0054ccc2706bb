"""Row 9: the pid of a run belongs to a stranger now."""

import subprocess

from engine.home import Home
from engine.runs.rundir import read_json, write_json
from store import Store
from store.records import Status
from tests.engine.runs_at_work import gone, kill, reached, record, wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe


def test_row_9_a_stranger_with_the_pid_is_not_signalled(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold-at", "1")
    run = manager.launch(recipe())
    reached(folder(home, run), 1)
    for process in record(folder(home, run)).alive():
        kill(process.pid)
    wait_for(lambda: gone(folder(home, run)))
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        value = read_json(folder(home, run).process)
        assert value is not None
        for role in ("supervisor", "worker"):
            value[role]["pid"] = stranger.pid
        write_json(folder(home, run).process, value)
        manager.stop(run.id)
        manager.stop(run.id, now=True)
        run = ended(manager, store, run)
        assert (run.status, run.failure) == (Status.LOST, "vanished")
        assert stranger.poll() is None
        stranger.kill()
