"""One batch of a run's event log into the tables, in one transaction."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from store.connection import Database
from store.errors import StoreError
from store.points import hide_superseded, roll_up_all, write_points
from store.records import Attempt, IngestBatch, RunState

_UPDATABLE = frozenset(field.name for field in fields(RunState))


def apply(database: Database, batch: IngestBatch) -> bool:
    """Store the batch; `False`, and nothing changed, where it does not begin at the byte the store stands at."""
    rolled = roll_up_all(batch.points)
    with database.transaction() as connection:
        row = connection.execute("SELECT key, offset FROM runs WHERE id = ?", (batch.run_id,)).fetchone()
        if row is None:
            raise StoreError(f"The store knows no run {batch.run_id}.")
        run, offset = row
        if offset != batch.start:
            return False
        if rolled:
            write_points(connection, run, rolled)
        write_attempts(connection, run, batch.attempts)
        if any(attempt.from_step is not None and attempt.number > 1 for attempt in batch.attempts):
            hide_superseded(connection, run)
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "t = excluded.t, attempt = excluded.attempt, kind = excluded.kind, body = excluded.body",
            ((run, event.seq, event.t, event.attempt, event.kind, _json(event.body)) for event in batch.events),
        )
        connection.executemany(
            "INSERT INTO problems VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET message = excluded.message",
            ((run, at, message) for at, message in batch.problems),
        )
        _update(connection, run, batch)
        return True


def _json(body: dict[str, Any]) -> str:
    """Text that can be stored and shown: logs may hold halves of surrogate pairs."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace").decode()


def write_attempts(connection: sqlite3.Connection, run: int, attempts: Sequence[Attempt]) -> None:
    """An attempt keeps its first beginning, and the checkpoint that it came from once that is known."""
    # `?4` itself, not `excluded.ended`: a batch does not know when an attempt began that it finds half way.
    connection.executemany(
        "INSERT INTO attempts VALUES (?1, ?2, ?3, max(?3, ?4), ?5, ?6, ?7) ON CONFLICT DO UPDATE SET "
        "ended = max(started, ?4), status = excluded.status, reason = excluded.reason, "
        "from_step = ifnull(excluded.from_step, from_step)",
        ((run, one.number, one.started, one.ended, one.status, one.reason, one.from_step) for one in attempts),
    )


def _update(connection: sqlite3.Connection, run: int, batch: IngestBatch) -> None:
    updates = batch.updates
    if not updates.keys() <= _UPDATABLE:
        raise ValueError(f"not part of a run's state: {sorted(updates.keys() - _UPDATABLE)}")
    sets = [f"{name} = ?" for name in updates]
    sets += ["offset = ?", "last_seq = max(last_seq, ?)", "unknown = unknown + ?"]
    if batch.problems:
        sets.append("damaged = (SELECT count(*) FROM problems p WHERE p.run = runs.key)")
    if batch.events:  # also of other kinds: in a damaged log one may have an alert's number, and take its place
        sets.append("alerts = (SELECT count(*) FROM events e WHERE e.run = runs.key AND e.kind = 'alert')")
    connection.execute(
        f"UPDATE runs SET {', '.join(sets)} WHERE key = ?",
        (*updates.values(), batch.offset, batch.last_seq, batch.unknown, run),
    )
