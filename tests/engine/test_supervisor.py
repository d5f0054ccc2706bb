"""The supervisor as a process: what it starts, what it passes on, what it records, what it survives."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput
from engine.runs.allot import Request
from engine.runs.identity import identity_of, is_alive
from engine.runs.leases import Ticket, read_holders
from engine.runs.rundir import RunDir, read_json, write_json
from tests.engine.runs_at_work import (
    PROJECT,
    begin,
    ending,
    events,
    gone,
    kill,
    put_away,
    reached,
    record,
    stand_in,
    wait_for,
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "runs").mkdir()
    with put_away(tmp_path / "runs"):
        yield tmp_path


def make_run(home: Path, name: str = "r1", **inputs: Any) -> RunDir:
    run = RunDir(home / "runs" / name)
    run.path.mkdir()
    values = {"id": name, "devices": ["cpu"], "leases": str(home / "leases"), "prepare": []}
    write_json(run.inputs, values | inputs)
    return run


def supervise(run: RunDir, *options: str, attempt: int = 1) -> "subprocess.Popen[bytes]":
    return begin(run, stand_in(*options), attempt)


def holders(home: Path) -> list[str]:
    """The runs that hold the processor."""
    return [holder.run for holder in read_holders(home / "leases").get("cpu", [])]


EARLY = """
    import os, signal, time
    from engine.runs import forking
    from engine.runs.signals import SignalQueue
    SignalQueue()
    setpgid = os.setpgid
    def late(*_):
        time.sleep(1)
        setpgid(0, 0)
    os.setpgid = late
    pid, gate = forking.fork_gated(["sleep", "60"], dict(os.environ), ())
    os.kill(pid, signal.SIGTERM)
    os.write(gate, b"-")
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_signal_to_a_command_that_has_not_begun_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EARLY)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert int(done.stdout) == -signal.SIGTERM


def python(code: str) -> list[str]:
    return ["python", "-c", textwrap.dedent(code)]


def test_a_run_from_start_to_end(home: Path) -> None:
    run = make_run(home)
    assert supervise(run).wait(20) == 0
    found = ending(run)
    assert (found["code"], found["signal"], found["requested"], found["attempt"]) == (0, None, None, 1)
    assert found["started"] <= found["ended"]
    assert not found["oom_killed"]
    states = [(event["status"], event.get("phase")) for event in events(run, "state")]
    assert states == [("starting", "starting the worker"), ("starting", "reading the dataset"), ("training", None)]
    seqs = [event["seq"] for event in events(run)]
    assert seqs == list(range(len(seqs))), "supervisor and worker take turns at one log"
    assert gone(run)


def test_it_needs_the_standard_library_alone() -> None:
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import engine.runs.supervisor"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_a_gpu_is_shown_to_the_worker_alone(home: Path) -> None:
    run = make_run(home, devices=["gpu3"], visible={"gpu3": "3"})
    supervise(run).wait(20)
    assert events(run, "plan")[0]["device"] == "3"


def test_several_gpus_are_shown_to_a_worker_that_wants_them(home: Path) -> None:
    run = make_run(home, devices=["gpu3", "gpu1", "gpu0"], devices_wanted=2, visible={"gpu3": "3", "gpu1": "1"})
    supervise(run).wait(20)
    assert events(run, "plan")[0]["device"] == "3,1"


def test_a_stop_that_was_meant_for_an_earlier_attempt_stops_nothing(home: Path) -> None:
    run = make_run(home)
    run.stop.touch()
    supervise(run, attempt=2).wait(20)
    assert not run.stop.exists()
    assert events(run)[-1]["status"] == "succeeded"


def test_sigterm_stops_once_and_the_worker_saves(home: Path) -> None:
    run = make_run(home)
    process = supervise(run, "--steps", "9", "--hold-at", "2")
    reached(run, 2)
    for _ in range(3):
        process.terminate()
    assert process.wait(20) == 0
    found = ending(run)
    assert (found["code"], found["requested"]) == (0, "stop")
    assert events(run)[-1]["kind"] == "end"
    assert events(run)[-1]["status"] == "stopped"


