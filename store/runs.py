"""Runs: what was launched, what their logs and processes have come to, and what people say about them."""

import builtins
import json
import sqlite3
from collections.abc import Collection
from typing import Any

from store import ingest
from store import query as filters
from store.completion import Completion, complete, hint
from store.connection import Database
from store.errors import StoreError
from store.evaluation_records import Measured
from store.evaluations import EvaluationStore
from store.known import KnownRuns
from store.language import Term
from store.metrics import MetricStore
from store.points import forget_points
from store.records import TERMINAL, Attempt, EventRow, IngestBatch, Latest, NewRun, Run, Status
from store.run_language import RUNS
from store.run_sorts import sort_key
from store.votes import VoteStore, WinRate

_SELECT = (
    "SELECT r.key, r.id, r.name, r.status, r.reason, r.model, r.method, r.dataset, r.dataset_id, r.created, "
    "r.started, r.ended, r.attempt, r.step, r.total_steps, r.eta_s, r.tokens_per_s, r.peak_vram_bytes, r.cost, "
    "r.phase, r.phase_progress, r.heartbeat, r.best_step, "
    "(SELECT json_group_array(tag) FROM (SELECT t.tag FROM tags t WHERE t.run = r.key ORDER BY t.tag)), "
    "r.notes, (SELECT c.body FROM recipes c WHERE c.run = r.key), r.dir, r.alerts, r.damaged + r.unknown, r.failure, "
    "r.parent, r.sweep, r.stalled, r.energy_j, r.power_w, r.eta_error_s, r.source, r.busy_s, "
    "(SELECT f.code FROM findings f WHERE f.run = r.key AND f.dismissed IS NULL "
    "ORDER BY instr('error warning info', f.level), f.step DESC LIMIT 1) "
    "FROM runs r"
)

_NEWEST = "ORDER BY r.created DESC, r.key DESC"


