"""What the files of a dead run are taken to mean."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from engine.runs.claim import claimed
from engine.runs.identity import boot_id, host, identity_of
from engine.runs.recognise import last_words
from engine.runs.reconcile import SILENCE_S, judge
from engine.runs.rundir import COMMITTED, RunDir, write_json
from store.records import Status

PYTHON_LOG = """\
step 3 loss 1.2\r\x1b[2Kstep 4 loss 1.1
Traceback (most recent call last):
  File "train.py", line 1, in <module>
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 2, in <module>
    raise ValueError("x")
ValueError: the loss is \x1b[31mred\x1b[0m\x07
and here is more about it
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def left_behind(run: RunDir, **ending: Any) -> tuple[Status, str]:
    """The verdict over an exit record with these fields."""
    nothing = {"code": None, "signal": None, "requested": None, "oom_killed": False, "phase": None, "log_offset": 0}
    write_json(run.exit, nothing | {"attempt": 1, "started": 1.0, "ended": 2.0} | ending)
    verdict = judge(run)
    assert verdict is not None
    assert verdict.ended == 2.0
    return verdict.status, verdict.reason


def was_at_work(run: RunDir, **fields: Any) -> None:
    """A process record of a process that has ended."""
    child = subprocess.Popen(["sleep", "60"])
    identity = identity_of(child.pid)
    assert identity is not None
    child.kill()
    child.wait()
    here = {"host": host(), "boot_id": boot_id(), "attempt": 1, "supervisor": identity.to_json(), "worker": None}
    write_json(run.process, here | fields)


@pytest.mark.parametrize(
    ("ending", "failure", "reason"),
    [
        ({"signal": 9, "requested": "kill"}, None, "killed; no step was saved"),
        ({"signal": 15, "requested": "stop"}, None, "stopped; no step was saved"),
        ({"requested": "stop", "phase": "waiting for gpu0 or gpu1"}, None, "stopped while waiting for gpu0 or gpu1"),
        ({"signal": 11, "requested": "stop"}, "crashed", "killed by signal 11 (SIGSEGV)"),
        ({"signal": 9, "oom_killed": True}, "host_out_of_memory", "killed by the system: out of memory"),
        ({"signal": 9}, "killed", "killed by signal 9 (SIGKILL)"),
        ({"signal": 11, "phase": "building"}, "crashed", "building: killed by signal 11 (SIGSEGV)"),
        ({"signal": 200}, "killed", "killed by signal 200"),
        ({"code": 3}, "unknown", "ended with exit code 3"),
        ({"code": 0}, "silent", "the worker ended without saying how"),
    ],
)
def test_exit_records(run: RunDir, ending: dict[str, Any], failure: str | None, reason: str) -> None:
    assert left_behind(run, **ending) == (Status.FAILED if failure else Status.STOPPED, reason)
    verdict = judge(run)
    assert verdict is not None
    assert verdict.failure == failure


def test_who_kills_may_have_said_why_in_the_log(run: RunDir) -> None:
    limit = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***"
    run.log.write_text(f"ModuleNotFoundError: no wandb here\n{limit}\n")
    assert left_behind(run, signal=15) == (Status.FAILED, f"killed by signal 15 (SIGTERM): {limit}")
    verdict = judge(run)
    assert verdict is not None
    assert verdict.failure == "time_limit"
    run.log.write_text("ModuleNotFoundError: no wandb here\n")
    assert left_behind(run, signal=15) == (Status.FAILED, "killed by signal 15 (SIGTERM)")


def test_a_killed_run_says_what_was_kept(run: RunDir) -> None:
    for name in ("step-000010", "step-000030"):
        (run.checkpoints / name).mkdir(parents=True)
    (run.checkpoints / "step-000010" / COMMITTED).touch()
    assert left_behind(run, signal=9, requested="kill") == (Status.STOPPED, "killed; 10 steps kept")


def test_a_crash_is_told_by_its_traceback(run: RunDir) -> None:
    run.log.write_bytes(PYTHON_LOG.encode())
    assert left_behind(run, code=1) == (Status.FAILED, "ValueError: the loss is red")
    assert left_behind(run, code=1, requested="stop") == (Status.FAILED, "ValueError: the loss is red")
    assert left_behind(run, code=1, phase="building") == (Status.FAILED, "building: ValueError: the loss is red")


def test_the_log_of_an_earlier_attempt_explains_nothing(run: RunDir) -> None:
    run.log.write_bytes(PYTHON_LOG.encode())
    offset = run.log.stat().st_size
    with run.log.open("a") as log:
        log.write("Bus error\n\n")
    assert left_behind(run, code=135, log_offset=offset) == (Status.FAILED, "Bus error")


def test_a_reason_is_short_and_clean(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"x" * 100_000 + b"\n\xff\x1b]0;title\x07" + "é".encode() * 400 + b"\n")
    assert last_words(log).line == "\ufffd" + "é" * 299
    assert last_words(tmp_path / "none").line == ""


def test_a_dead_process_without_a_record_is_lost(run: RunDir) -> None:
    was_at_work(run)
    verdict = judge(run)
    assert verdict is not None
    assert (verdict.status, verdict.reason) == (Status.LOST, "the process is gone without an exit record")
    assert verdict.ended == run.process.stat().st_mtime, "the last sign of life"


def test_a_restart_of_the_machine_is_told_from_a_vanished_process(run: RunDir) -> None:
    own = identity_of(os.getpid())
    assert own is not None
    was_at_work(run, boot_id="another", supervisor=own.to_json())
    verdict = judge(run)
    assert verdict is not None
    assert verdict.reason == "the process is gone (machine restarted)", "that our own pid is alive means nothing"


def test_a_stranger_with_the_pid_is_not_the_run(run: RunDir) -> None:
    own = identity_of(os.getpid())
    assert own is not None
    was_at_work(run, supervisor=own.to_json())
    assert judge(run) is None, "we live"
    was_at_work(run, supervisor={"pid": own.pid, "create_time": own.create_time - 1})
    verdict = judge(run)
    assert verdict is not None
    assert verdict.status is Status.LOST


def test_a_run_on_another_machine_is_live_while_it_is_heard_of(run: RunDir) -> None:
    was_at_work(run, host="another", boot_id="another")
    assert judge(run) is None
    verdict = judge(run, now=time.time() + SILENCE_S + 1)
    assert verdict is not None
    assert verdict.reason == "nothing has been heard of it on another for 10 minutes"


def test_a_launch_is_given_all_the_time_that_it_takes(run: RunDir) -> None:
    run.events.touch()
    with claimed(run.lock, "it is at work"):
        assert judge(run, now=time.time() + SILENCE_S + 1) is None
    verdict = judge(run)
    assert verdict is not None
    assert (verdict.status, verdict.reason) == (Status.LOST, "its process never started")


def test_a_damaged_exit_record_is_no_record(run: RunDir) -> None:
    was_at_work(run)
    run.exit.write_text("{")
    verdict = judge(run)
    assert verdict is not None
    assert verdict.status is Status.LOST
