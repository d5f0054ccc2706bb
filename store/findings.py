"""What was found out about runs from their own figures, and what people said does not matter."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from store.connection import Database
from store.records import FindingRow

_RUN = "(SELECT key FROM runs WHERE id = ?)"
_OF = f"SELECT code, level, step, found, dismissed, body FROM findings WHERE run = {_RUN}"


class FindingStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def replace(self, run_id: str, findings: Sequence[FindingRow]) -> list[str]:
        """Keep these and no others; the codes of those that are new.

        One that was there keeps when it was found, and whether it was dismissed. Writes nothing where nothing changed.
        """
        if _same(self.of(run_id), findings):
            return []
        with self._database.transaction() as connection:
            before = {row.code: row for row in _rows(run_id, connection.execute(_OF, (run_id,)))}
            connection.execute(f"DELETE FROM findings WHERE run = {_RUN}", (run_id,))
            connection.executemany(
                "INSERT INTO findings SELECT key, ?, ?, ?, ?, ?, ? FROM runs WHERE id = ?",
                [
                    (
                        row.code,
                        row.level,
                        row.step,
                        before[row.code].found if row.code in before else row.found,
                        before[row.code].dismissed if row.code in before else row.dismissed,
                        json.dumps(row.body),
                        run_id,
                    )
                    for row in findings
                ],
            )
        return [row.code for row in findings if row.code not in before]

    def dismiss(self, run_id: str, code: str, *, dismissed: bool = True) -> None:
        """Say that a finding does not matter, or that it does after all."""
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE findings SET dismissed = ? WHERE run = {_RUN} AND code = ?",
                (time.time() if dismissed else None, run_id, code),
            )

    # reading

    def of(self, run_id: str) -> list[FindingRow]:
        """All of a run, the worst first, then the latest."""
        return sorted(_rows(run_id, self._database.all(_OF, (run_id,))), key=_place)


def _rows(run_id: str, found: Iterable[Any]) -> list[FindingRow]:
    return [
        FindingRow(run_id, code, level, step, when, dismissed, json.loads(body))
        for code, level, step, when, dismissed, body in found
    ]


def _same(before: Sequence[FindingRow], findings: Sequence[FindingRow]) -> bool:
    """Whether they say the same; `before` is in the order of `_place`."""
    return [(row.code, row.level, row.step, row.body) for row in before] == [
        (row.code, row.level, row.step, row.body) for row in sorted(findings, key=_place)
    ]


def _place(row: FindingRow) -> tuple[int, int, str]:
    return (("error", "warning", "info").index(row.level), -row.step, row.code)