class RunStore:
    def __init__(
        self, database: Database, metrics: MetricStore, votes: VoteStore, evaluations: EvaluationStore
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._votes = votes
        self._evaluations = evaluations
        self._known = KnownRuns(database)

    # writing: what people do

    def add(self, new: NewRun) -> None:
        """A queued run. Raises `StoreError` where the id is taken."""
        with self._database.transaction() as connection:
            try:
                (key,) = connection.execute(
                    "INSERT INTO runs (id, name, model, method, dataset, dataset_id, created, dir, parent, "
                    "sweep, source, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key",
                    (
                        new.id,
                        new.name,
                        new.model,
                        new.method,
                        new.dataset,
                        new.dataset_id,
                        new.created,
                        new.dir,
                        new.parent,
                        new.sweep,
                        new.source,
                        Status.QUEUED,
                    ),
                ).fetchone()
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is a run {new.id} already.") from error
            connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", [(key, tag) for tag in new.tags])
            _write_recipe(connection, key, json.dumps(new.recipe))
            _refresh_search(connection, new.id)

    def rename(self, run_id: str, name: str) -> None:
        self._set(run_id, "name", name)

    def set_note(self, run_id: str, text: str) -> None:
        self._set(run_id, "notes", text)

    def add_tag(self, run_id: str, tag: str) -> None:
        self._write(run_id, "INSERT OR IGNORE INTO tags VALUES ((SELECT key FROM runs WHERE id = ?), ?)", run_id, tag)

    def remove_tag(self, run_id: str, tag: str) -> None:
        self._write(run_id, "DELETE FROM tags WHERE run = (SELECT key FROM runs WHERE id = ?) AND tag = ?", run_id, tag)

    def delete(self, run_id: str) -> None:
        """Forget the run and all that belongs to it in the store. Its folder is not touched."""
        with self._database.transaction() as connection:
            key = _key(connection, run_id)
            forget_points(connection, key)
            connection.execute("DELETE FROM settings WHERE run = ? AND name IN (SELECT key FROM setting_names)", (key,))
            connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    # writing: what logs and processes say

    def ingest(self, batch: IngestBatch) -> bool:
        """Store a stretch of the event log, all or nothing.

        `False`, and nothing changed, where the batch does not begin at the byte that the store has come to: it has
        been taken in before, or another process was faster.
        """
        return ingest.apply(self._database, batch)

    def finish(self, run_id: str, status: Status, reason: str, ended: float, failure: str = "") -> None:
        """The end as the exit record or a vanished process tells it, for the run and its attempt.

        `failure` is a code of `engine.insight.failures`.
        """
        with self._database.transaction() as connection:
            key = _key(connection, run_id)
            connection.execute(
                "UPDATE runs SET status = ?, reason = ?, ended = max(ifnull(started, ?), ?), failure = ?, "
                "eta_s = NULL, eta_error_s = NULL, power_w = NULL, phase = '', phase_progress = NULL, "
                "stalled = NULL WHERE key = ?",
                (status, reason, ended, ended, failure, key),
            )
            (number,) = connection.execute("SELECT attempt FROM runs WHERE key = ?", (key,)).fetchone()
            ingest.write_attempts(connection, key, [Attempt(run_id, number, ended, ended, status, reason, None)])

    def set_stalled(self, run_id: str, since: float | None) -> None:
        """Since when nothing is heard of a live run, unix seconds; `None` where all is well. Its next event clears it.

        A run that has ended meanwhile stays as it is.
        """
        live = [status for status in Status if status not in TERMINAL]
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE runs SET stalled = ? WHERE id = ? AND status IN ({', '.join('?' * len(live))})",
                (since, run_id, *live),
            )

    def set_waiting(self, run_id: str, phase: str) -> None:
        """A live run waits for what only its cluster can give; its next event says otherwise."""
        live = [status for status in Status if status not in TERMINAL]
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE runs SET status = ?, phase = ?, phase_progress = NULL, eta_s = NULL "
                f"WHERE id = ? AND status IN ({', '.join('?' * len(live))}) AND (status != ? OR phase != ?)",
                (Status.QUEUED, phase, run_id, *live, Status.QUEUED, phase),
            )

    def reset(self, run_id: str) -> None:
        """Forget everything that was ingested; the name, the note and the tags stay."""
        with self._database.transaction() as connection:
            key = _key(connection, run_id)
            forget_points(connection, key)
            for table in ("events", "attempts", "problems", "findings"):
                connection.execute(f"DELETE FROM {table} WHERE run = ?", (key,))
            connection.execute(
                "UPDATE runs SET status = ?, reason = '', failure = '', started = NULL, ended = NULL, attempt = 1, "
                "step = 0, total_steps = NULL, eta_s = NULL, tokens_per_s = NULL, peak_vram_bytes = NULL, cost = NULL, "
                "phase = '', phase_progress = NULL, heartbeat = NULL, stalled = NULL, best_step = NULL, "
                "energy_j = NULL, power_w = NULL, eta_error_s = NULL, busy_s = NULL, offset = 0, "
                "last_seq = -1, unknown = 0, damaged = 0, alerts = 0 WHERE key = ?",
                (Status.QUEUED, key),
            )

    # reading

    def get(self, run_id: str) -> Run | None:
        return next(iter(self._select("WHERE r.id = ?", [run_id])), None)

    def find(self, text: str) -> list[Run]:
        """The run of that id; else those of that name; else those whose id begins so. Newest first."""
        if not text:
            return []
        for where, parameters in (
            ("r.id = ?", [text]),
            ("r.name = ?", [text]),
            ("r.id >= ? AND r.id < ? || char(0x10FFFF)", [text, text]),
        ):
            found = self._select(f"WHERE {where} {_NEWEST}", parameters)
            if found:
                return found
        return []

    def count(self, query: str | Term = "") -> int:
        where, parameters = self._where(query)
        row = self._database.one(f"SELECT count(*) FROM runs r WHERE {where}", parameters)
        return int(row[0]) if row else 0

    def order(self, query: str | Term = "", *, sort: str = "created", descending: bool = True) -> list[str]:
        """The ids of all runs that match, in order: what a list of ten thousand needs before it shows fifty of them.

        Unknown values come last. Raises `QueryError` for a filter or a sort key that is not understood.
        """
        return self._sorted("r.id", query, sort, descending)

    def complete(self, text: str, cursor: int | None = None, *, limit: int = 50) -> list[Completion]:
        """What can be typed at `cursor` (the end, without one) of the filter `text`, the likeliest first.

        Keys, operators, and the values that runs have: their statuses, tags, models, settings, metrics. Never raises
        for what is typed. `store.completion.completed` takes one of them.
        """
        return complete(text, len(text) if cursor is None else cursor, self._known)[:limit]

    def hint(self, query: str) -> str:
        """Why a filter may well match nothing: a metric, a setting or a tag that no run has, and what may be meant.

        One sentence or two, empty where there is nothing to say or the filter is not understood.
        """
        return hint(query, self._known)

    def some(self, run_ids: Collection[str]) -> list[Run]:
        """These runs, in the order of the ids; ids without a run are left out."""
        found = self._select("WHERE r.id IN (SELECT value FROM json_each(?))", [json.dumps([*run_ids])])
        by_id = {run.id: run for run in found}
        return [by_id[run_id] for run_id in run_ids if run_id in by_id]

    def live(self) -> list[Run]:
        """Runs at which a process may be at work, newest first."""
        statuses = [status for status in Status if status not in TERMINAL]
        return self._select(f"WHERE r.status IN ({', '.join('?' * len(statuses))}) {_NEWEST}", statuses)

    def descendants(self, run_id: str) -> list[Run]:
        """The runs that went on from this one's adapter, those that went on from them, and so on; oldest first."""
        return self._select(
            "WHERE r.id IN (WITH RECURSIVE family (id) AS (SELECT c.id FROM runs c WHERE c.parent = ?1 "
            "UNION SELECT c.id FROM runs c JOIN family f ON c.parent = f.id) SELECT id FROM family WHERE id <> ?1) "
            "ORDER BY r.created, r.key",
            [run_id],
        )

    def setting_names(self) -> list[str]:
        """Every field that a run's recipe ever had, by name."""
        return [name for (name,) in self._database.all("SELECT name FROM setting_names ORDER BY name")]

    def attempts(self, run_id: str) -> list[Attempt]:
        return [
            Attempt(run_id, number, started, ended, Status(status), reason, from_step)
            for number, started, ended, status, reason, from_step in self._database.all(
                "SELECT number, started, ended, status, reason, from_step FROM attempts "
                "WHERE run = (SELECT key FROM runs WHERE id = ?) ORDER BY number",
                (run_id,),
            )
        ]

    def events(self, run_id: str, kinds: Collection[str], limit: int = 200) -> list[EventRow]:
        """The last `limit` events of these kinds, newest last."""
        rows = self._database.all(
            "SELECT seq, t, attempt, kind, body FROM events WHERE run = (SELECT key FROM runs WHERE id = ?) "
            f"AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY seq DESC LIMIT ?",
            (run_id, *kinds, limit),
        )
        return [EventRow(run_id, seq, t, attempt, kind, json.loads(body)) for seq, t, attempt, kind, body in rows[::-1]]

    def problems(self, run_id: str) -> list[tuple[int, str]]:
        """Damaged lines of the event log: byte offset and what is wrong."""
        return [
            (offset, message)
            for offset, message in self._database.all(
                "SELECT offset, message FROM problems WHERE run = (SELECT key FROM runs WHERE id = ?) ORDER BY offset",
                (run_id,),
            )
        ]

    def ingest_offset(self, run_id: str) -> int:
        """How many bytes of the event log have been taken in."""
        row = self._database.one("SELECT offset FROM runs WHERE id = ?", (run_id,))
        return int(row[0]) if row else 0

    def last_seq(self, run_id: str) -> int:
        """The highest `seq` taken in, -1 before the first."""
        row = self._database.one("SELECT last_seq FROM runs WHERE id = ?", (run_id,))
        return int(row[0]) if row else -1

    # inner workings

    def _sorted(
        self, column: str, query: str | Term, sort: str, descending: bool, limit: int = -1, offset: int = 0
    ) -> builtins.list[Any]:
        """One column of the runs that match, in order. What a list shows of them is read after that, for a page."""
        where, parameters = self._where(query)
        key, key_parameters = sort_key(sort, self._known.names)
        direction = "DESC" if descending else "ASC"
        rows = self._database.all(
            f"SELECT {column} FROM runs r WHERE {where} ORDER BY {key} {direction} NULLS LAST, r.key {direction} "
            "LIMIT ? OFFSET ?",
            [*parameters, *key_parameters, limit, offset],
        )
        return [value for (value,) in rows]

    def _where(self, query: str | Term) -> filters.Clause:
        return filters.compile(query, RUNS, names=self._known.names)

    def _set(self, run_id: str, column: str, value: str) -> None:
        self._write(run_id, f"UPDATE runs SET {column} = ? WHERE id = ?", value, run_id)

    def _write(self, run_id: str, sql: str, *parameters: str) -> None:
        with self._database.transaction() as connection:
            _key(connection, run_id)
            connection.execute(sql, parameters)
            _refresh_search(connection, run_id)

    def _select(self, clauses: str, parameters: Collection[Any]) -> list[Run]:
        rows = self._database.all(f"{_SELECT} {clauses}", tuple(parameters))
        metrics = self._metrics.latest_of([row[0] for row in rows]) if rows else {}
        won = self._votes.win_rates([row[1] for row in rows]) if rows else {}
        measured = self._evaluations.latest([row[1] for row in rows]) if rows else {}
        return [_run(row, metrics.get(row[0], {}), won.get(row[1]), measured.get(row[1], {})) for row in rows]

    # last, because its name hides the type's

    def list(
        self,
        query: str | Term = "",
        *,
        sort: str = "created",
        descending: bool = True,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Run]:
        """Runs that match the filter, in a few queries and without reading a point. Unknown values sort last.

        Raises `QueryError` for a filter or a sort key that is not understood.
        """
        return self.some(self._sorted("r.id", query, sort, descending, -1 if limit is None else limit, offset))


