"""Whether runs started in their order, and how long a place stayed empty while others waited for one."""

import statistics
from typing import Any

from benchmarks.load_home import Line
from engine.runs.protocol import read_events
from engine.runs.rundir import read_json


def places_taken(line: Line, places: int) -> dict[str, Any]:
    """`out_of_turn`: runs that started although those before them in the line would have filled what was free.

    `handover_…_s`: from the end of a run to the start of the one that took its place, the n-th free place being the
    n-th's to start.
    """
    runs = [*line.live, *line.queued]
    starts = {run: _started(line, run) for run in runs}
    ends = {run: float((read_json(line.dir(run).exit) or {})["ended"]) for run in runs}
    wrong = 0
    for position, run in enumerate(runs):
        now = starts[run]
        ahead = sum(starts[other] > now for other in runs[:position])
        at_work = sum(starts[other] < now < ends[other] for other in runs)
        wrong += ahead >= places - at_work
    taken = sorted(starts[run] for run in line.queued)
    gaps = [start - freed for start, freed in zip(taken, sorted(ends.values()), strict=False)]
    return {
        "out_of_turn": wrong,
        "handover_p50_s": round(statistics.median(gaps), 2),
        "handover_p95_s": round(sorted(gaps)[int(0.95 * len(gaps))], 2),
    }


def _started(line: Line, run: str) -> float:
    """When its supervisor, the device in hand, said that the worker starts."""
    events = read_events(line.dir(run).events).events
    return next(float(one["t"]) for one in events if one["kind"] == "state" and one["status"] == "starting")
