"""One process at a time writes to a store: a lock on a file beside it, held around each transaction.

SQLite keeps writers apart by itself. But up to 3.51.2 it has a fault: when one process resets the write-ahead log in
the very moment in which another one writes its pages back, the store can be damaged. Writing pages back happens at the
end of a transaction, so whoever holds this lock does both alone.

Source: https://www.sqlite.org/wal.html#walresetbug
"""

import errno
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

_log = logging.getLogger(__name__)

_DELAYS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""How long is waited between two looks; most transactions take a millisecond."""


def has_wal_reset_fault(version: Sequence[int] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite can damage a store that several processes write."""
    found = tuple(version)
    return not (found >= (3, 51, 3) or (3, 50, 7) <= found < (3, 51) or (3, 44, 6) <= found < (3, 45))


def turn_file(store: Path) -> Path:
    """The file that is locked; it is empty and stays."""
    return store.with_name(f"{store.name}-writer")


class WriterTurn:
    """The lock of one process, for one of its threads at a time. The caller keeps the threads apart.

    Where the file system has no such locks, every turn is free: SQLite's own locks are all there is then, and
    `missing` says why.
    """

    def __init__(self, store: Path) -> None:
        self.path = turn_file(store)
        self.missing = ""
        """Why there is no lock, in the system's words; empty while it works, and before it was first needed."""
        self._file: int | None = None

    def take(self, patience_s: float) -> bool:
        """Wait for the turn; `False` where another process has had it all the time."""
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            if self._wait(self._file, patience_s):
                self.missing = ""
                return True
            return False
        except OSError as error:
            if not self.missing:
                _log.warning("writers of %s take no turns: %s", self.path, error)
            self.missing = error.strerror or str(error)
            return True

    def give_back(self) -> None:
        """End the turn. Said to the system, not only by closing: a process that was forked has the file open too."""
        if self._file is not None and not self.missing:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file. It is opened again for the next turn."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _wait(self, file: int, patience_s: float) -> bool:
        give_up = 0.0
        looks = 0
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                    raise
            else:
                return True
            now = time.monotonic()
            give_up = give_up or now + patience_s
            if now >= give_up:
                return False
            time.sleep(_DELAYS_S[min(looks, len(_DELAYS_S) - 1)])
            looks += 1
