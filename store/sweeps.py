"""Sweeps: what was started, and how it stands. Their trials are runs."""

import json
import sqlite3
from collections.abc import Collection
from typing import Any

from store.connection import Database
from store.errors import StoreError
from store.records import Sweep, SweepStatus

_NEWEST = "ORDER BY s.created DESC, s.key DESC"


class SweepStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, sweep: Sweep) -> None:
        """Raises `StoreError` where the id is taken."""
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO sweeps (id, name, created, status, reason, ended, spec, dir) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        sweep.id,
                        sweep.name,
                        sweep.created,
                        sweep.status,
                        sweep.reason,
                        sweep.ended,
                        json.dumps(sweep.spec),
                        sweep.dir,
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is a sweep {sweep.id} already.") from error

    def set_status(self, sweep_id: str, status: SweepStatus, reason: str = "", ended: float | None = None) -> None:
        """How it stands now. Raises `StoreError` where there is no such sweep."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE sweeps SET status = ?, reason = ?, ended = ? WHERE id = ?", (status, reason, ended, sweep_id)
            )
            if not changed.rowcount:
                raise StoreError(f"The store knows no sweep {sweep_id}.")

    def delete(self, sweep_id: str) -> None:
        """Forget the sweep. Its runs stay, and are runs like any other."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE runs SET sweep = '' WHERE sweep = ?", (sweep_id,))
            connection.execute("DELETE FROM sweeps WHERE id = ?", (sweep_id,))

    # reading

    def get(self, sweep_id: str) -> Sweep | None:
        return next(iter(self._select("WHERE s.id = ?", [sweep_id])), None)

    def find(self, text: str) -> list[Sweep]:
        """The sweep of that id; else those of that name; else those whose id begins so. Newest first."""
        if not text:
            return []
        for where, parameters in (
            ("s.id = ?", [text]),
            ("s.name = ?", [text]),
            ("s.id >= ? AND s.id < ? || char(0x10FFFF)", [text, text]),
        ):
            found = self._select(f"WHERE {where} {_NEWEST}", parameters)
            if found:
                return found
        return []

    def run_ids(self, sweep_id: str) -> list[str]:
        """The runs of the sweep, oldest first."""
        rows = self._database.all(
            "SELECT id FROM runs WHERE sweep = ? AND sweep <> '' ORDER BY created, key", (sweep_id,)
        )
        return [run_id for (run_id,) in rows]

    def _select(self, clauses: str, parameters: Collection[Any]) -> list[Sweep]:
        return [
            Sweep(sweep_id, name, created, SweepStatus(status), reason, ended, json.loads(spec), folder)
            for sweep_id, name, created, status, reason, ended, spec, folder in self._database.all(
                f"SELECT s.id, s.name, s.created, s.status, s.reason, s.ended, s.spec, s.dir FROM sweeps s {clauses}",
                tuple(parameters),
            )
        ]

    # last, because its name hides the type's

    def list(self, limit: int = 200) -> list[Sweep]:
        """Newest first."""
        return self._select(f"{_NEWEST} LIMIT ?", [limit])
