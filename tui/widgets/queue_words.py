"""The queue as people read it: what is at work, what waits, for what, and when that starts. No widgets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.format import fmt_bytes
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.home import Home
    from engine.runs.allot import Obstacle
    from engine.runs.queue import QueueEntry, RunQueue
    from store import Store
    from store.records import Run


@dataclass(frozen=True)
class Entry:
    """A live run with its place in the queue."""

    run: "Run"
    place: int | None
    """1 for the next to start; `None` for what is at work, and for what waits elsewhere or has not queued up yet."""
    priority: int
    device: str
    """What it has, or why it does not have it."""
    needs_bytes: int
    """The planned peak on each device; 0 where it is not known."""
    takes_s: float | None
    """How long it is planned to take."""
    starts_s: float | None
    """In how many seconds a waiting run starts, where that can be told."""
    since: float
    """When it came into its present state, unix seconds."""

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def at_work(self) -> bool:
        return self.run.status.value != "queued"


def read_queue(home: "Home", store: "Store", queue: "RunQueue") -> list[Entry]:
    """Live runs: those at work, then those that wait, in the order in which they start. Not for the event loop."""
    live = {run.id: run for run in sorted(store.runs.live(), key=lambda run: run.created)}
    names = {run.id: clean_line(run.name) for run in live.values()}
    devices = queue.devices()
    line = {one.run: one for one in queue.waiting() if one.run in live and live[one.run].status.value == "queued"}
    at_work = [run for run in live.values() if run.id not in line and run.status.value != "queued"]
    others = [run for run in live.values() if run.id not in line and run.status.value == "queued"]
    return [
        *(_entry(home, store, run, ", ".join(devices.get(run.id, ())), None) for run in at_work),
        *(_entry(home, store, live[one.run], why(one, names), one) for one in line.values()),
        *(_entry(home, store, run, clean_line(run.phase), None) for run in others),
    ]


def _entry(home: "Home", store: "Store", run: "Run", device: str, waits: "QueueEntry | None") -> Entry:
    from engine.runs.queue import planned_s
    from engine.runs.rundir import RunDir, read_table

    inputs = read_table(RunDir(home.runs / run.id).inputs)
    states = store.runs.events(run.id, ["state"], 1)
    needs = inputs.get("needs_bytes")
    return Entry(
        run=run,
        place=waits.place if waits else None,
        priority=waits.priority if waits else 0,
        device=device,
        needs_bytes=needs if isinstance(needs, int) else 0,
        takes_s=planned_s(inputs),
        starts_s=waits.starts_s if waits else None,
        since=states[-1].t if states else run.started or run.created,
    )


def why(entry: "QueueEntry", names: Mapping[str, str]) -> str:
    """Why a run waits: `gpu0 is held by first; gpu1 has 8.3 GB left of 20.1`. `names`: the runs', by id."""
    if not entry.obstacles:
        return "about to start"
    several = f"{entry.wanted} at once: " if entry.wanted > 1 else ""
    return several + "; ".join(_reasons(entry, names))


def _reasons(entry: "QueueEntry", names: Mapping[str, str]) -> Iterator[str]:
    told = set()
    for obstacle in entry.obstacles:
        words = _reason(obstacle, entry.bytes, names)
        if words not in told:
            told.add(words)
            yield words


def _reason(obstacle: "Obstacle", needs: int, names: Mapping[str, str]) -> str:
    if obstacle.left is not None:
        others = f", others use {fmt_bytes(obstacle.outside)}" if obstacle.outside else ""
        return f"{obstacle.device} has {fmt_bytes(obstacle.left)} of {fmt_bytes(needs)}{others}"
    if obstacle.ahead:
        return f"{obstacle.device} after {names.get(obstacle.ahead, obstacle.ahead)}"
    first, *rest = obstacle.holders
    return f"{obstacle.device} held by {names.get(first, first)}{f' and {len(rest)} more' if rest else ''}"
