"""Adapters that are registered under a name: their versions, and which of them is to be used."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from store.connection import Database
from store.errors import StoreError
from store.evaluation_records import RegistryVersion

_COLUMNS = "g.name, v.version, v.created, v.run, v.base, v.revision, v.dataset, v.description, v.tags, v.info"


@dataclass(frozen=True)
class RegisteredName:
    """A name and where it stands."""

    name: str
    created: float
    promoted: int | None
    """The version to use, where one was chosen."""
    versions: int
    newest: int
    """The number of the newest version; 0 where all were removed."""

    @property
    def current(self) -> int:
        """The version that the name alone means: the promoted one, else the newest; 0 for none."""
        return self.promoted or self.newest


@dataclass(frozen=True)
class Promotion:
    """One time that a version was chosen for its name. `t` is unix seconds."""

    t: float
    version: int
    note: str


class RegistryStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, version: RegistryVersion) -> None:
        """Keep a version; its name is made where there is none. Raises `StoreError` where the version is taken."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO registry (name, created) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                (version.name, version.created),
            )
            try:
                connection.execute(
                    "INSERT INTO registry_versions "
                    "(registry, version, created, run, base, revision, dataset, description, tags, info) "
                    "VALUES ((SELECT key FROM registry WHERE name = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        version.name,
                        version.version,
                        version.created,
                        version.run,
                        version.base,
                        version.revision,
                        version.dataset,
                        version.description,
                        json.dumps(version.tags),
                        json.dumps(version.info),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is a version {version.version} of {version.name} already.") from error

    def set_about(self, version: RegistryVersion) -> None:
        """Other words about a version: `description`, `tags` and `info`. Raises `StoreError` where it is gone."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE registry_versions SET description = ?, tags = ?, info = ? "
                "WHERE registry = (SELECT key FROM registry WHERE name = ?) AND version = ?",
                (
                    version.description,
                    json.dumps(version.tags),
                    json.dumps(version.info),
                    version.name,
                    version.version,
                ),
            )
            if not changed.rowcount:
                raise StoreError(f"The store knows no version {version.version} of {version.name}.")

    def promote(self, name: str, promotion: Promotion) -> None:
        """The version that the name means from now on. Raises `StoreError` where there is no such version."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE registry SET promoted = ? WHERE name = ? AND EXISTS "
                "(SELECT 1 FROM registry_versions WHERE registry = registry.key AND version = ?)",
                (promotion.version, name, promotion.version),
            )
            if not changed.rowcount:
                raise StoreError(f"The store knows no version {promotion.version} of {name}.")
            connection.execute(
                "INSERT INTO registry_promotions (registry, t, version, note) "
                "VALUES ((SELECT key FROM registry WHERE name = ?), ?, ?, ?)",
                (name, promotion.t, promotion.version, promotion.note),
            )

    def delete(self, name: str, version: int | None = None) -> None:
        """Forget a version; without one, the name with all that belongs to it."""
        with self._database.transaction() as connection:
            if version is None:
                connection.execute("DELETE FROM registry WHERE name = ?", (name,))
            else:
                connection.execute(
                    "DELETE FROM registry_versions "
                    "WHERE registry = (SELECT key FROM registry WHERE name = ?) AND version = ?",
                    (name, version),
                )

    def replace(self, name: str, versions: Iterable[RegistryVersion], promotions: Sequence[Promotion]) -> None:
        """What there is of a name, from now on: what the store said of it before is forgotten."""
        with self._database.transaction():
            self.delete(name)
            known = set()
            for version in versions:
                self.add(version)
                known.add(version.version)
            for promotion in promotions:
                if promotion.version in known:
                    self.promote(name, promotion)

    # reading

    def names(self) -> list[RegisteredName]:
        """All names in the order of the alphabet."""
        return self._names()

    def name(self, name: str) -> RegisteredName | None:
        return next(iter(self._names("WHERE g.name = ?", [name])), None)

    def versions(self, name: str) -> list[RegistryVersion]:
        """The versions of a name, the newest first."""
        return self._select("WHERE g.name = ? ORDER BY v.version DESC", [name])

    def get(self, name: str, version: int) -> RegistryVersion | None:
        return next(iter(self._select("WHERE g.name = ? AND v.version = ?", [name, version])), None)

    def of_run(self, run: str) -> list[RegistryVersion]:
        """Where the adapter of a run is registered, the newest first."""
        return self._select("WHERE v.run = ? ORDER BY v.created DESC", [run])

    def promotions(self, name: str) -> list[Promotion]:
        """What the name has meant, in order."""
        return [
            Promotion(t, version, note)
            for t, version, note in self._database.all(
                "SELECT p.t, p.version, p.note FROM registry_promotions p JOIN registry g ON g.key = p.registry "
                "WHERE g.name = ? ORDER BY p.rowid",
                (name,),
            )
        ]

    def _names(self, where: str = "", parameters: Collection[Any] = ()) -> list[RegisteredName]:
        return [
            RegisteredName(name, created, promoted, versions, newest or 0)
            for name, created, promoted, versions, newest in self._database.all(
                "SELECT g.name, g.created, g.promoted, count(v.version), max(v.version) FROM registry g "
                f"LEFT JOIN registry_versions v ON v.registry = g.key {where} GROUP BY g.key ORDER BY g.name",
                tuple(parameters),
            )
        ]

    def _select(self, clauses: str, parameters: Collection[Any]) -> list[RegistryVersion]:
        return [
            RegistryVersion(
                name,
                version,
                created,
                run,
                base,
                revision,
                dataset,
                description,
                tuple(json.loads(tags)),
                json.loads(info),
            )
            for name, version, created, run, base, revision, dataset, description, tags, info in self._database.all(
                f"SELECT {_COLUMNS} FROM registry_versions v JOIN registry g ON g.key = v.registry {clauses}",
                tuple(parameters),
            )
        ]
