"""Eight runs at work and a hundred waiting, for ten minutes, while somebody looks around: what it costs, what is lost.

`python -m benchmarks.load [--minutes 10] [--live 8] [--queued 100] [--rate 50]`. Real supervisors, the real queue, the
real app in a pseudo-terminal of 120×36 under keys; only the workers train nothing and write events. When the time is
over the live runs end one after the other, and those that wait take their places and run for two seconds each. Then
every event that a worker wrote must be a row of the store, to the last bit, and no run may have started out of turn.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load_home import Line, make_home, wait_for
from benchmarks.load_keys import Answers, look_around, tour
from benchmarks.load_order import places_taken
from benchmarks.load_processes import Course, Crowd, size_mb, supervisors
from benchmarks.load_rows import LagWatch, lost_and_changed, open_for_reading
from benchmarks.machine import compare, record
from benchmarks.terminal import FINETUI, Terminal

LIMITS: dict[str, float] = {
    "key_p95_ms": 50,
    "memory_mb_per_min": 1,
    "waiting_cpu_percent": 10,
    "lag_p95_s": 2,
    "dropped_events": 0,
    "workers_untold": 0,
    "series_not_equal": 0,
    "events_not_equal": 0,
    "problems_of_runs": 0,
    "out_of_turn": 0,
}
WARM_UP_S = 120.0
"""So long the app's memory may still grow: screens are built, caches filled."""
QUEUED_STEPS = 100
APART_S = 1.5
"""Between the ends of two live runs."""
DRAIN_S = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--live", type=int, default=8)
    parser.add_argument("--queued", type=int, default=100)
    parser.add_argument("--rate", type=float, default=50.0, help="steps a second of each run, each an event or more")
    parser.add_argument("--no-record", action="store_true", help="leave what was recorded before as it is")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        line = Line(make_home(Path(folder) / "home", options.live), options.rate)
        with line.put_away():
            began = time.monotonic()
            line.launch(options.live, options.queued, QUEUED_STEPS)
            figures["launch_s"] = round((time.monotonic() - began) / (options.live + options.queued), 2)
            with Terminal([FINETUI], line.home.root) as terminal:
                figures |= _watched(line, terminal, options.minutes * 60)
                figures |= _drained(line, terminal)
        runs = [*line.live, *line.queued]
        figures |= places_taken(line, options.live) | lost_and_changed(line.home, runs)
        figures["store_mb"] = round(size_mb(line.home.db), 1)
    missed = compare(figures, LIMITS, ())
    if not options.no_record:
        record("load", figures | {"limits": LIMITS})
    print("missed: " + ", ".join(missed) if missed else "every limit is met")


def _watched(line: Line, terminal: Terminal, seconds: float) -> dict[str, Any]:
    """The app under keys for so long, beside what the other processes take."""
    terminal.wait_until(lambda seen: b" runs" in seen)
    terminal.settle(5)
    look_around(terminal)
    course = Course(terminal.pid, line.home)
    crowds = {
        "app_cpu_percent": Crowd([terminal.pid]),
        "supervisor_cpu_percent": Crowd(supervisors(line, line.live)),
        "waiting_cpu_percent": Crowd(supervisors(line, line.queued)),
    }
    written = terminal.received
    with LagWatch(line.home, line.live) as lag:
        answers = tour(terminal, seconds, course.look)
        lags = lag.lags_s()
    took = course.times_s[-1] - course.times_s[0]
    percents = {name: crowd.percent() for name, crowd in crowds.items()}
    percents["supervisor_cpu_percent"] = [statistics.mean(percents["supervisor_cpu_percent"] or [0.0])]
    both = Crowd(supervisors(line, [*line.live, *line.queued]))
    resident, shared_out = both.memory_mb()
    return {
        "minutes": round(took / 60, 1),
        **_keys(answers),
        **{name: round(sum(values), 2) for name, values in percents.items()},
        "memory_mb": course.memory_mb(),
        "memory_mb_per_min": round(course.slope_mb_per_min(min(WARM_UP_S, seconds / 2)), 2),
        "log_mb_most": round(max(course.log_mb), 1),
        "supervisors_resident_mb": round(resident),
        "supervisors_mb": round(shared_out),
        "bytes_per_s": round((terminal.received - written) / took),
        "lag_p50_s": round(statistics.median(lags), 3),
        "lag_p95_s": round(lags[int(0.95 * len(lags))], 3),
        "lag_most_s": round(lags[-1], 3),
    }


def _keys(answers: Answers) -> dict[str, Any]:
    times = answers.everything()
    return {
        "keys": len(times),
        "key_p50_ms": round(statistics.median(times) * 1000, 1),
        "key_p95_ms": round(times[int(0.95 * len(times))] * 1000, 1),
        "key_most_ms": round(times[-1] * 1000, 1),
        "keys_ms": answers.medians_ms(),
        "keys_most_ms": answers.slowest_ms(),
        "open_run_to_curves_ms": round(statistics.median(answers.curves) * 1000, 1),
    }


def _drained(line: Line, terminal: Terminal) -> dict[str, Any]:
    """End the live runs one after the other, and wait until all that waited has run and is taken in."""
    began = time.monotonic()
    for run in line.live:
        line.end(run)
        terminal.settle(APART_S)
    connection = open_for_reading(line.home.db)

    def all_taken_in() -> bool:
        terminal.read_now()
        (left,) = connection.execute("SELECT count(*) FROM runs WHERE ended IS NULL").fetchone()
        return not left

    wait_for(all_taken_in, DRAIN_S)
    connection.close()
    return {"drained_s": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    main()
