"""Filters with their order that people keep under names."""

import time

from store.connection import Database
from store.errors import StoreError
from store.records import View


class ViewStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def save(self, view: View) -> None:
        """Keep a view; one of the same kind and name is replaced. Raises `StoreError` without a name."""
        if not view.name.strip():
            raise StoreError("A view needs a name.")
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO views (kind, name, query, sort, descending, created) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (kind, name) DO UPDATE SET query = excluded.query, sort = excluded.sort, "
                "descending = excluded.descending",
                (view.kind, view.name.strip(), view.query, view.sort, int(view.descending), time.time()),
            )

    def delete(self, kind: str, name: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM views WHERE kind = ? AND name = ?", (kind, name))

    # reading

    def all(self, kind: str) -> list[View]:
        """The views of a kind, in the order in which they were made."""
        return [
            View(kind, name, query, sort, bool(descending))
            for name, query, sort, descending in self._database.all(
                "SELECT name, query, sort, descending FROM views WHERE kind = ? ORDER BY key", (kind,)
            )
        ]
