"""The process that measures: given a device, started, started again where it was killed, ended when it is asked to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import FinetuiError
from engine.evaluation.folder import EvaluationDir
from engine.home import Home
from engine.inference.panes import Pane
from engine.models import resolve_model
from engine.runs.allot import CPU, Request
from engine.runs.backends.local import candidate_devices, own_environment
from engine.runs.identity import Identity, boot_id, host, identity_of
from engine.runs.leases import Lease, Ticket
from engine.runs.queue import cpu_runs
from engine.runs.rundir import write_json
from engine.runs.supervisor import CPU_NICENESS, POLL_S

WORKER = (sys.executable, "-P", "-m", "engine.worker.evaluate")
STOPPED = "stopped"
"""The `code` of a worker that was asked to end."""
TRIES = 3
"""So often it is started where it was killed from outside."""
END_S = 30.0
"""So long it has to end by itself."""
LOOK_S = 0.2
LOG_LINES = 6
_ROOM_BYTES = 2 << 30
"""For what is written and scored beside the weights."""


def wait_for_device(home: Home, evaluation: str, panes: Sequence[Pane], stop: Callable[[], bool]) -> Lease | None:
    """The lease of a device, once it is this evaluation's turn; `None` where `stop` said so before."""
    ticket = Ticket(
        home.root / "leases",
        Request(
            run=evaluation,
            devices=tuple(candidate_devices()),
            bytes=needed_bytes(home, panes),
            slots=cpu_runs(home),
            place=time.time(),
        ),
    )
    try:
        while not stop():
            if ticket.is_due() and (lease := ticket.try_take()) is not None:
                return lease
            time.sleep(POLL_S)
        return None
    finally:
        ticket.drop()


def needed_bytes(home: Home, panes: Sequence[Pane]) -> int:
    """The memory that the largest of these models is likely to take with what it writes; 0 where that is not known."""
    needs = []
    for pane in panes:
        try:
            size = resolve_model(pane.model, home).size_bytes
        except FinetuiError:
            size = None
        if not size:
            return 0
        needs.append(int(size * (0.4 if pane.quantised else 1.1)) + _ROOM_BYTES)
    return max(needs, default=0)


def environment_of(lease: Lease) -> dict[str, str]:
    """The worker's environment: it sees the device that it may use, and no other."""
    environment = own_environment() | {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.setdefault("GOMP_SPINCOUNT", "5000")  # as for a run: see the supervisor
    shown = candidate_devices()
    if chosen := [shown[device] for device in lease.devices if shown.get(device)]:
        environment |= {"CUDA_VISIBLE_DEVICES": ",".join(chosen), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return environment


def measure_rows(process: "WorkerProcess", command: Sequence[str] = WORKER) -> bool:
    """Have every row measured; `False` where somebody stopped it before.

    A worker that was killed from outside is started again with half the rows at a time. Raises `FinetuiError` where it
    cannot go on.
    """
    folder = process.folder
    go_on = f"Go on with `finetui eval --resume {folder.path.name}`"
    for left in range(TRIES - 1, -1, -1):
        folder.end.unlink(missing_ok=True)
        code = process.run([*command, str(folder.path)])
        ending = folder.read(folder.end)
        if process.stop() or ending.get("code") == STOPPED:
            return False
        if code == 0 and ending.get("reason") == "":
            return True
        if ending.get("reason"):
            raise FinetuiError(
                "The rows could not be measured.", why=str(ending["reason"]), fix=f"{go_on}; what is measured is kept."
            )
        if left:
            _halve(folder)
    raise FinetuiError(
        "The process that measures ended again and again.",
        why=f"{how_it_ended(code).capitalize()}. {last_words(folder.log)}".strip(),
        fix=f"Its log is {folder.log}. {go_on}.",
    )


@dataclass(frozen=True)
class WorkerProcess:
    """Runs commands one after the other, on the leased device, their output in the evaluation's log.

    Each keeps `claim` and the lease for as long as it lives, also where this process is killed.
    """

    folder: EvaluationDir
    lease: Lease
    claim: int
    stop: Callable[[], bool]
    on_look: Callable[[], None] = lambda: None

    def run(self, command: Sequence[str]) -> int:
        """The exit status, negative where a signal ended it. `stop` ends the command, within half a minute."""
        try:
            with self.folder.log.open("ab") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(self.claim, *self.lease.fds),
                    cwd=self.folder.path,
                    env=environment_of(self.lease),
                    process_group=0,
                    preexec_fn=_give_way if CPU in self.lease.devices else None,
                )
        except OSError as error:
            raise FinetuiError(
                "The process that measures could not be started.", why=f"The system says: {error.strerror or error}."
            ) from error
        record_processes(self.folder, identity_of(process.pid))
        try:
            return self._wait(process)
        finally:
            _kill(process.pid)  # what it left behind would keep the device
            process.wait()
            record_processes(self.folder, None)

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        deadline = None
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(LOOK_S)
            self.on_look()
            if deadline is None and self.stop():
                process.terminate()
                deadline = time.monotonic() + END_S
            if deadline is not None and time.monotonic() > deadline:
                _kill(process.pid)


def record_processes(folder: EvaluationDir, worker: Identity | None) -> None:
    """Write `process.json`: this process, and the worker while there is one."""
    own = identity_of(os.getpid())
    record = {"host": host(), "boot_id": boot_id(), "attempt": 1, "supervisor": own and own.to_json()}
    write_json(folder.process, record | {"worker": worker and worker.to_json()})


def _halve(folder: EvaluationDir) -> None:
    spec = folder.read(folder.spec)
    write_json(folder.spec, spec | {"batch_rows": max(1, int(spec.get("batch_rows") or 2) // 2)})


def _give_way() -> None:
    os.nice(CPU_NICENESS)


def _kill(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def how_it_ended(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"it ended with status {code}"
    name = signal.Signals(-code).name if -code in {*signal.Signals} else str(-code)
    likely = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
    return f"it was killed ({name}{likely})"


def last_words(log: Path) -> str:
    """The end of the log, of a progress bar only its last state."""
    try:
        lines = log.read_bytes()[-8192:].decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return "\n".join([line.rsplit("\r", 1)[-1] for line in lines if line.strip()][-LOG_LINES:])
