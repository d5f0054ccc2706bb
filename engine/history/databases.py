"""SQLite files of other programs: opened so that nothing in them or beside them changes, and read past damage."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engine.history.items import Damage

MAGIC = b"SQLite format 3\0"
_READ_ROWS = 2_000
_WIDEST_GAP = 1 << 16


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, to be read only. Raises `sqlite3.Error` where it is none, or is locked for long."""
    name = quote(str(path))
    connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=5)
    try:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            if path.with_name(f"{path.name}-wal").exists():
                raise
            # Its log cannot be opened beside it, in a folder that can only be read: nobody writes there, then.
            connection.close()
            connection = sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")  # a view of a stranger's runs none of its functions
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        yield connection
    finally:
        connection.close()


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """The names of a table's columns; none where there is no such table."""
    try:
        is_table = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
        if is_table.fetchone() is None:
            return set()
        return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    except sqlite3.DatabaseError:
        return set()


def rows(
    connection: sqlite3.Connection, table: str, wanted: str, where: str, parameters: tuple[Any, ...]
) -> Iterator[tuple[Any, ...] | Damage]:
    """`rowid` and the `wanted` columns of a table's rows, in the order in which they were written.

    Pages that are damaged are gone around: the rows on them are lost, and said to be; those after them are read.
    """
    sql = f"SELECT rowid, {wanted} FROM {table} WHERE {where} AND rowid > ? ORDER BY rowid"
    last, gap, lost_from = 0, 1, -1
    highest: int | None = None
    while True:
        try:
            cursor = connection.execute(sql, (*parameters, last))
            while found := cursor.fetchmany(_READ_ROWS):
                if lost_from >= 0:
                    yield Damage(f"{table}: rows {lost_from + 1} to {found[0][0] - 1} cannot be read")
                    lost_from, gap = -1, 1
                yield from found
                last = found[-1][0]
        except sqlite3.DatabaseError as error:
            if highest is None:
                highest = _highest(connection, table)
            if lost_from < 0:
                lost_from = last
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                yield Damage(f"{table}: {error}")
                return
            last, gap = last + gap, min(2 * gap, _WIDEST_GAP)
            if last >= highest:
                yield Damage(f"{table}: rows from {lost_from + 1} on cannot be read ({error})")
                return
        else:
            if lost_from >= 0:
                yield Damage(f"{table}: rows from {lost_from + 1} on cannot be read")
            return


def _highest(connection: sqlite3.Connection, table: str) -> int:
    for sql in (f"SELECT max(rowid) FROM {table}", "SELECT seq FROM sqlite_sequence WHERE name = ?"):
        try:
            row = connection.execute(sql, (table,) if "?" in sql else ()).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row and isinstance(row[0], int):
            return row[0]
    return 10_000_000
