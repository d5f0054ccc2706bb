"""Leases of devices, by memory, and the line of those who wait for one. Standard library only.

In the folder of leases, `held/<device>/` has a file for each run that holds the device, and `waiting/` one for each
that waits: JSON, locked (`flock`) for as long as a process has it open. The kernel lets go of the lock when the last of
them ends, so a lease cannot outlive its run, and nobody has to clean up after a crash. `order.json` has priorities and
places; it is kept through a restart of the machine. Devices are taken, and `order.json` is changed, under one lock that
is held for a moment: `mutex`.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.runs.allot import CPU, Holder, Request, allot
from engine.runs.device_memory import measure, rooms
from engine.runs.rundir import read_json, write_json

LOOK_S = 0.5
"""Time after which the first in the line looks again; the tenth waits ten times as long, unless it is moved."""

LONGEST_LOOK_S = 10.0

MUTEX_S = 5.0
"""So long the lock of a folder of leases may be held by others."""


@dataclass(frozen=True)
class Lease:
    """Devices that are ours for as long as one of `fds` is open here or in a child that was given it."""

    devices: tuple[str, ...]
    fds: tuple[int, ...]

    def release(self) -> None:
        for fd in self.fds:
            os.close(fd)


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
    """A place in the line: `request` as the run asked for it, which a person may have changed in `order.json`.

    A run that has a place there keeps it.
    """

    def __init__(self, folder: Path, request: Request) -> None:
        self._folder = folder
        self._request = request
        self._look_again = 0.0
        self._seen_order: tuple[int, int] | None = None
        self._seen_entry: Mapping[str, Any] | None = None
        self._read: dict[str, dict[str, Any]] = {}
        """What the tickets say, by the names of their files."""
        self._fd: int | None = None
        self.path, self._fd = _locked_file(folder / "waiting", request.run, asdict(request))
        with suppress(OSError), mutex(folder):  # where that fails, the place is that of the ticket
            order = read_order(folder)
            if request.run not in order:
                kept = {"priority": request.priority, "place": request.place, "now": request.now}
                write_order(folder, order | {request.run: kept})

    def is_due(self) -> bool:
        """Whether it is time to look: those far behind look less often, unless somebody moves them."""
        if time.monotonic() >= self._look_again:
            return True
        stamp = _stamp(self._folder)
        if stamp == self._seen_order:
            return False
        self._seen_order = stamp
        return read_order(self._folder).get(self._request.run) != self._seen_entry

    def try_take(self) -> Lease | None:
        """The lease of what it is this run's turn to have, else `None`."""
        self._seen_order = _stamp(self._folder)
        self._seen_entry = read_order(self._folder).get(self._request.run)
        if self._has_no_chance():
            self._look_again_after(self._count_ahead())
            return None
        # Before the lock is taken, because it may last; promises stand for what has happened since.
        memory = measure(self._folder, [self._request])
        ahead = 0
        with suppress(TimeoutError), mutex(self._folder):
            line = read_line(self._folder)
            held = read_holders(self._folder)
            ahead = next((place for place, one in enumerate(line) if one.run == self._request.run), 0)
            got = allot(line[: ahead + 1], held, rooms(memory, held)).get(self._request.run)
            if got is not None and got.devices:
                lease = self._hold(got.devices)
                self._leave()
                return lease
        self._look_again_after(ahead)
        return None

    def _look_again_after(self, ahead: int) -> None:
        self._look_again = time.monotonic() + min(LONGEST_LOOK_S, LOOK_S * (ahead + 1))

    def _has_no_chance(self) -> bool:
        """Whether all places on the processor are taken.

        Most looks of a long line end here: what comes after goes through every process of the machine.
        """
        asked = self._request
        if asked.devices != (CPU,) or asked.now or (self._seen_entry or {}).get("now"):
            return False
        return len(read_holders(self._folder).get(CPU, ())) >= asked.slots

    def _count_ahead(self) -> int:
        """How many are before it, if all who queued up are there still; a ticket never changes and is read once."""
        paths = {path.name: path for path in (self._folder / "waiting").glob("[0-9]*")}
        for name in paths.keys() - self._read.keys():
            with suppress(OSError):  # its owner has just left
                self._read[name] = _parsed(paths[name].read_bytes())
        self._read = {name: value for name, value in self._read.items() if name in paths}
        line = _in_order(self._read.values(), read_order(self._folder))
        return next((place for place, one in enumerate(line) if one.run == self._request.run), 0)

    def drop(self) -> None:
        """Leave the line, if the run is in it still."""
        if self._fd is not None:
            with suppress(TimeoutError), mutex(self._folder):
                self._leave()

    def _hold(self, devices: tuple[str, ...]) -> Lease:
        record = {"run": self._request.run, "bytes": self._request.bytes, "pid": os.getpid()}
        fds = [_locked_file(self._folder / "held" / device, self._request.run, record)[1] for device in devices]
        return Lease(devices, tuple(fds))

    def _leave(self) -> None:
        assert self._fd is not None, "it is in the line"
        self.path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = None
        with suppress(OSError):  # a full disk is no reason not to start
            forget(self._folder, self._request.run)


