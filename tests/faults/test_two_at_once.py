"""Row 23: two supervisors for one run, and two apps that take in what runs write."""

import subprocess
import sys
import textwrap

from engine.home import Home
from engine.runs.backends.local import start_supervisor
from engine.runs.leases import try_lock
from store import Store
from store.records import Status
from tests.engine.runs_at_work import PROJECT, events, kill, reached, record, stand_in, wait_for
from tests.engine.test_manager import Managers, folder, recipe
from tests.engine.test_supervisor import make_run

APP = """
    import sys, time
    from pathlib import Path
    from engine.home import Home
    from engine.runs.manager import RunManager
    from store import open_store
    home = Home(Path(sys.argv[1]))
    manager = RunManager(home, open_store(home.db))
    manager.refresh()
    print("at work", flush=True)
    while True:
        manager.refresh()
        time.sleep(0.05)
"""


def test_row_23_of_two_supervisors_of_one_run_one_works(home: Home) -> None:
    run = make_run(home.root)
    both = [start_supervisor(run, 1, stand_in("--hold-at", "1")) for _ in range(2)]
    wait_for(lambda: any(one.poll() is not None for one in both))
    loser, winner = sorted(both, key=lambda one: one.poll() is None)
    assert loser.returncode == 1
    assert "is being run already" in run.log.read_text()
    reached(run, 1)
    assert (winner.poll(), run.exit.exists()) == (None, False), "the other one's run goes on"
    supervisor = record(run).supervisor
    assert supervisor is not None and supervisor.pid == winner.pid
    (run.path / "go").touch()
    assert winner.wait(20) == 0
    assert [event["step"] for event in events(run, "metrics")] == [1, 2, 3]
    assert len(events(run, "plan")) == len(events(run, "end")) == 1


def test_row_23_of_two_apps_one_takes_events_in_and_the_other_takes_over(
    home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--steps", "40", "--hold-at", "20")
    run = manager.launch(recipe())
    manager.close()
    rundir = folder(home, run)
    apps = []
    try:
        for _ in range(2):
            command = [sys.executable, "-c", textwrap.dedent(APP), str(home.root)]
            apps.append(subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True))
            output = apps[-1].stdout
            assert output is not None and output.readline() == "at work\n"
        reached(rundir, 20)
        wait_for(lambda: (found := store.runs.get(run.id)) and found.step == 20)
        assert try_lock(home.root / "ingest.lock") is None, "there is no room for a third one"
        kill(apps[0].pid)  # it came first, and took events in
        apps[0].wait(20)
        (rundir.path / "go").touch()
        wait_for(lambda: (found := store.runs.get(run.id)) and found.status is Status.SUCCEEDED)
        assert apps[1].poll() is None
    finally:
        for app in apps:
            app.kill()
            app.communicate()
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None and series.steps == [*range(1, 41)]
    assert store.runs.ingest_offset(run.id) == rundir.events.stat().st_size
    assert store.runs.problems(run.id) == []
    assert store.check() == []
