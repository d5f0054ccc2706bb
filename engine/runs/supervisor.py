"""The parent of one run's worker: waits for a device, starts it, passes signals on, records how it ended.

`python -m engine.runs.supervisor RUN_DIR [--attempt N] [--claim FD | --job ID] [--worker PROGRAM ARGUMENT…]`

SIGTERM asks for a stop: the worker is asked once to save and end. SIGQUIT kills the worker with all its children.
Standard library only: it lives as long as the run does, while the rest of finetui may be upgraded under it.
"""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.notices.starting import start_watching
from engine.runs.allot import CPU, Request
from engine.runs.claim import accept
from engine.runs.forking import fork_gated
from engine.runs.identity import Identity, boot_id, host, identity_of, read_process
from engine.runs.job import go_on_later, keep_records, latest_step
from engine.runs.leases import Lease, Ticket, try_lock
from engine.runs.oom import OomWatch
from engine.runs.printing import print_regardless
from engine.runs.processes import TAKEN_AWAY, process_count, worker_command
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, read_json, write_json
from engine.runs.signals import SignalQueue

WORKER = ("python", "-m", "engine.worker.train")
"""What trains; `python` stands for the interpreter of the supervisor."""

POLL_S = 0.5
"""Time between two looks at a device that somebody else holds."""

SIGN_OF_LIFE_S = 30.0
"""Time between two touches of `process.json`, by which other machines see that the run is alive."""

CPU_NICENESS = 5
"""Training on the processor gives way to whoever types on the same machine."""

SUBMITTED_S = 120.0
"""Time given to whoever submits a job to put it on record, once it has begun."""

RECORD_FOR_S = 600.0
"""How long a full disk is given to take the exit record."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: `exit.json`. `code` and `signal` are those of the command that `phase` names."""

    attempt: int
    started: float
    log_offset: int
    """Where in `log.txt` the attempt's own lines begin."""
    code: int | None = None
    signal: int | None = None
    ended: float = 0.0
    requested: str | None = None
    oom_killed: bool = False
    phase: str | None = None
    """What was under way when it ended, where that was not the worker itself."""