# the folder


@contextmanager
def mutex(folder: Path, patience_s: float = MUTEX_S) -> Iterator[None]:
    """The right to take devices and to change the order. Raises `TimeoutError` while somebody else keeps it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    give_up = time.monotonic() + patience_s
    while (fd := try_lock(folder / "mutex")) is None:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{folder / 'mutex'} has been locked for {patience_s:g} s")
        time.sleep(0.005)
    try:
        yield
    finally:
        os.close(fd)


def read_line(folder: Path) -> list[Request]:
    """The runs that wait, the next to start first."""
    return _in_order(_live(folder / "waiting"), read_order(folder))


def _in_order(tickets: Iterable[Mapping[str, Any]], order: Mapping[str, Mapping[str, Any]]) -> list[Request]:
    """What tickets ask for, with what has been said of them since, the next to start first."""
    found = {}
    for value in tickets:
        with suppress(KeyError, TypeError):  # a damaged one holds up nobody
            request = Request(**{**value, "devices": tuple(value["devices"])})
            changes = {name: order.get(request.run, {}).get(name) for name in ("priority", "place", "now")}
            found[request.run] = replace(
                request, **{name: change for name, change in changes.items() if change is not None}
            )
    return sorted(found.values(), key=lambda request: request.rank)


def read_holders(folder: Path) -> dict[str, list[Holder]]:
    """The runs that hold each device."""
    held: dict[str, list[Holder]] = {}
    for device in sorted(folder.glob("held/*/")):
        for value in _live(device):
            # One whose record cannot be read holds all of it.
            held.setdefault(device.name, []).append(Holder(str(value.get("run", "")), int(value.get("bytes") or 0)))
    return held


def read_order(folder: Path) -> dict[str, dict[str, Any]]:
    """Priority, place and haste by run, as far as they were said. Those of other forms are left out."""
    value = read_json(folder / "order.json")
    entries = value.items() if isinstance(value, dict) else ()
    kinds: dict[str, type | tuple[type, ...]] = {"priority": int, "place": (int, float), "now": bool}
    return {
        run: {name: entry[name] for name, kind in kinds.items() if isinstance(entry.get(name), kind)}
        for run, entry in entries
        if isinstance(entry, dict)
    }


def write_order(folder: Path, order: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the order; only under the `mutex`."""
    write_json(folder / "order.json", order)


def forget(folder: Path, run: str) -> None:
    """Take a run out of the order; only under the `mutex`."""
    order = read_order(folder)
    if order.pop(run, None) is not None:
        write_order(folder, order)


def _locked_file(folder: Path, run: str, value: Mapping[str, Any]) -> tuple[Path, int]:
    """A new file of `folder` with `value` in it, and its lock.

    It is locked before it can be seen, so that nobody takes it for one of a dead process; its name is used but once,
    so that nobody removes it in the place of an earlier one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{time.time_ns():020d}-{run}"
    draft = folder / f".{path.name}"
    fd = try_lock(draft)
    assert fd is not None, "the name is this process's own"
    os.write(fd, json.dumps(value).encode())
    draft.rename(path)
    return path, fd


def _live(folder: Path) -> Iterator[dict[str, Any]]:
    """What is in those files of `folder` whose processes live, oldest first. The others are swept away."""
    for path in sorted(folder.glob("[0-9]*")):
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue  # its owner has just left
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _parsed(os.read(fd, 1 << 16))
        else:
            path.unlink(missing_ok=True)
        finally:
            os.close(fd)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _stamp(folder: Path) -> tuple[int, int] | None:
    """By this a changed order is told from the same one."""
    try:
        stat = (folder / "order.json").stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns
