"""What should have ended and has not: processes that nobody watches, sockets nobody answers, leases nobody uses."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from engine.home import Home
from engine.insight.checks.check import Check, counted
from engine.runs.identity import Identity, identity_of, is_alive, read_process
from engine.runs.leases import mutex, read_holders
from engine.runs.rundir import RunDir

_AT_WORK = re.compile(r"engine\.(?:worker|runs|suites|sweeps|notices|inference|evaluation|export|judging)\.\w+")
_MUTEX_S = 1.0


@dataclass(frozen=True)
class OwnProcess:
    """A process of finetui's that works on this home."""

    pid: int
    parent: int
    module: str
    words: tuple[str, ...]

    def value(self, option: str) -> str:
        """What follows `option` on its command line."""
        pairs = zip(self.words, self.words[1:], strict=False)
        return next((value for name, value in pairs if name == option), "")


def check_processes(home: Home) -> Check:
    """Workers without a supervisor, processes of runs that have ended or are gone, servers without an app."""
    own = list(own_processes(home))
    left = [(process.pid, why) for process in own if (why := _why_left(home, process))]
    stale = [path for path in sorted(home.sockets.glob("*.sock")) if _is_stale(path)]
    told = [f"{why} (process {pid})" for pid, why in left]
    told += [f"{counted(len(stale), 'socket')} of models whose app has gone"] if stale else []
    if not told:
        return Check("processes", True, f"{counted(len(own), 'process', 'processes')} at work, none left over")
    ends = [f"kill {' '.join(str(pid) for pid, _ in left)}"] if left else []
    ends += [f"rm {' '.join(quote(str(path)) for path in stale)}"] if stale else []
    return Check("processes", False, "; ".join(told), "; ".join(ends))


def check_leases(home: Home) -> Check:
    """Devices that are held for runs which have ended, and the lock of the leases held for too long."""
    folder = home.root / "leases"
    if not folder.is_dir():
        return Check("leases", True, "no device is held")
    try:
        with mutex(folder, patience_s=_MUTEX_S):
            held = read_holders(folder)
    except TimeoutError:
        fix = f"Somebody keeps {folder / 'mutex'} locked: `fuser -v {folder / 'mutex'}` names who; end that process."
        return Check("leases", False, "the lock of the leases is held, so no run can start", fix)
    except OSError as error:
        return Check("leases", False, f"{folder}: {error.strerror or error}", "Choose a home on a local disk.")
    leaked = [
        (device, holder.run)
        for device, holders in sorted(held.items())
        for holder in holders
        if holder.run and _has_ended(home, holder.run)
    ]
    if leaked:
        told = ", ".join(f"{device} by {run}, which has ended" for device, run in leaked)
        devices = " ".join(sorted({str(folder / "held" / device / "*") for device, _ in leaked}))
        return Check("leases", False, f"held: {told}", f"`fuser -v {devices}` names who holds it; end that process.")
    number = sum(len(holders) for holders in held.values())
    return Check("leases", True, f"{counted(number, 'lease')} on {', '.join(held)}" if number else "no device is held")


def own_processes(home: Home) -> Iterator[OwnProcess]:
    """Processes of this user that run a module of finetui's on something in `home`."""
    import psutil

    root = str(home.root)
    for process in psutil.process_iter(["pid", "ppid", "cmdline", "uids"]):
        words: Sequence[str] = process.info["cmdline"] or ()
        module = next((word for word in words[1:6] if _AT_WORK.fullmatch(word)), "")
        mine = process.info["uids"] is not None and process.info["uids"].effective == os.geteuid()
        if mine and module and any(word == root or word.startswith(root + "/") for word in words):
            yield OwnProcess(process.info["pid"], process.info["ppid"], module, tuple(words))


def _why_left(home: Home, process: OwnProcess) -> str:
    """Why this process should not be there; empty where it should."""
    if process.module == "engine.worker.serve":
        parent = process.value("--parent-pid")
        gone = parent.isdecimal() and identity_of(int(parent)) is None
        return "a model server whose app has gone" if gone else ""
    folder = next((Path(word) for word in process.words if word.startswith(f"{home.runs}/")), None)
    if folder is None:
        return ""
    if not folder.is_dir():
        return f"{process.module} of run {folder.name}, whose folder is gone"
    run = RunDir(folder)
    record = read_process(run.process)
    worker = Identity(0, 0) if record is None else record.worker
    if record is None or worker is None or worker.pid != process.pid or not is_alive(worker):
        return ""
    if run.exit.exists():
        return f"the worker of run {folder.name}, which has ended"
    if record.supervisor is not None and not is_alive(record.supervisor):
        return f"the worker of run {folder.name} without its supervisor"
    return ""


def _has_ended(home: Home, run: str) -> bool:
    """Whether a run of this home has ended while something of its processes is gone; those of others count as live."""
    rundir = RunDir(home.runs / run)
    if not re.fullmatch(r"[\w-]+", run) or not rundir.path.is_dir():
        return False
    record = read_process(rundir.process)
    return rundir.exit.exists() and (record is None or not record.alive())


def _is_stale(path: Path) -> bool:
    pid = path.stem.rpartition("-")[2]
    return pid.isdecimal() and identity_of(int(pid)) is None
