"""What came of the events: how long each took to become a row, and whether any was lost or changed.

`python -m benchmarks.load_rows HOME RUN_ID…` watches the store from a process of its own until its standard input is
closed, and then prints the seconds from event to row as JSON. `lost_and_changed` compares the store with what the
workers say that they wrote.
"""

import hashlib
import json
import select
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.load_worker import WRITTEN, packed
from engine.home import Home
from engine.runs.rundir import RunDir, read_json

METRIC = "train/loss"
LOOK_S = 0.02
"""By so much the lag may be measured as longer than it was."""

STORED = ("plan", "evaluation", "checkpoint", "end")
"""Kinds that only the worker writes and that are kept as events besides their points."""


def open_for_reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


class LagWatch:
    """Watches in a process of its own, so that it disturbs no clock of the one that presses keys."""

    def __init__(self, home: Home, runs: list[str]) -> None:
        argv = [sys.executable, "-m", "benchmarks.load_rows", str(home.root), *runs]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def lags_s(self) -> list[float]:
        """Seconds from each event to its row, shortest first; ends the watch."""
        told, _ = self._process.communicate()
        lags: list[float] = sorted(json.loads(told))
        return lags


def watch(db: Path, runs: list[str]) -> list[float]:
    """Seconds from the event to the row, for each new point of one metric, until standard input is closed."""
    connection = open_for_reading(db)
    marks = ", ".join("?" * len(runs))
    keys = [key for (key,) in connection.execute(f"SELECT key FROM runs WHERE id IN ({marks})", runs)]
    seen, version, lags = dict.fromkeys(keys, -1), -1, []
    metric: int | None = None
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        (now_version,) = connection.execute("PRAGMA data_version").fetchone()
        if now_version == version:
            continue
        first, version, now = version == -1, now_version, time.time()
        if metric is None:
            row = connection.execute("SELECT key FROM metric_names WHERE name = ?", (METRIC,)).fetchone()
            metric = row[0] if row else None
        for key in keys:
            rows = connection.execute(
                "SELECT step, t FROM points WHERE run = ? AND metric = ? AND attempt = 1 AND step > ?",
                (key, metric, seen[key]),
            ).fetchall()
            seen[key] = max([seen[key], *(step for step, _ in rows)])
            if not first:  # what was there before nobody saw come
                lags += [now - t for _, t in rows]
    return lags


def lost_and_changed(home: Home, runs: list[str]) -> dict[str, Any]:
    """Events written, and what of them the store lacks, has too often, or has with another value."""
    connection = open_for_reading(home.db)
    events = points = wrong_points = wrong_events = problems = dropped = untold = 0
    for run in runs:
        rundir = RunDir(home.runs / run)
        written: dict[str, Any] = read_json(rundir.path / WRITTEN) or {"kinds": {}, "points": {}, "dropped": 0}
        untold += not written["kinds"]
        key, offset, status, damaged, unknown = connection.execute(
            "SELECT key, offset, status, damaged, unknown FROM runs WHERE id = ?", (run,)
        ).fetchone()
        events += sum(written["kinds"].values())
        points += sum(count for count, _ in written["points"].values())
        dropped += written["dropped"]
        problems += (offset != rundir.events.stat().st_size) + (status != "succeeded") + damaged + unknown
        stored = _points(connection, key)
        for name in written["points"].keys() | stored.keys():
            if tuple(written["points"].get(name, ())) != stored.get(name):
                wrong_points += 1
        for kind in STORED:
            (count,) = connection.execute(
                "SELECT count(*) FROM events WHERE run = ? AND kind = ?", (key, kind)
            ).fetchone()
            wrong_events += abs(count - written["kinds"].get(kind, 0))
    connection.close()
    return {
        "runs": len(runs),
        "events": events,
        "points": points,
        "dropped_events": dropped,
        "workers_untold": untold,
        "series_not_equal": wrong_points,
        "events_not_equal": wrong_events,
        "problems_of_runs": problems,
    }


def _points(connection: sqlite3.Connection, run: int) -> dict[str, tuple[int, str]]:
    """Of each metric the count and the hash, as the worker made them."""
    found = {}
    for metric, name in connection.execute(
        "SELECT key, name FROM metric_names WHERE key IN (SELECT metric FROM latest WHERE run = ?)", (run,)
    ).fetchall():
        count, digest = 0, hashlib.sha256()
        for step, value in connection.execute(
            "SELECT step, value FROM points WHERE run = ? AND metric = ? ORDER BY attempt, step", (run, metric)
        ):
            count += 1
            digest.update(packed(step, value))
        found[name] = (count, digest.hexdigest())
    return found


if __name__ == "__main__":
    print(json.dumps(watch(Home(Path(sys.argv[1])).db, sys.argv[2:])))
