"""Points and roll-ups as ingest writes them, and what of them a resume leaves visible."""

import sqlite3
from collections.abc import Iterable, Mapping
from math import inf, isfinite, nan

from store.records import LAST_STEP, Point
from store.rollups import LEVELS, Bucket, cover, roll_up, total

Rolled = list[tuple[str, int, list[Point], list[list[Bucket]]]]
"""Metric, attempt, points and their roll-ups, level 1 first."""


def roll_up_all(points: Mapping[tuple[str, int], list[Point]]) -> Rolled:
    """The roll-ups of a batch; done before its transaction begins, to keep that short."""
    return [(name, attempt, rows, roll_up(rows)) for (name, attempt), rows in points.items()]


def write_points(connection: sqlite3.Connection, run: int, rolled: Rolled) -> None:
    """Add points and roll-ups and bring `latest` up to date. A repeated step keeps the newer value."""
    keys = _metric_keys(connection, dict.fromkeys(name for name, _, _, _ in rolled))
    for name, attempt, rows, _ in rolled:
        # The constants are in the statement: three values to bind instead of six, a sixth less time.
        connection.executemany(
            f"INSERT INTO points VALUES ({run:d}, {keys[name]:d}, {attempt:d}, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET value = excluded.value, t = excluded.t",
            rows,
        )
    connection.executemany(
        "INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "value = CASE WHEN excluded.step >= step THEN excluded.value ELSE value END, "
        "t = CASE WHEN excluded.step >= step THEN excluded.t ELSE t END, "
        f"step = max(step, excluded.step), {_EXTREMES}",
        (
            (run, keys[name], level, attempt, *bucket)
            for name, attempt, _, levels in rolled
            for level, buckets in enumerate(levels, 1)
            for bucket in buckets
        ),
    )
    connection.executemany(
        "INSERT INTO latest VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        f"value = CASE WHEN {_NEWER} THEN excluded.value ELSE value END, "
        f"t = CASE WHEN {_NEWER} THEN excluded.t ELSE t END, "
        f"step = CASE WHEN {_NEWER} THEN excluded.step ELSE step END, "
        f"attempt = max(attempt, excluded.attempt), count = count + excluded.count, {_EXTREMES}",
        (
            (run, keys[name], attempt, *whole[1:], len(rows))
            for name, attempt, rows, levels in rolled
            if (whole := total(levels[-1])) is not None
        ),
    )


def hide_superseded(connection: sqlite3.Connection, run: int) -> None:
    """Make `latest` anew from the visible points: a resume has superseded some.

    A metric that has none left keeps its row, at step -1, for its count.
    """
    for (metric,) in connection.execute("SELECT metric FROM latest WHERE run = ?", (run,)).fetchall():
        last_attempt, step, value, t, low, high, low_step = 0, -1, nan, 0.0, inf, -inf, None
        for attempt, visible in visible_attempts(connection, run, metric):
            seen = total(_buckets(connection, run, metric, attempt, visible))
            if seen is not None:
                last_attempt, step, value, t = attempt, *seen[1:4]
                low, low_step = (seen[4], seen[6]) if seen[4] < low else (low, low_step)
                high = max(high, seen[5])
        connection.execute(
            "UPDATE latest SET attempt = ?, step = ?, value = ?, t = ?, low = ?, high = ?, low_step = ? "
            "WHERE run = ? AND metric = ?",
            (last_attempt, step, value, t, low, high, low_step, run, metric),
        )


def forget_points(connection: sqlite3.Connection, run: int) -> None:
    for table in ("points", "rollups", "latest"):
        connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))


_EXTREMES = (
    "low_step = CASE WHEN excluded.low < low THEN excluded.low_step ELSE low_step END, "
    "low = min(low, excluded.low), high = max(high, excluded.high)"
)
_NEWER = "(excluded.attempt, excluded.step) >= (attempt, step)"


def _metric_keys(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    keys = {}
    for name in names:
        select = ("SELECT key FROM metric_names WHERE name = ?", (name,))
        row = connection.execute(*select).fetchone()
        if row is None:
            connection.execute("INSERT INTO metric_names (name) VALUES (?)", (name,))
            row = connection.execute(*select).fetchone()
        keys[name] = row[0]
    return keys


def visible_attempts(connection: sqlite3.Connection, run: int, metric: int) -> list[tuple[int, int]]:
    """The attempts that have points of the metric, each with the last step at which they are not superseded."""
    return connection.execute(
        "SELECT DISTINCT r.attempt, ifnull((SELECT min(a.from_step) FROM attempts a "
        "WHERE a.run = r.run AND a.number > r.attempt), ?) "
        "FROM rollups r WHERE r.run = ? AND r.metric = ? AND r.level = ? ORDER BY r.attempt",
        (LAST_STEP, run, metric, LEVELS),
    ).fetchall()


def _buckets(connection: sqlite3.Connection, run: int, metric: int, attempt: int, last: int) -> list[Bucket]:
    """Everything of an attempt up to step `last`, in as few buckets as there are."""
    found: list[Bucket] = []
    for level, first_bucket, last_bucket in cover(LEVELS, 0, last):
        where = (run, metric, attempt, first_bucket, last_bucket)
        if level == 0:
            for step, value, t in connection.execute(
                "SELECT step, value, t FROM points "
                "WHERE run = ? AND metric = ? AND attempt = ? AND step BETWEEN ? AND ? ORDER BY step",
                where,
            ):
                if value is not None and isfinite(value):
                    found.append((0, step, value, t, value, value, step))
                else:
                    found.append((0, step, nan if value is None else value, t, inf, -inf, None))
        else:
            found += connection.execute(
                "SELECT 0, step, value, t, low, high, low_step FROM rollups WHERE run = ? AND metric = ? "
                f"AND level = {level:d} AND attempt = ? AND bucket BETWEEN ? AND ? ORDER BY bucket",
                where,
            ).fetchall()
    return found
