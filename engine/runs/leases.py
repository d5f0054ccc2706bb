"""Leases: one run at a time on a device, first come, first served. Standard library only.

A lease is a lock (`flock`) on `<leases>/<device>.lock`. The kernel lets go of it when the last process that has the
file open ends, so a lease cannot outlive its run, and nobody has to clean up after a crash. Whoever waits holds a
ticket the same way: a locked file in `<leases>/waiting/`, named by when its wait began.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.runs.rundir import read_json


@dataclass(frozen=True)
class Lease:
    """A device that is ours for as long as `fd` is open here or in a child that was given it."""

    device: str
    fd: int

    def release(self) -> None:
        os.close(self.fd)


def try_lock(path: Path) -> int | None:
    """An open file descriptor with the lock of `path`, or `None` while somebody else holds it.

    Children do not inherit it unless they are given it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return fd


class Ticket:
    """A place in the line for the first free of `devices`.

    The order is that of the tickets' making; a ticket of a process that died is passed over and swept away.
    """

    def __init__(self, folder: Path, devices: Sequence[str], owner: str) -> None:
        self._folder = folder
        self._devices = tuple(devices)
        self._waiting = folder / "waiting"
        self._waiting.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = self._waiting / f"{time.time_ns():020d}-{owner}"
        draft = self._waiting / f".{self.path.name}"  # locked before it can be seen: nobody takes it for a dead one
        fd = try_lock(draft)
        assert fd is not None, "the name is this process's own"
        self._fd = fd
        os.write(fd, json.dumps({"devices": self._devices}).encode())
        draft.rename(self.path)

    def try_take(self) -> Lease | None:
        """The lease of the first device that is free and that nobody waits for longer, else `None`."""
        promised = self._promised()
        for device in self._devices:
            if device not in promised:
                fd = try_lock(self._folder / f"{device}.lock")
                if fd is not None:
                    return Lease(device, fd)
        return None

    def drop(self) -> None:
        """Leave the line."""
        self.path.unlink(missing_ok=True)
        os.close(self._fd)

    def _promised(self) -> set[str]:
        """Devices that somebody ahead waits for."""
        return {device for path in self._ahead() for device in (read_json(path) or {}).get("devices", ())}

    def _ahead(self) -> Iterator[Path]:
        for path in sorted(self._waiting.glob("[0-9]*")):
            if path.name >= self.path.name:
                return
            fd = try_lock(path)
            if fd is None:
                yield path
            else:  # its owner died, or has just left
                path.unlink(missing_ok=True)
                os.close(fd)
