"""SQLite files of other programs: opened so that nothing in them or beside them changes, and read past damage."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engine.history.items import Damage

MAGIC = b"SQLite format 3\0"
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
    connection: sqlite3.Connection, table: str, wanted: str, column: str = "", key: str = ""
) -> Iterator[tuple[Any, ...] | Damage]:
    """`rowid` and the `wanted` columns of a table's rows, in the order in which they were written.

    Of those alone whose `column` is `key`, where one is named. Pages that are damaged are gone around: the rows on them
    are lost, and said to be; those after them are read.
    """
    where = f"{column} = ?" if column else "1"
    last = 0
    try:
        cursor = connection.execute(
            f"SELECT rowid, {wanted} FROM {table} WHERE {where} ORDER BY rowid", (key,) if column else ()
        )
        for row in cursor:
            yield row
            last = row[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR):
            yield Damage(f"{table}: {error}")
            return
        yield from _around_damage(connection, table, wanted, f"+{where}", (key,) if column else (), last)


def _around_damage(
    connection: sqlite3.Connection, table: str, wanted: str, where: str, parameters: tuple[Any, ...], last: int
) -> Iterator[tuple[Any, ...] | Damage]:
    """The rows after `last`, read in the order of the table itself, whose indexes may be damaged."""
    sql = f"SELECT rowid, {wanted} FROM {table} WHERE {where} AND rowid > ? ORDER BY rowid"
    highest = _highest(connection, table)
    lost_from, gap = 0, 1
    while True:
        try:
            for row in connection.execute(sql, (*parameters, last)):
                if lost_from:
                    yield Damage(f"{table}: rows {lost_from} to {row[0] - 1} cannot be read")
                    lost_from, gap = 0, 1
                yield row
                last = row[0]
        except sqlite3.DatabaseError as error:
            lost_from = lost_from or last + 1
            last, gap = last + gap, min(2 * gap, _WIDEST_GAP)
            if last >= highest:
                yield Damage(f"{table}: rows from {lost_from} on cannot be read ({error})")
                return
        else:
            if lost_from:
                yield Damage(f"{table}: rows from {lost_from} on cannot be read")
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
