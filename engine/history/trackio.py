"""Trackio's databases: one a project, `PROJECT.db`, with as many runs as were made.

Of 0.43 (schema 2) and of those before it, which knew a run by its name alone.
"""

import heapq
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.history.databases import columns, opened, rows
from engine.history.items import Alert, At, Damage, Facts, FoundRun, Item, Machine, Row
from engine.history.loose_json import loads
from store.records import Status

KNOWN_SCHEMA = 2
NOT_TOLD = "Trackio does not tell how a run ended"


def is_trackio(connection: sqlite3.Connection) -> bool:
    return {"run_name", "step", "metrics", "timestamp"} <= columns(connection, "metrics")


def find_trackio(path: Path, connection: sqlite3.Connection) -> Iterator[FoundRun | Damage]:
    """The runs of a database."""
    key = _key(connection, "metrics")
    found: dict[str, list[Any]] = {}
    for table in ("metrics", "system_metrics"):
        if _key(connection, table) != key:
            continue
        try:
            for run, name, count, last, first in connection.execute(
                f"SELECT {key}, max(run_name), count(*), max(rowid), min(timestamp) FROM {table} GROUP BY {key}"
            ):
                known = found.setdefault(str(run), [name or str(run), 0, "", first])
                known[1] += count
                known[2] += f"{table}:{count}:{last};"
        except sqlite3.DatabaseError as error:
            yield Damage(f"{path.name}: {table} cannot be read as a whole: {error}")
            found |= {run: known for run, known in _runs_seen(connection, table, key).items() if run not in found}
    for run, (name, count, stamp, first) in found.items():
        yield FoundRun(
            source="trackio",
            source_id=f"trackio:{path.stem}/{run}",
            name=str(name),
            path=path,
            files=(path,),
            stamp=stamp,
            size=count,
            key=run,
            created=_time(first),
        )


def _runs_seen(connection: sqlite3.Connection, table: str, key: str) -> dict[str, list[Any]]:
    """The runs of which rows of a damaged table tell."""
    found: dict[str, list[Any]] = {}
    for row in rows(connection, table, f"{key}, run_name, timestamp"):
        if not isinstance(row, Damage):
            known = found.setdefault(str(row[1]), [row[2] or str(row[1]), 0, "", row[3]])
            known[1] += 1
            known[2] = f"damaged:{known[1]}"
    return found


def read_trackio(run: FoundRun, at: At) -> Iterator[Item]:
    """The run's items; figures of the machine in between by their time."""
    try:
        with opened(run.path) as connection:
            yield from _read(run, connection, at)
    except sqlite3.Error as error:
        yield Damage(f"{run.path.name} cannot be read: {error}")


def _read(run: FoundRun, connection: sqlite3.Connection, at: At) -> Iterator[Item]:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > KNOWN_SCHEMA:
        yield Damage(f"{run.path.name} is from a newer Trackio (schema {version}): what is known of it was read")
    config = _config(run, connection)
    created = _time(config.pop("_Created", None))
    group = config.pop("_Group", None)
    yield Facts(
        name=run.name,
        config=config | {"project": run.path.stem} | ({"group": group} if group else {}),
        started=min(filter(None, (created, run.created)), default=None),
        status=Status.SUCCEEDED,
        reason=NOT_TOLD,
    )
    merged = heapq.merge(_metrics(run, connection), _machine(run, connection), _alerts(run, connection), key=_by_t)
    for done, (_, item) in enumerate(merged):
        yield item
        if done % 500 == 0:
            at(min(done, run.size))


def _by_t(timed: tuple[float, Item]) -> float:
    return timed[0]


def _metrics(run: FoundRun, connection: sqlite3.Connection) -> Iterator[tuple[float, Item]]:
    for t, row in _rows(run, connection, "metrics", "timestamp, metrics, step"):
        yield t, row if isinstance(row, Damage) else Row(row[0], row[1], t)


def _machine(run: FoundRun, connection: sqlite3.Connection) -> Iterator[tuple[float, Item]]:
    for t, row in _rows(run, connection, "system_metrics", "timestamp, metrics"):
        yield t, row if isinstance(row, Damage) else Machine(row[0], t)


def _rows(
    run: FoundRun, connection: sqlite3.Connection, table: str, wanted: str
) -> Iterator[tuple[float, tuple[Any, ...] | Damage]]:
    """Times and rows of a table, the metrics decoded; what cannot be decoded is said."""
    key = _key(connection, table)
    if not key:
        return
    t = 0.0
    for row in rows(connection, table, wanted, key, run.key):
        if isinstance(row, Damage):
            yield t, Damage(f"{run.path.name}: {row.message}")
            continue
        t = _time(row[1]) or t
        try:
            values = loads(row[2])
        except (ValueError, TypeError):
            values = None
        if isinstance(values, dict):
            yield t, (values, *row[3:])
        else:
            yield t, Damage(f"{run.path.name}: row {row[0]} of {table} is no JSON object")


def _alerts(run: FoundRun, connection: sqlite3.Connection) -> Iterator[tuple[float, Item]]:
    key = _key(connection, "alerts")
    if key:
        for row in rows(connection, "alerts", "timestamp, level, title, text", key, run.key):
            if not isinstance(row, Damage):
                t = _time(row[1]) or 0.0
                yield t, Alert(str(row[2]), str(row[3]), str(row[4] or ""), t)


def _config(run: FoundRun, connection: sqlite3.Connection) -> dict[str, Any]:
    key = _key(connection, "configs")
    if not key:
        return {}
    try:
        row = connection.execute(f"SELECT config FROM configs WHERE {key} = ?", (run.key,)).fetchone()
        found = loads(row[0]) if row else {}
    except (sqlite3.DatabaseError, ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(connection: sqlite3.Connection, table: str) -> str:
    """The column that tells runs apart; empty where there is no such table."""
    known = columns(connection, table)
    return "run_id" if "run_id" in known else "run_name" if "run_name" in known else ""


def _time(value: Any) -> float | None:
    """Unix seconds of an ISO time."""
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
