"""What was found out about runs from their own figures, and what people said does not matter."""

import json
import time
from collections.abc import Sequence

from store.connection import Database
from store.records import FindingRow

_RUN = "(SELECT key FROM runs WHERE id = ?)"


class FindingStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def replace(self, run_id: str, findings: Sequence[FindingRow]) -> list[str]:
        """Keep these and no others; the codes of those that are new.

        One that was there keeps when it was found, and whether it was dismissed. Writes nothing where nothing changed.
        """
        before = {row.code: row for row in self.of(run_id)}
        if [(row.code, row.level, row.step, row.body) for row in before.values()] == [
            (row.code, row.level, row.step, row.body) for row in sorted(findings, key=_place)
        ]:
            return []
        with self._database.transaction() as connection:
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
        rows = [
            FindingRow(run_id, code, level, step, found, dismissed, json.loads(body))
            for code, level, step, found, dismissed, body in self._database.all(
                f"SELECT code, level, step, found, dismissed, body FROM findings WHERE run = {_RUN}", (run_id,)
            )
        ]
        return sorted(rows, key=_place)


def _place(row: FindingRow) -> tuple[int, int, str]:
    return (("error", "warning", "info").index(row.level), -row.step, row.code)
