"""Running real runs in tests: waiting for what they do, and putting away what is left of them."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.runs.backends.local import start_supervisor
from engine.runs.claim import claimed
from engine.runs.identity import ProcessRecord, read_process
from engine.runs.protocol import Event, read_events
from engine.runs.rundir import RunDir, read_json
from store import Store
from store.records import Dataset

PROJECT = Path(__file__).resolve().parents[2]
STAND_IN = PROJECT / "tests" / "engine" / "stand_in.py"
PATIENCE_S = 60.0


def stand_in(*options: str) -> list[str]:
    """The worker command that runs the stand-in with these options."""
    return ["python", str(STAND_IN), *options]


def begin(run: RunDir, worker: Sequence[str], attempt: int = 1) -> "subprocess.Popen[bytes]":
    """The supervisor of a run, at work on one attempt."""
    with claimed(run.lock, "it is at work") as claim:
        return start_supervisor(run, attempt, worker, claim)


def import_support(home: Home, store: Store) -> Dataset:
    """A dataset of twenty short conversations, called `support`."""
    rows = [
        [{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": f"answer {number}"}]
        for number in range(20)
    ]
    file = home.root.parent / "support.jsonl"
    file.write_text("\n".join(json.dumps({"messages": messages}) for messages in rows), encoding="utf-8")
    return DatasetLibrary(home, store).import_file(file)


def wait_for(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """What `condition` returns once that is true. Fails when it does not become so."""
    give_up = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)
    return value


def events(run: RunDir, kind: str | None = None) -> list[Event]:
    return [event for event in read_events(run.events).events if kind in (None, event["kind"])]


def ending(run: RunDir) -> dict[str, Any]:
    """The exit record, once it is there."""
    found: dict[str, Any] = wait_for(lambda: read_json(run.exit))
    return found


def record(run: RunDir) -> ProcessRecord:
    """The process record, once it names the command at work."""

    def complete() -> ProcessRecord | None:
        found = read_process(run.process)
        return found if found and found.worker else None

    found: ProcessRecord = wait_for(complete)
    return found


def reached(run: RunDir, step: int) -> None:
    """Wait until the worker has committed the checkpoint of `step`."""
    wait_for(lambda: any(event["step"] == step for event in events(run, "checkpoint")))


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def gone(run: RunDir) -> bool:
    found = read_process(run.process)
    return found is None or not found.alive()


@contextlib.contextmanager
def put_away(runs: Path) -> Iterator[None]:
    """On leaving, kill whatever is still at work on a run in the folder `runs`."""
    try:
        yield
    finally:
        for file in runs.glob("*/process.json"):
            found = read_process(file)
            for one in found.alive() if found else ():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(one.pid, signal.SIGKILL)


def is_locked(file: Path) -> bool:
    """Whether somebody holds the lock of a file, this process included: `flock` goes by opening."""
    fd = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
