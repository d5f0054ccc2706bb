"""The store: one file, opened once by each process that needs it."""

import sqlite3
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from store.chats import ChatStore
from store.connection import Database
from store.datasets import DatasetStore
from store.errors import StoreError
from store.evaluations import EvaluationStore
from store.findings import FindingStore
from store.knowledge import KnowledgeStore
from store.metrics import MetricStore
from store.migrations import copy, prepare
from store.registry import RegistryStore
from store.runs import RunStore
from store.spending import SpendingStore
from store.suites import SuiteStore
from store.sweeps import SweepStore
from store.views import ViewStore
from store.votes import VoteStore


class Store:
    """Everything finetui remembers. Safe to share between threads; made by `open_store`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.metrics = MetricStore(database)
        self.votes = VoteStore(database)
        self.evaluations = EvaluationStore(database)
        self.runs = RunStore(database, self.metrics, self.votes, self.evaluations)
        self.datasets = DatasetStore(database)
        self.chats = ChatStore(database)
        self.sweeps = SweepStore(database)
        self.findings = FindingStore(database)
        self.views = ViewStore(database)
        self.spending = SpendingStore(database)
        self.suites = SuiteStore(database)
        self.knowledge = KnowledgeStore(database)
        self.registry = RegistryStore(database)

    @property
    def path(self) -> Path:
        return self._database.path

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Several writes as one: all of them or none."""
        return self._database.transaction()

    def check(self) -> list[str]:
        """What is wrong with the file, in SQLite's words; nothing when it is sound. Reads all of it."""
        problems = [str(row[0]) for row in self._database.all("PRAGMA integrity_check") if row[0] != "ok"]
        for table, _, parent, _ in self._database.all("PRAGMA foreign_key_check"):
            problems.append(f"a row of {table} belongs to none of {parent}")
        for table in ("points", "rollups", "latest", "settings"):
            strays = self._database.all(f"SELECT DISTINCT run FROM {table} WHERE run NOT IN (SELECT key FROM runs)")
            problems += [f"{table} has rows of run number {run}, which is not there" for (run,) in strays]
        return problems

    def turns_missing(self) -> str:
        """Why processes that write to the store cannot be kept apart, in the system's words; empty where they are."""
        with suppress(StoreError), self._database.alone(0.0):
            pass  # where another process has its turn, there are turns
        return self._database.turns_missing

    def backup(self, target: Path) -> None:
        """A whole copy at `target`, in one file that appears at once; other processes may go on writing meanwhile."""
        if target.is_dir() or (target.exists() and target.samefile(self.path)):
            raise StoreError(
                f"{target} cannot be a backup.", "It is a folder, or the store itself.", "Name a new file."
            )
        try:
            with self._database.explained():
                copy(self._database, target)
        except (OSError, StoreError) as error:
            raise StoreError(
                f"The backup {target} cannot be written.", f"The system says: {error}.", "Choose another place."
            ) from error

    def data_version(self) -> int:
        """A number that changes whenever anybody, this process included, has written."""
        return self._database.data_version()

    def close(self) -> None:
        self._database.close()


def open_store(path: Path) -> Store:
    """The store in the file `path`, made or brought up to date where need be.

    Raises `StoreError` for a file that is no store, a damaged one, one that cannot be written and one of a newer
    finetui.
    """
    database = Database(path)
    try:
        prepare(database)
    except BaseException:
        database.close()
        raise
    return Store(database)
