"""Row 5: the disk is full: under the store, under the event log, under a checkpoint.

On a real file system of a few megabytes, where one may be mounted; `test_no_room.py` needs no such right.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home
from engine.runs.rundir import RunDir
from store import Store, StoreError
from store.records import Status
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import PATIENCE_S, events, put_away, record, wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe
from tests.faults.disks import PAGE_BYTES, SmallDisk, small_disk
from tests.faults.watched import Watched

STEPS = 300


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "home", 6 << 20) as made:
        yield made


@pytest.fixture
def home(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home on the small disk."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    home = Home(disk.path).ensure()
    make_starter(home)
    with put_away(home.runs):
        yield home


def is_cut_off(rundir: RunDir) -> bool:
    """Whether the log has filled its last page, and lacks the rest of a line."""
    data = rundir.events.read_bytes()
    return len(data) % PAGE_BYTES == 0 and not data.endswith(b"\n")


def test_row_5_a_full_disk_under_store_and_log_stops_no_run(
    disk: SmallDisk, home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--steps", f"{STEPS}", "--delay", "0.01", "--no-checkpoints", "--hold-at", f"{STEPS - 1}")
    run = manager.launch(recipe())
    rundir = folder(home, run)
    wait_for(lambda: len(events(rundir, "metrics")) > 10)
    manager.refresh()
    disk.fill()
    wait_for(lambda: is_cut_off(rundir))
    with pytest.raises(StoreError, match="is full") as caught:
        wait_for(lambda: manager.refresh() is None)
    assert "Free some space" in caught.value.fix
    assert store.runs.get(run.id) is not None, "what is there can be read"
    assert record(rundir).alive(), "it trains on"
    disk.free()
    (rundir.path / "go").touch()

    run = ended(manager, store, run)
    assert (run.status, run.reason, run.step) == (Status.SUCCEEDED, "", STEPS)
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None
    lost = STEPS - len(series.steps)
    first = next(step for step in range(1, STEPS) if step not in series.steps)
    assert series.steps == [*range(1, first), *range(first + lost, STEPS + 1)], "no more than what found no room"
    [alert] = events(rundir, "alert")
    assert (alert["level"], alert["code"]) == ("warning", "events_dropped")
    assert alert["message"].startswith(f"{lost} event")
    assert [event["seq"] for event in events(rundir)] == [*range(len(events(rundir)))]
    assert len(store.runs.problems(run.id)) == 1, "the line that was cut off"
    assert store.check() == []


def test_row_5_the_app_says_what_to_free_and_goes_on(
    disk: SmallDisk, home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--hold-at", f"{STEPS}", "--steps", f"{STEPS}", "--delay", "0.01", "--no-checkpoints")
    with Terminal([FINETUI], home.root) as terminal:
        screen = Watched(terminal)
        screen.sees("? help")
        rundir = folder(home, manager.launch(recipe(), name="goes-on"))
        wait_for(lambda: len(events(rundir, "metrics")) > 10)
        disk.fill()
        wait_for(lambda: is_cut_off(rundir))
        screen.sees("is full.", "Free some space")
        command = [FINETUI, "--home", str(home.root), "runs", "tag", "goes-on", "kept"]
        refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert refused.returncode != 0
        assert "is full" in refused.stderr and "Free some space" in refused.stderr
        terminal.press(b"2")
        screen.sees("1 dataset", "18 / 2 / –")
        disk.free()
        terminal.press(b"1")
        (rundir.path / "go").touch()
        screen.sees("goes-on", "✓ done", "1 alert")
        terminal.press(b"\r")
        screen.sees("could not be written", "Training went on.")
    assert store.check() == []