class Supervisor:
    """One attempt of one run, from the wait for a device to the exit record."""

    def __init__(
        self, rundir: RunDir, attempt: int, worker: Sequence[str], claim: int | None = None, job: str = ""
    ) -> None:
        self._dir = rundir
        self._claim = claim
        self._attempt = attempt
        self._worker = tuple(worker)
        self._job = job
        self._signals = SignalQueue()
        self._requested: str | None = None
        self._phase: str | None = "starting"
        self._processes = 1
        self._held: list[int] = []  # locks that the commands inherit, so that they outlive this process with them
        self._touched = time.monotonic()
        self._unrecorded: dict[str, Any] | None = None
        self._first_step = latest_step(rundir)
        log_offset = rundir.log.stat().st_size if rundir.log.exists() else 0
        self._ending = Ending(attempt=attempt, started=time.time(), log_offset=log_offset)

    def run(self) -> int:
        """0 once the exit record is written, 1 where another supervisor has the run already."""
        claim = self._take_claim()
        if claim is None:
            sys.stderr.write(f"finetui: {self._dir.path} is being run already\n")
            return 1
        self._held.append(claim)
        self._dir.stop.unlink(missing_ok=True)  # it was meant for an earlier attempt
        if self._job:
            keep_records(self._dir, self._attempt)
        self._record_processes(None)
        start_watching(self._dir, self._attempt)
        try:
            self._work()
        except Exception:
            traceback.print_exc()
            self._ending = replace(self._ending, code=1)
        self._record_ending()
        if self._requested == TAKEN_AWAY:
            go_on_later(self._dir, self._job, self._first_step)
        return 0

    def _take_claim(self) -> int | None:
        """The claim that we were handed, else one of our own; `None` where another supervisor has it.

        Whoever submitted our job keeps it until that is on record; the job may begin before.
        """
        if self._claim is not None:
            return accept(self._claim)
        give_up = time.monotonic() + SUBMITTED_S
        while (claim := try_lock(self._dir.lock)) is None:
            record = read_process(self._dir.process)
            if (record is not None and record.host) or time.monotonic() > give_up:
                return None
            time.sleep(0.05)
        return claim

    def _work(self) -> None:
        inputs = read_json(self._dir.inputs)
        if inputs is None:
            raise FileNotFoundError(f"{self._dir.inputs} is missing or damaged")
        lease = Lease((), ()) if self._job else self._wait_for_devices(Path(inputs["leases"]), self._request(inputs))
        if lease is None:
            return
        self._held.extend(lease.fds)
        if CPU in lease.devices:
            os.nice(CPU_NICENESS)
        environment = self._environment(lease.devices, inputs.get("visible", {}))
        for step in inputs.get("prepare", ()):
            if self._asked_to_end() or not self._prepare(step, environment):
                return
        self._phase = "starting"
        self._say(
            "starting", f"starting the worker on {host()} (job {self._job})" if self._job else "starting the worker"
        )
        if not self._asked_to_end():
            self._phase = None
            self._processes = process_count(inputs)
            self._run_command(worker_command(self._worker, inputs, str(self._dir.path)), environment)

    def _request(self, inputs: Mapping[str, Any]) -> Request:
        """What the run asks for, as `inputs.json` says: a device for each process, where it does not say otherwise."""
        processes = int(inputs.get("processes") or 1)
        devices = tuple(inputs["devices"])
        return Request(
            run=inputs["id"],
            devices=devices,
            wanted=int(inputs.get("devices_wanted") or processes),
            bytes=int(inputs.get("needs_bytes") or 0) * (processes if devices == (CPU,) else 1),
            slots=int(inputs.get("slots") or 1),
            priority=int(inputs.get("priority") or 0),
            # Supervisors that are started one after the other need not get here in that order.
            place=float(inputs.get("created") or time.time()) if self._attempt == 1 else time.time(),
        )

    def _wait_for_devices(self, leases: Path, request: Request) -> Lease | None:
        """The lease, once it is this run's turn and there is room, or `None` where the run was asked to end before."""
        ticket = Ticket(leases, request)
        try:
            lease = ticket.try_take()
            if lease is None:
                several = f"{request.wanted} of " if 1 < request.wanted < len(request.devices) else ""
                joined = (" and " if request.wanted == len(request.devices) else " or ").join(request.devices)
                self._phase = f"waiting for {several}{joined}"
                self._say("queued", self._phase)
            while lease is None and not self._asked_to_end(POLL_S):
                lease = ticket.try_take() if ticket.is_due() else None
            return lease
        finally:
            ticket.drop()

    def _prepare(self, step: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
        """Run one command that comes before the worker, unless what it makes is there. `False` where that ended it."""
        made = step.get("skip_if_exists")
        if made and Path(made).exists():
            return True
        self._phase = step["phase"]
        self._say("starting", step["phase"])
        lock = step.get("lock")
        guard = try_lock(Path(lock)) if lock else None
        while lock and guard is None:
            if self._asked_to_end(POLL_S):
                return False
            guard = try_lock(Path(lock))
        try:
            if made and Path(made).exists():  # by the other run that held the lock
                return True
            self._run_command(step["argv"], environment, keep=() if guard is None else (guard,))
        finally:
            if guard is not None:
                os.close(guard)
        return self._ending.code == 0

    def _run_command(self, argv: Sequence[str], environment: Mapping[str, str], keep: Sequence[int] = ()) -> None:
        """Run a command to its end, as the leader of a process group, and note how it ended."""
        oom = OomWatch()
        sys.stderr.flush()
        pid, gate = fork_gated(argv, environment, (*self._held, *keep))
        self._record_processes(identity_of(pid))
        with suppress(BrokenPipeError):
            os.write(gate, b"\n")
        os.close(gate)
        code, number = self._wait(pid)
        oom_killed = number == signal.SIGKILL and self._requested != "kill" and oom.happened()
        self._ending = replace(self._ending, code=code, signal=number, oom_killed=oom_killed)

    def _wait(self, pid: int) -> tuple[int | None, int | None]:
        """Pass signals on until the child ends. Returns its exit code, or the signal that ended it."""
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            for number in self._signals.wait(SIGN_OF_LIFE_S):
                self._pass_on(number, pid)
            self._give_sign_of_life()
        _kill_group(pid)  # what it left behind would keep the device
        result = os.waitstatus_to_exitcode(status)
        return (result, None) if result >= 0 else (None, -result)

    def _pass_on(self, number: int, pid: int) -> None:
        before = self._requested
        self._note(number)
        if number == signal.SIGQUIT:
            _kill_group(pid)
        elif self._requested and not before:
            self._ask_to_stop(pid)

    def _ask_to_stop(self, pid: int) -> None:
        if self._processes > 1 or self._job:
            with suppress(OSError):  # a disk that is full
                self._dir.stop.write_text(self._requested or "", encoding="ascii")
        if self._processes == 1:  # several would hear of it at different steps, and go by the file
            # To the leader alone: killing its data loaders under it would turn the stop into a crash.
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)  # a suspended worker could not hear it

    def _note(self, number: int) -> None:
        if number == signal.SIGQUIT:
            self._requested = "kill"
        elif number in (signal.SIGTERM, signal.SIGINT) and self._requested is None:
            self._requested = TAKEN_AWAY if self._job and number == signal.SIGTERM else "stop"

    def _asked_to_end(self, timeout_s: float = 0.0) -> bool:
        for number in self._signals.wait(timeout_s):
            self._note(number)
        self._give_sign_of_life()
        return self._requested is not None

    def _give_sign_of_life(self) -> None:
        if time.monotonic() - self._touched >= SIGN_OF_LIFE_S:
            self._touched = time.monotonic()
            self._write_record()
            with suppress(OSError):
                os.utime(self._dir.process)

    def _environment(self, devices: Sequence[str], visible: Mapping[str, str]) -> dict[str, str]:
        """The commands' environment. `visible` maps a device to its value of `CUDA_VISIBLE_DEVICES`."""
        environment = dict(os.environ)
        environment |= {
            "FINETUI_ATTEMPT": str(self._attempt),
            "FINETUI_RUN_DIR": str(self._dir.path),
            "PYTHONFAULTHANDLER": "1",
            "PYTHONUNBUFFERED": "1",
        }
        # OpenMP's threads spin for a while before they sleep. On a machine that does something else as well, its usual
        # while makes training 25 times slower; this one costs nothing on an idle machine.
        environment.setdefault("GOMP_SPINCOUNT", "5000")
        if shown := [visible[device] for device in devices if device in visible]:
            environment |= {"CUDA_VISIBLE_DEVICES": ",".join(shown), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return environment

    def _say(self, status: str, phase: str) -> None:
        """One state event. The writer is closed at once: while a command runs, the log is the command's."""
        try:
            writer = EventWriter(self._dir.events, self._attempt)
            writer.write("state", status=status, phase=phase)
            writer.close()
        except OSError as error:
            sys.stderr.write(f"finetui: the event log cannot be written ({error})\n")

    def _record_processes(self, worker: Identity | None) -> None:
        """Write `process.json`; `worker` is the command at work, be it the worker or what prepares for it."""
        own = identity_of(os.getpid())
        record = {
            "host": host(),
            "boot_id": boot_id(),
            "supervisor": own and own.to_json(),
            "worker": worker and worker.to_json(),
            "backend": "slurm" if self._job else "local",
            "attempt": self._attempt,
        }
        if self._job:
            record["job_id"] = self._job
        self._unrecorded = record
        self._write_record()

    def _write_record(self) -> None:
        """Write what `process.json` lacks; where the disk is full, the next sign of life tries again."""
        if self._unrecorded is None:
            return
        try:
            write_json(self._dir.process, self._unrecorded)
            self._unrecorded = None
        except OSError as error:
            sys.stderr.write(f"finetui: {self._dir.process} cannot be written ({error})\n")

    def _record_ending(self) -> None:
        """Write `exit.json`; a full disk gets time to be freed."""
        ending = replace(self._ending, requested=self._requested, phase=self._phase, ended=time.time())
        give_up = time.monotonic() + RECORD_FOR_S
        while True:
            try:
                write_json(self._dir.exit, asdict(ending))
                return
            except OSError as error:
                if time.monotonic() > give_up:
                    sys.stderr.write(f"finetui: {self._dir.exit} cannot be written ({error}): {asdict(ending)}\n")
                    return
            time.sleep(1.0)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the second is what macOS says of a group of zombies
        os.killpg(leader, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run one attempt of a run to its end.")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--claim", type=int, help="the claim on the run, as an open file descriptor")
    parser.add_argument("--job", default="", help="the Slurm job that this is")
    parser.add_argument("--worker", nargs=argparse.REMAINDER, default=list(WORKER))
    options = parser.parse_args(arguments)
    rundir = RunDir(options.run_dir.absolute())
    return Supervisor(rundir, options.attempt, options.worker, options.claim, options.job).run()


if __name__ == "__main__":
    print_regardless()
    sys.exit(main())
