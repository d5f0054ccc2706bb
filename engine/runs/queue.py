"""The queue of a home: which run waits for which device and why, and how the order is changed."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs.allot import Obstacle, allot, starts
from engine.runs.device_memory import measure, rooms
from engine.runs.fields import finite
from engine.runs.identity import read_process
from engine.runs.leases import forget, mutex, read_holders, read_line, read_order, write_order
from engine.runs.rundir import RunDir, read_table
from engine.toml import read_toml
from store import Store
from store.records import Run, Status

PATIENCE_S = 10.0
"""Time a run that was launched a moment ago is given to queue up."""

LOCKED_S = 3.0
"""So long a change waits for another that is under way."""


@dataclass(frozen=True)
class QueueEntry:
    """A run that waits for devices of this machine."""

    run: str
    place: int
    """1 is the next to start."""
    priority: int
    devices: tuple[str, ...]
    """Those that it may take."""
    wanted: int
    """So many of them, all at once."""
    bytes: int
    """The planned peak on each; 0 where it is not known."""
    obstacles: tuple[Obstacle, ...]
    """What stands in the way on each device; none where it is about to start."""
    starts_s: float | None
    """Seconds until it starts, where that can be told."""


class RunQueue:
    """The line of runs for the devices of this machine. Every method may be called from any thread, none on the loop.

    Those that change something raise `BadInput` for a run that does not wait, and `FinetuiError` where a process that
    hangs keeps the queue locked.
    """

    def __init__(self, home: Home, store: Store) -> None:
        self._home = home
        self._store = store
        self._folder = home.root / "leases"

    def waiting(self) -> list[QueueEntry]:
        """The runs that wait, in the order in which they start. May ask `nvidia-smi`."""
        line = read_line(self._folder)
        if not line:
            return []
        held = read_holders(self._folder)
        room = rooms(measure(self._folder, line), held)
        allotted = allot(line, held, room)
        soon = starts(line, held, room, {run.id: self._lasts_s(run) for run in self._store.runs.live()})
        return [
            QueueEntry(
                request.run,
                place,
                request.priority,
                request.devices,
                request.wanted,
                request.bytes,
                allotted[request.run].obstacles,
                soon.get(request.run),
            )
            for place, request in enumerate(line, 1)
        ]

    def devices(self) -> dict[str, tuple[str, ...]]:
        """The devices that each run at work here has."""
        held: dict[str, tuple[str, ...]] = {}
        for device, ones in read_holders(self._folder).items():
            for one in ones:
                held[one.run] = (*held.get(one.run, ()), device)
        return held

    def move(self, run_id: str, to: int) -> None:
        """Put a waiting run at place `to`, 1 being the next to start, with a priority that its neighbours allow."""
        with self._changed(run_id) as order:
            line = read_line(self._folder)
            moved = next(request for request in line if request.run == run_id)
            line.remove(moved)
            at = max(0, min(to - 1, len(line)))
            line.insert(at, moved)
            highest = line[at - 1].priority if at else max(one.priority for one in line)
            lowest = line[at + 1].priority if at + 1 < len(line) else min(one.priority for one in line)
            for place, request in enumerate(line):
                order.setdefault(request.run, {})["place"] = place
            order[run_id]["priority"] = min(highest, max(lowest, moved.priority))

    def set_priority(self, run_id: str, priority: int) -> None:
        """Let a waiting run start before those of a lower priority."""
        with self._changed(run_id) as order:
            order.setdefault(run_id, {})["priority"] = priority

    def run_now(self, run_id: str) -> None:
        """Let a waiting run start at once, beside others, whether it fits or not."""
        with self._changed(run_id) as order:
            order.setdefault(run_id, {})["now"] = True

    def forget(self, run_id: str) -> None:
        """Drop what was said of the place of a run that is no more."""
        with suppress(OSError), mutex(self._folder):  # what is left there does no harm
            forget(self._folder, run_id)

    def in_order(self, run_ids: Collection[str]) -> list[str]:
        """Runs whose supervisors are gone, in the order that was kept for them; those without a place at the end."""
        order = read_order(self._folder)

        def rank(run_id: str) -> tuple[bool, int, float, str]:
            kept = order.get(run_id, {})
            return (run_id not in order, -kept.get("priority", 0), kept.get("place", 0.0), run_id)

        return sorted(run_ids, key=rank)

    def has_come(self, run_id: str) -> bool:
        """Whether a run waits for devices or has them."""
        return self._is_waiting(run_id) or run_id in self.devices()

    @contextmanager
    def _changed(self, run_id: str) -> Iterator[dict[str, dict[str, Any]]]:
        """The order, to be changed with respect to a run that waits, and then written."""
        self._wait_for_ticket(run_id)
        try:
            with mutex(self._folder, LOCKED_S):
                if not self._is_waiting(run_id):  # it was its turn just now
                    raise self._does_not_wait(run_id)
                order = read_order(self._folder)
                yield order
                write_order(self._folder, order)
        except TimeoutError as error:
            raise FinetuiError(
                "The queue cannot be changed now.",
                why=f"Another process keeps it locked: {error}.",
                fix="Try again; if that goes on, look for a process of finetui that hangs.",
            ) from error

    def _wait_for_ticket(self, run_id: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not self._is_waiting(run_id):
            run = self._store.runs.get(run_id)
            record = read_process(self._dir(run_id).process)
            at_work = record is not None and (record.worker is not None or record.job)
            if run is None or run.status is not Status.QUEUED or at_work or time.monotonic() > give_up:
                raise self._does_not_wait(run_id)
            time.sleep(0.05)

    def _does_not_wait(self, run_id: str) -> BadInput:
        run = self._store.runs.get(run_id)
        if run is None:
            return BadInput(f"There is no run {run_id!r}.")
        state = "" if run.status is Status.QUEUED else f": it is {run.status}"
        return BadInput(
            f"{run.name} does not wait for a device of this machine{state}.", fix="`finetui queue ls` lists what does."
        )

    def _is_waiting(self, run_id: str) -> bool:
        return any(request.run == run_id for request in read_line(self._folder))

    def _lasts_s(self, run: Run) -> float | None:
        """How long a live run goes on, in seconds: a waiting one from its start, another from now; not when overdue."""
        planned = planned_s(read_table(self._dir(run.id).inputs))
        if run.status is Status.QUEUED:
            return planned
        if run.eta_s is not None and run.heartbeat is not None:
            ends = run.heartbeat + run.eta_s
        elif planned is not None and run.started is not None:
            ends = run.started + planned
        else:
            return None
        return ends - time.time() if ends > time.time() else None

    def _dir(self, run_id: str) -> RunDir:
        return RunDir(self._home.runs / run_id)


def planned_s(inputs: Mapping[str, Any] | None) -> float | None:
    """How long a run is planned to take, in seconds, by its `inputs.json`; `None` where that is not known."""
    plan = (inputs or {}).get("plan")
    return finite(plan.get("time_s")) if isinstance(plan, dict) else None


def cpu_runs(home: Home) -> int:
    """So many runs at a time may be at work on the processor: `[queue] cpu_runs` of `settings.toml`, else 1.

    Raises `BadInput` where it is no such number.
    """
    path = home.root / "settings.toml"
    try:
        values = read_toml(path)
    except (OSError, ValueError):
        return 1  # the app says what is wrong with the file
    queue = values.get("queue", {})
    count = queue.get("cpu_runs", 1) if isinstance(queue, dict) else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise BadInput(
            f"{path} says something else than a number of runs under [queue].",
            fix="Write cpu_runs = 2 there, or another whole number from 1, or remove it.",
        )
    return count