def test_a_suspended_worker_hears_the_stop(home: Path) -> None:
    run = make_run(home)
    process = supervise(run, "--steps", "9", "--hold-at", "1")
    reached(run, 1)
    worker = record(run).worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)
    wait_for(lambda: Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    assert is_alive(worker)
    assert process.poll() is None
    assert read_json(run.exit) is None
    process.terminate()
    assert process.wait(20) == 0
    assert events(run)[-1]["status"] == "stopped"


def test_sigquit_kills_the_whole_group_of_a_worker_that_ignores_sigterm(home: Path) -> None:
    run = make_run(home)
    process = supervise(run, "--ignore-term", "--hold-at", "1", "--child")
    reached(run, 1)
    process.terminate()
    process.send_signal(signal.SIGQUIT)
    assert process.wait(20) == 0
    found = ending(run)
    assert (found["signal"], found["requested"]) == (signal.SIGKILL, "kill")
    wait_for(lambda: not holders(home))


def test_what_the_worker_leaves_behind_does_not_keep_the_device(home: Path) -> None:
    run = make_run(home)
    assert supervise(run, "--child").wait(20) == 0
    wait_for(lambda: not holders(home))


def test_two_runs_take_turns_at_one_device(home: Path) -> None:
    first, second = make_run(home, "r1"), make_run(home, "r2")
    one = supervise(first, "--hold-at", "1")
    reached(first, 1)
    two = supervise(second)
    wait_for(lambda: events(second))
    assert (events(second)[0]["status"], events(second)[0]["phase"]) == ("queued", "waiting for cpu")
    assert record(first).worker is not None
    assert not (second.path / "exit.json").exists()
    (first.path / "go").touch()
    assert one.wait(20) == 0
    assert two.wait(20) == 0
    assert events(second)[-1]["status"] == "succeeded"
    assert events(second, "plan")[0]["t"] >= events(first, "end")[0]["t"]


def test_a_queued_run_is_cancelled_at_once(home: Path) -> None:
    lease = Ticket(home / "leases", Request("other", ("cpu",))).try_take()
    assert lease is not None
    run = make_run(home)
    process = supervise(run)
    wait_for(lambda: events(run))
    process.terminate()
    assert process.wait(20) == 0
    lease.release()
    found = ending(run)
    assert (found["code"], found["signal"], found["requested"]) == (None, None, "stop")
    assert found["phase"] == "waiting for cpu"
    assert not list((home / "leases" / "waiting").iterdir())


def test_preparation_runs_once_under_its_lock_before_the_worker(home: Path) -> None:
    made = home / "made"
    logs = [str(home / "runs" / name / "events.jsonl") for name in ("r1", "r2")]
    build = python(f"""
        import os, pathlib, time
        made, logs = pathlib.Path({str(made)!r}), [pathlib.Path(log) for log in {logs!r}]
        assert os.environ["FINETUI_RUN_DIR"] and os.environ["FINETUI_ATTEMPT"] == "1"
        while not all(log.exists() and "building" in log.read_text() for log in logs):
            time.sleep(0.02)
        made.with_suffix(".log").open("a").write("built\\n")
        made.touch()
    """)
    step = {"argv": build, "lock": str(home / "build.lock"), "skip_if_exists": str(made), "phase": "building"}
    one = make_run(home, "r1", devices=["gpu0"], prepare=[step])
    two = make_run(home, "r2", devices=["gpu1"], prepare=[step])
    processes = [supervise(one), supervise(two)]
    assert [process.wait(20) for process in processes] == [0, 0]
    assert made.with_suffix(".log").read_text() == "built\n"
    for run in (one, two):
        assert [event.get("phase") for event in events(run, "state")][:2] == ["building", "starting the worker"]
        assert events(run)[-1]["status"] == "succeeded"


def test_a_failed_preparation_ends_the_run(home: Path) -> None:
    fails = {"argv": python("raise RuntimeError('no samples')"), "phase": "building"}
    run = make_run(home, prepare=[fails])
    assert supervise(run).wait(20) == 0
    found = ending(run)
    assert (found["code"], found["phase"]) == (1, "building")
    assert "RuntimeError: no samples" in run.log.read_text()
    assert not events(run, "plan")


def test_a_stop_ends_the_preparation(home: Path) -> None:
    waits = {"argv": python("import time; time.sleep(60)"), "phase": "building"}
    run = make_run(home, prepare=[waits, waits])
    process = supervise(run)
    record(run)
    process.terminate()
    assert process.wait(20) == 0
    assert (ending(run)["requested"], ending(run)["phase"]) == ("stop", "building")


def test_a_worker_that_cannot_be_started_is_recorded(home: Path) -> None:
    run = make_run(home)
    assert begin(run, ["/nowhere/python"]).wait(20) == 0
    assert ending(run)["code"] == 127
    assert "/nowhere/python cannot be started" in run.log.read_text()


def test_damaged_inputs_are_recorded(home: Path) -> None:
    run = make_run(home)
    run.inputs.write_text("{")
    assert supervise(run).wait(20) == 0
    assert ending(run)["code"] == 1
    assert "missing or damaged" in run.log.read_text()


def test_killing_whoever_launched_it_changes_nothing(home: Path) -> None:
    run = make_run(home)
    code = f"""
        import time
        from pathlib import Path
        from engine.runs.rundir import RunDir
        from tests.engine.runs_at_work import begin
        begin(RunDir(Path({str(run.path)!r})), {stand_in("--steps", "4", "--hold-at", "2")!r})
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=PROJECT) as launcher:
        reached(run, 2)
        launcher.kill()
    assert len(record(run).alive()) == 2
    (run.path / "go").touch()
    assert ending(run)["code"] == 0
    assert events(run)[-1]["status"] == "succeeded"


def test_a_worker_whose_supervisor_was_killed_goes_on_and_keeps_the_device(home: Path) -> None:
    run = make_run(home)
    process = supervise(run, "--hold-at", "1")
    reached(run, 1)
    process.kill()
    process.wait(20)
    assert record(run).alive() == [record(run).worker]
    assert holders(home) == ["r1"]
    with pytest.raises(BadInput, match="at work"):
        supervise(run, attempt=2)
    (run.path / "go").touch()
    wait_for(lambda: gone(run))
    assert events(run)[-1]["status"] == "succeeded"
    assert read_json(run.exit) is None
    wait_for(lambda: not holders(home))


def test_a_worker_killed_by_a_signal_is_recorded(home: Path) -> None:
    run = make_run(home)
    process = supervise(run, "--hold-at", "1")
    reached(run, 1)
    worker = record(run).worker
    assert worker is not None
    kill(worker.pid)
    process.wait(20)
    found = ending(run)
    assert (found["code"], found["signal"], found["requested"]) == (None, signal.SIGKILL, None)
    assert not found["oom_killed"]


def test_zombies_are_dead_and_a_reused_pid_is_a_stranger() -> None:
    child = subprocess.Popen(["sleep", "60"])
    identity = identity_of(child.pid)
    assert identity is not None
    assert is_alive(identity)
    child.kill()
    wait_for(lambda: not is_alive(identity))
    assert Path(f"/proc/{child.pid}").exists(), "not reaped yet"
    child.wait()
    assert identity_of(child.pid) is None
