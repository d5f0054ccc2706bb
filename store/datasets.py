"""Datasets: the versions that there are. Their rows are files."""

import json
import re
import sqlite3
from collections.abc import Collection
from typing import Any

from store import query as filters
from store.connection import Database
from store.errors import StoreError
from store.other_languages import DATASETS
from store.records import Dataset

_SELECT = (
    "SELECT d.id, d.name, d.version, d.shape, d.rows, d.splits, d.tokens, d.parent, d.source, d.created, d.dir, "
    "d.warnings, d.grade FROM datasets d"
)
_NEWEST = "ORDER BY d.created DESC, d.version DESC, d.key DESC"

_VERSIONED = re.compile(r"(?P<name>.+?)(?:@|\s+)v?(?P<version>\d{1,9})", re.IGNORECASE)
"""`emoji-chat@3`, `emoji-chat@v3`, `emoji-chat v3`."""


class DatasetStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, dataset: Dataset) -> None:
        """Raises `StoreError` where the id, or the version of that name, is taken."""
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO datasets (id, name, version, shape, rows, splits, tokens, parent, source, created, "
                    "dir, warnings, grade, search) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        dataset.id,
                        dataset.name,
                        dataset.version,
                        dataset.shape,
                        dataset.rows,
                        json.dumps(dataset.splits),
                        dataset.tokens,
                        dataset.parent,
                        dataset.source,
                        dataset.created,
                        dataset.dir,
                        json.dumps(dataset.warnings),
                        dataset.grade,
                        filters.searchable(dataset.name, dataset.id, dataset.source),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(
                    f"There is a dataset {dataset.id}, or a version {dataset.version} of {dataset.name}, already."
                ) from error

    def delete(self, dataset_id: str) -> None:
        """Forget the version. Its folder is not touched."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM datasets WHERE id = ?", (dataset_id,))

    def learnt(self, dataset_id: str, *, grade: str | None = None, tokens: int | None = None) -> None:
        """Keep what was found out about a version; `None` leaves what is known."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE datasets SET grade = ifnull(?, grade), tokens = ifnull(?, tokens) WHERE id = ?",
                (grade, tokens, dataset_id),
            )

    # reading

    def get(self, dataset_id: str) -> Dataset | None:
        return next(iter(self._select("WHERE d.id = ?", [dataset_id])), None)

    def find(self, text: str) -> list[Dataset]:
        """By id; else by name, all versions, newest first; else `name@3` or `name v3`; else by how the id begins."""
        if not text:
            return []
        ways: list[tuple[str, list[Any]]] = [("d.id = ?", [text]), ("d.name = ?", [text])]
        if versioned := _VERSIONED.fullmatch(text.strip()):
            ways.append(("d.name = ? AND d.version = ?", [versioned["name"], int(versioned["version"])]))
        ways.append(("d.id >= ? AND d.id < ? || char(0x10FFFF)", [text, text]))
        for where, parameters in ways:
            found = self._select(f"WHERE {where} {_NEWEST}", parameters)
            if found:
                return found
        return []

    def runs_using(self, dataset_id: str) -> list[str]:
        """Ids of the runs that were launched on it, newest first."""
        rows = self._database.all(
            "SELECT id FROM runs WHERE dataset_id = ? ORDER BY created DESC, key DESC", (dataset_id,)
        )
        return [run_id for (run_id,) in rows]

    def children(self, dataset_id: str) -> "list[Dataset]":
        """Versions that were made from it, newest first."""
        return self._select(f"WHERE d.parent = ? {_NEWEST}", [dataset_id])

    def next_version(self, name: str) -> int:
        row = self._database.one("SELECT ifnull(max(version), 0) + 1 FROM datasets WHERE name = ?", (name,))
        return int(row[0]) if row else 1

    def _select(self, clauses: str, parameters: Collection[Any]) -> list[Dataset]:
        return [
            Dataset(
                dataset_id,
                name,
                version,
                shape,
                rows,
                json.loads(splits),
                tokens,
                parent,
                source,
                created,
                folder,
                tuple(json.loads(warnings)),
                grade,
            )
            for (
                dataset_id,
                name,
                version,
                shape,
                rows,
                splits,
                tokens,
                parent,
                source,
                created,
                folder,
                warnings,
                grade,
            ) in self._database.all(f"{_SELECT} {clauses}", tuple(parameters))
        ]

    # last, because its name hides the type's

    def list(self, query: str = "") -> list[Dataset]:
        """Versions that match the filter, newest first. Raises `QueryError`."""
        where, parameters = filters.compile(query, DATASETS)
        return self._select(f"WHERE {where} {_NEWEST}", parameters)
