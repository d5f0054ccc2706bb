"""Row 26: the machine is restarted with runs live and queued.

The machine is a namespace of processes with a boot id of its own. Killing its first process ends all of them at once,
as a power cut does; in the next one the same pids are strangers'. Where no namespace can be made, the restart is told
by the records alone: `engine/test_queue.py::test_after_a_restart_of_the_machine_the_queue_is_as_it_was`.
"""

import json
import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from engine.home import Home
from engine.runs.identity import read_process
from store import Store
from tests.engine.runs_at_work import PROJECT, stand_in
from tests.faults.conftest import home, managers, store

__all__ = ["home", "managers", "store"]

BEGIN = """
    import json, os, sys, time
    from pathlib import Path
    from engine.home import Home
    from engine.recipe import make_recipe
    from engine.runs.manager import RunManager
    from engine.runs.rundir import RunDir
    from store import open_store
    from store.records import Status
    from tests.engine.runs_at_work import reached, wait_for
    home = Home(Path({home!r}))
    store = open_store(home.db)
    manager = RunManager(home, store, worker={worker!r})

    def standing():
        manager.refresh()
        return {{run.name: [run.status, run.reason, run.attempt] for run in store.runs.list()}}

    def order():
        return [store.runs.get(entry.run).name for entry in manager.queue.waiting()]

    def say(*what):
        print(json.dumps(what), flush=True)
"""

BEFORE = """
    live = manager.launch(make_recipe({"dataset": "support"}), name="live")
    reached(RunDir(home.runs / live.id), 2)
    for name in ("second", "third"):
        manager.launch(make_recipe({"dataset": "support"}), name=name)
    wait_for(lambda: standing() and order() == ["second", "third"])
    manager.queue.move(next(run.id for run in store.runs.list() if run.name == "third"), 1)
    say(standing(), order())
    time.sleep(600)
"""

AFTER = """
    say(standing(), [])
    runs = {run.name: run.id for run in store.runs.list()}
    reached(RunDir(home.runs / runs["third"]), 2)
    wait_for(lambda: order() == ["second"])
    manager.resume(runs["live"])
    wait_for(lambda: order() == ["second", "live"])
    say(standing(), order())
    for run in runs.values():
        (home.runs / run / "go").touch()
    wait_for(lambda: not store.runs.live() if standing() else False)
    say(standing(), order())
"""


def boot(home: Home, code: str) -> "subprocess.Popen[str]":
    """A machine that was started a moment ago, with `code` as its only user."""
    boot_id = home.root.parent / f"boot-{uuid.uuid4()}"
    boot_id.write_text(f"{uuid.uuid4()}\n")
    begin = BEGIN.format(home=str(home.root), worker=stand_in("--hold-at", "2"))
    start = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    mapped = [] if os.getuid() == 0 else ["--map-root-user"]
    return subprocess.Popen(
        [
            *("unshare", *mapped, "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"),
            *("sh", "-c", start, str(boot_id), sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(code)),
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )


def cannot_boot(tmp_path: Path) -> str:
    """Why no such machine can be made here; empty where it can."""
    file = tmp_path / "tried"
    file.touch()
    mapped = [] if os.getuid() == 0 else ["--map-root-user"]
    words = ["unshare", *mapped, "--mount", "--pid", "--fork", "--mount-proc", "mount", "--bind", str(file)]
    try:
        done = subprocess.run([*words, "/proc/sys/kernel/random/boot_id"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def said(machine: "subprocess.Popen[str]") -> tuple[dict[str, list[str | int]], list[str]]:
    assert machine.stdout is not None
    line = machine.stdout.readline()
    assert line, "it ended without a word"
    standing, order = json.loads(line)
    return standing, order


def test_row_26_after_a_power_cut_live_runs_can_be_resumed_and_queued_ones_wait_on(
    home: Home, store: Store, tmp_path: Path
) -> None:
    if why := cannot_boot(tmp_path):
        pytest.skip(f"no namespace of processes can be made here ({why}); tests/engine/test_queue.py does without")
    with boot(home, BEFORE) as machine:
        standing, order = said(machine)
        machine.kill()
    assert {name: one[0] for name, one in standing.items()} == {
        "live": "training",
        "second": "queued",
        "third": "queued",
    }
    assert order == ["third", "second"]
    assert len(list(home.runs.glob("*/process.json"))) == 3
    assert not list(home.runs.glob("*/exit.json")), "nobody had the time for it"
    lost_pids = {read_process(file) for file in home.runs.glob("*/process.json")}

    with boot(home, AFTER) as machine:
        standing, _ = said(machine)
        assert standing == {
            "live": ["lost", "the process is gone (machine restarted)", 1],
            "second": ["queued", "", 1],
            "third": ["queued", "", 1],
        }
        standing, order = said(machine)
        assert {name: [one[0], one[2]] for name, one in standing.items()} == {
            "live": ["queued", 2],
            "second": ["queued", 1],
            "third": ["training", 1],
        }
        standing, order = said(machine)
    assert order == []
    assert {name: [one[0], one[2]] for name, one in standing.items()} == {
        "live": ["succeeded", 2],
        "second": ["succeeded", 1],
        "third": ["succeeded", 1],
    }
    assert lost_pids.isdisjoint({read_process(file) for file in home.runs.glob("*/process.json")})
    for run in store.runs.list():
        series = store.metrics.series(run.id, "train/loss")
        assert series is not None and series.steps == [1, 2, 3]
        assert [one.from_step for one in store.runs.attempts(run.id)] == ([0, 2] if run.name == "live" else [0])
