"""Metrics: points, their roll-ups, and what each metric came to."""

import sqlite3
from collections.abc import Sequence
from itertools import groupby, pairwise
from math import isfinite, nan
from typing import Any

from store.connection import Database
from store.points import visible_attempts
from store.records import LAST_STEP, Latest, Series
from store.rollups import cover, level_for

_LATEST = "SELECT l.run, n.name, l.value, l.low, l.high, l.step, l.low_step FROM latest l JOIN metric_names n"

_PointRow = tuple[int, float, float, float, float]
"""Step, value, time, low, high."""


class MetricStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self, run_id: str) -> list[str]:
        """The metrics of which the run has points, by name."""
        return sorted(self.latest(run_id))

    def all_names(self) -> list[str]:
        """Every metric that a run ever had, by name."""
        return [name for (name,) in self._database.all("SELECT name FROM metric_names ORDER BY name")]

    def latest(self, run_id: str) -> dict[str, Latest]:
        """What each metric came to, by name."""
        rows = self._database.all("SELECT key FROM runs WHERE id = ?", (run_id,))
        return self.latest_of([key for (key,) in rows]).get(rows[0][0], {}) if rows else {}

    def latest_of(self, keys: Sequence[int]) -> dict[int, dict[str, Latest]]:
        """What the metrics of many runs came to, by the runs' keys: one query, however many they are."""
        found: dict[int, dict[str, Latest]] = {}
        for run, name, value, low, high, step, low_step in self._database.all(
            f"{_LATEST} ON n.key = l.metric WHERE l.run IN (SELECT value FROM json_each(?)) AND l.step >= 0 "
            "ORDER BY l.run, n.name",
            (str(list(keys)),),
        ):
            lowest, highest = (low, high) if low <= high else (None, None)
            last = nan if value is None else value
            found.setdefault(run, {})[name] = Latest(last, lowest, highest, step, low_step)
        return found

    def series(
        self,
        run_id: str,
        name: str,
        *,
        max_points: int | None = None,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> Series | None:
        """The points of a metric by step, superseded ones left out; `None` where the run has no such metric.

        With `max_points` the series is thinned to that many: each point is then the last of the steps that it stands
        for, with their extremes beside it. The last point is always there. No more than about twice `max_points` rows
        are read.
        """
        found = self._database.one(
            "SELECT l.run, l.metric, l.step, l.count FROM latest l WHERE l.run = (SELECT key FROM runs WHERE id = ?) "
            "AND l.metric = (SELECT key FROM metric_names WHERE name = ?) AND l.step >= 0",
            (run_id, name),
        )
        if found is None:
            return None
        run, metric, end, count = found
        first = max(0, first_step or 0)
        last = LAST_STEP if last_step is None else last_step
        level = 0
        if max_points is not None:
            level = level_for(2 * max(1, max_points), max(0, min(last, end) - first), count)
        rows: list[_PointRow] = []
        with self._database.explained():
            connection = self._database.connection()
            for attempt, visible in visible_attempts(connection, run, metric):
                for part in cover(level, first, min(last, visible)):
                    rows += _read(connection, run, metric, attempt, *part)
        rows = _one_a_step(rows)
        if max_points is not None and len(rows) > max(1, max_points):
            rows = _thin(rows, max(1, max_points))
        steps, values, times, low, high = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [])
        return Series(name, steps, values, times, low, high)


def _read(
    connection: sqlite3.Connection, run: int, metric: int, attempt: int, level: int, first: int, last: int
) -> list[_PointRow]:
    if level == 0:
        rows: list[Any] = connection.execute(
            "SELECT step, value, t, value, value FROM points "
            "WHERE run = ? AND metric = ? AND attempt = ? AND step BETWEEN ? AND ? ORDER BY step",
            (run, metric, attempt, first, last),
        ).fetchall()
    else:
        rows = connection.execute(
            "SELECT step, value, t, iif(low <= high, low, value), iif(low <= high, high, value) FROM rollups "
            "WHERE run = ? AND metric = ? AND level = ? AND attempt = ? AND bucket BETWEEN ? AND ? ORDER BY bucket",
            (run, metric, level, attempt, first, last),
        ).fetchall()
    # SQLite holds NaN as NULL.
    return [row if None not in row else (row[0], nan, row[2], *_or_nan(row[3:])) for row in rows]


def _or_nan(extremes: tuple[float | None, float | None]) -> tuple[float, float]:
    low, high = extremes
    return (nan if low is None else low, nan if high is None else high)


def _one_a_step(rows: list[_PointRow]) -> list[_PointRow]:
    """By step, and of two attempts' points at one step the later attempt's."""
    rows.sort(key=lambda row: row[0])
    return [row for row, after in pairwise(rows) if row[0] != after[0]] + rows[-1:]


def _thin(rows: list[_PointRow], most: int) -> list[_PointRow]:
    """Neighbours merged, the last of each group kept with the extremes of all.

    A group is a stretch of steps that begins at a multiple of its length, a power of two: as a run grows, what was
    merged stays as it was until the length doubles, and a live curve does not flicker.
    """
    width = 1
    while _stretches(rows, width) > most:
        width *= 2
    thinned = []
    for _, members in groupby(rows, key=lambda row: row[0] // width):
        group = list(members)
        step, value, t, _, _ = group[-1]
        lows = [row[3] for row in group if isfinite(row[3])]
        highs = [row[4] for row in group if isfinite(row[4])]
        thinned.append((step, value, t, min(lows, default=value), max(highs, default=value)))
    return thinned


def _stretches(rows: list[_PointRow], width: int) -> int:
    """How many stretches of `width` steps the rows lie in."""
    return len({row[0] // width for row in rows})
