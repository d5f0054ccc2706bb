"""Connections to the store's file: one a thread, set up in one place, errors in words."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from store.errors import StoreError, busy, explain, unwritable
from store.turns import WriterTurn

BUSY_TIMEOUT_S = 10.0

Parameters = Sequence[Any]


class Database:
    """A SQLite file shared by the threads of this process.

    Each thread has its own connection. Writers of one process take turns on a lock, so that they neither poll each
    other's database lock nor checkpoint the write-ahead log at the same time; processes do so on a file beside the
    store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._writing = threading.RLock()
        self._turn = WriterTurn(path)
        self._turns = 0
        """How many of `alone` the writing thread is in."""
        self._watching = threading.Lock()
        self._watcher: sqlite3.Connection | None = None
        self._closed = False

    # writing

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write as one: all of it or nothing. Joins the transaction that the thread is in already."""
        with self.explained():
            connection = self.connection()
            if connection.in_transaction:
                yield connection
                return
            with self.alone():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")

    @contextmanager
    def alone(self, patience_s: float | None = None) -> Iterator[None]:
        """Keep all other threads and processes from writing. May be nested.

        Raises `StoreError` when another process has been writing for `patience_s`, else for `BUSY_TIMEOUT_S`.
        """
        with self._writing:
            if not self._turns and not self._turn.take(BUSY_TIMEOUT_S if patience_s is None else patience_s):
                raise busy(self.path)
            self._turns += 1
            try:
                yield
            finally:
                self._turns -= 1
                if not self._turns:
                    self._turn.give_back()
                    if self._closed:
                        self._turn.close()

    @property
    def turns_missing(self) -> str:
        """Why processes that write cannot be kept apart here, in the system's words; empty where they are."""
        return self._turn.missing

    # reading

    def all(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        with self.explained():
            return self.connection().execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Parameters = ()) -> tuple[Any, ...] | None:
        with self.explained():
            row: tuple[Any, ...] | None = self.connection().execute(sql, parameters).fetchone()
            return row

    def data_version(self) -> int:
        """A number that changes with every commit of any connection, in this process or another."""
        with self._watching, self.explained():
            if self._closed:
                raise StoreError(f"The store {self.path} is closed.")
            if self._watcher is None:
                self._watcher = self._open()
            return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])

    # connections

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, opened when first asked for."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if self._closed:
            if connection is not None:
                connection.close()
                del self._local.connection
            raise StoreError(f"The store {self.path} is closed.")
        if connection is None:
            connection = self._local.connection = self._open()
        return connection

    def another(self) -> sqlite3.Connection:
        """A further connection, for the caller to close."""
        if self._closed:
            raise StoreError(f"The store {self.path} is closed.")
        return self._open()

    def close(self) -> None:
        """End the calling thread's connection; each other thread's ends with its thread or at its next call."""
        if self._closed:
            return
        self._closed = True
        # The last connection writes the log's pages back, so it is to be alone. Where it cannot be, somebody else is at
        # work, who has a connection: this one is not the last. A thread of ours that still writes closes the lock.
        mine = self._writing.acquire(blocking=False)
        turn = mine and not self._turns and self._turn.path.exists() and self._turn.take(0.0)
        try:
            with self._watching:
                if self._watcher is not None:
                    self._watcher.close()
                    self._watcher = None
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is not None:
                connection.close()
                del self._local.connection
        finally:
            if turn:
                self._turn.give_back()
            if mine:
                if not self._turns:
                    self._turn.close()
                self._writing.release()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what the disk, the file or another process does to SQLite into `StoreError`."""
        try:
            yield
        except sqlite3.Error as error:
            explanation = explain(error, self.path)
            if explanation is None:
                raise
            raise explanation from error

    def _open(self) -> sqlite3.Connection:
        with self.explained():
            self._make_file()
            connection = sqlite3.connect(
                self.path,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            try:
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA synchronous = NORMAL")
                # SQLite's own `lower` knows the cases of ASCII alone.
                connection.create_function("casefold", 1, str.casefold, deterministic=True)
            except sqlite3.Error:
                connection.close()
                raise
            return connection

    def _make_file(self) -> None:
        """An empty file that only its owner may read: it will hold conversations.

        A file that is there is not opened: closing it again would drop the locks that SQLite holds on it for the other
        connections of this process, and the next process to leave would delete the write-ahead log under them.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.path.exists():
                with suppress(FileExistsError):
                    os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise unwritable(self.path, f"The system says: {error.strerror or error}.") from error
        if not os.access(self.path, os.W_OK):
            raise unwritable(self.path, "The file is read-only.")
        if not os.access(self.path.parent, os.W_OK):
            raise unwritable(self.path, f"The folder {self.path.parent} is read-only.")