def _run(row: tuple[Any, ...], metrics: dict[str, Latest], won: WinRate | None, measured: dict[str, Measured]) -> Run:
    status, tags, notes, recipe, folder, *rest = row[3], *row[23:]
    about: list[Any] = [*row[1:3], Status(status), *row[4:23], tuple(json.loads(tags)), notes, json.loads(recipe)]
    about += [folder, metrics, *rest[:-1], rest[-1] or "", *((won.share, won.votes) if won else (None, 0))]
    about.append({name: one.value for name, one in measured.items()})
    return Run(*about)


def _write_recipe(connection: sqlite3.Connection, run: int, recipe: str) -> None:
    """The whole of it, and its fields one by one for filters."""
    connection.execute("INSERT INTO recipes VALUES (?, ?)", (run, recipe))
    connection.execute(
        "INSERT OR IGNORE INTO setting_names (name) SELECT value FROM json_each(?)",
        (json.dumps([*json.loads(recipe)]),),
    )
    connection.execute(
        "INSERT INTO settings SELECT n.key, ?, j.value FROM json_each(?) j JOIN setting_names n ON n.name = j.key",
        (run, recipe),
    )


def _key(connection: sqlite3.Connection, run_id: str) -> int:
    row = connection.execute("SELECT key FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise StoreError(f"The store knows no run {run_id}.")
    return int(row[0])


def _refresh_search(connection: sqlite3.Connection, run_id: str) -> None:
    """Casefolded here, not by SQLite, which knows the cases of ASCII alone."""
    *texts, key = connection.execute(
        "SELECT name, id, notes, dataset, model, key FROM runs WHERE id = ?", (run_id,)
    ).fetchone()
    tags = [tag for (tag,) in connection.execute("SELECT tag FROM tags WHERE run = ? ORDER BY tag", (key,))]
    connection.execute("UPDATE runs SET search = ? WHERE key = ?", (filters.searchable(*texts, *tags), key))
