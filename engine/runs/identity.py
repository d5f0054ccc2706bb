"""Who is at work on a run: processes told apart by pid, create time and boot, so that a stranger is never signalled.

Standard library only where there is a `/proc`; elsewhere psutil answers.
"""

import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine.runs.rundir import read_json

_LARGEST_PID = 2**31 - 1


@dataclass(frozen=True)
class Identity:
    """One process. `create_time` is in ticks of the system's own clock: only good for telling equal from unequal."""

    pid: int
    create_time: int

    def to_json(self) -> dict[str, int]:
        return {"pid": self.pid, "create_time": self.create_time}


@dataclass(frozen=True)
class ProcessRecord:
    """`process.json`: the machine, the boot and the processes of one attempt."""

    host: str
    boot_id: str
    attempt: int
    supervisor: Identity | None
    worker: Identity | None
    job: str = ""
    """The id of its job, where a cluster runs it. Before that begins, the host is empty."""

    def alive(self) -> list[Identity]:
        """Those of its processes that live, the supervisor first. None are seen of another machine or boot."""
        if self.boot_id != boot_id():
            return []
        return [one for one in (self.supervisor, self.worker) if one is not None and is_alive(one)]


def read_process(path: Path) -> ProcessRecord | None:
    """The record in `path`, or `None` where there is none or it is damaged."""
    value: Any = read_json(path)
    try:
        return ProcessRecord(
            host=str(value["host"]),
            boot_id=str(value["boot_id"]),
            attempt=int(value["attempt"]),
            supervisor=_identity(value.get("supervisor")),
            worker=_identity(value.get("worker")),
            job=str(value.get("job_id") or ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def identity_of(pid: int) -> Identity | None:
    """The process that has `pid` now, or `None` where there is none or it is a zombie."""
    try:
        # The second field is the program's name in brackets and may hold spaces and brackets itself.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _identity_by_psutil(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in "ZXx" else Identity(pid, int(fields[19]))


def is_alive(identity: Identity) -> bool:
    """Whether that very process lives. A zombie is dead; another process with its pid is a stranger."""
    return identity_of(identity.pid) == identity


def send_signal(identity: Identity, number: int) -> bool:
    """Signal that very process; `False` where it is gone. Raises `PermissionError` for another user's process."""
    try:
        handle = os.pidfd_open(identity.pid)  # keeps its meaning even when the pid is given to a stranger
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):
        return _send_by_pid(identity, number)
    try:
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def kill_group(leader: Identity) -> bool:
    """SIGKILL to the process group that `leader` leads; `False` where the leader is gone."""
    if not is_alive(leader):
        return False
    try:
        os.killpg(leader.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@cache
def boot_id() -> str:
    """Names this boot of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return f"{host()}-{round(psutil.boot_time())}"


@cache
def host() -> str:
    return socket.gethostname()


def _identity(value: Mapping[str, Any] | None) -> Identity | None:
    if value is None:
        return None
    pid = int(value["pid"])
    if not 0 < pid <= _LARGEST_PID:
        raise ValueError(f"no process has the number {pid}")
    return Identity(pid, int(value["create_time"]))


def _identity_by_psutil(pid: int) -> Identity | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid, round(process.create_time() * 1000))
    except psutil.NoSuchProcess:
        return None


def _send_by_pid(identity: Identity, number: int) -> bool:
    if not is_alive(identity):
        return False
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True
