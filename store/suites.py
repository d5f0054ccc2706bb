"""Times that models were asked a prompt suite, and what they said."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from store.connection import Database
from store.errors import StoreError
from store.talk_records import SuiteAnswer, SuiteRun

_NEWEST = "ORDER BY s.created DESC, s.key DESC"


@dataclass(frozen=True)
class SuiteCount:
    """How far a suite run is: turns that have an answer, and those of them that are an error."""

    answers: int
    errors: int


class SuiteStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, run: SuiteRun) -> None:
        """Raises `StoreError` where the id is taken."""
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO suite_runs (id, suite, name, created, models, sampling, prompts, ended) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        run.id,
                        run.suite,
                        run.name,
                        run.created,
                        json.dumps(run.models),
                        json.dumps(run.sampling),
                        run.prompts,
                        run.ended,
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is a suite run {run.id} already.") from error

    def append(self, answers: Iterable[SuiteAnswer]) -> None:
        """Keep answers, all of them or none; one that was there is replaced.

        Raises `StoreError` where there is no such suite run.
        """
        with self._database.transaction() as connection:
            for answer in answers:
                try:
                    connection.execute(
                        "INSERT OR REPLACE INTO suite_answers "
                        "(suite_run, position, turn, model, text, tokens, first_token_s, tokens_per_s, error) "
                        "VALUES ((SELECT key FROM suite_runs WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            answer.suite_run,
                            answer.position,
                            answer.turn,
                            answer.model,
                            answer.text,
                            answer.tokens,
                            answer.first_token_s,
                            answer.tokens_per_s,
                            answer.error,
                        ),
                    )
                except sqlite3.IntegrityError as error:
                    raise StoreError(
                        "An answer to a prompt suite cannot be kept.", f"There is no suite run {answer.suite_run}."
                    ) from error

    def set_ended(self, suite_run: str, ended: float | None) -> None:
        """When everything had been asked; `None` where it goes on. Raises `StoreError` where there is no such run."""
        with self._database.transaction() as connection:
            changed = connection.execute("UPDATE suite_runs SET ended = ? WHERE id = ?", (ended, suite_run))
            if not changed.rowcount:
                raise StoreError(f"The store knows no suite run {suite_run}.")

    def delete(self, suite_run: str) -> None:
        """Forget a suite run and its answers."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM suite_runs WHERE id = ?", (suite_run,))

    # reading

    def get(self, suite_run: str) -> SuiteRun | None:
        return next(iter(self._select("WHERE s.id = ?", [suite_run])), None)

    def find(self, text: str) -> list[SuiteRun]:
        """The suite run of that id; else those of that name; else those whose id begins so. Newest first."""
        if not text:
            return []
        for where, parameters in (
            ("s.id = ?", [text]),
            ("s.name = ?", [text]),
            ("s.id >= ? AND s.id < ? || char(0x10FFFF)", [text, text]),
        ):
            if found := self._select(f"WHERE {where} {_NEWEST}", parameters):
                return found
        return []

    def answers(self, suite_run: str, position: int | None = None) -> list[SuiteAnswer]:
        """Answers by prompt, turn and model; with `position`, those to one prompt."""
        where, parameters = ("AND position = ?", [position]) if position is not None else ("", [])
        return [
            SuiteAnswer(suite_run, model, at, turn, text, tokens, first_token_s, tokens_per_s, error)
            for at, turn, model, text, tokens, first_token_s, tokens_per_s, error in self._database.all(
                "SELECT position, turn, model, text, tokens, first_token_s, tokens_per_s, error FROM suite_answers "
                f"WHERE suite_run = (SELECT key FROM suite_runs WHERE id = ?) {where} ORDER BY position, turn, model",
                (suite_run, *parameters),
            )
        ]

    def counts(self, suite_runs: Sequence[str]) -> dict[str, SuiteCount]:
        """How far these are, by id; one without answers is there, too."""
        found = dict.fromkeys(suite_runs, SuiteCount(0, 0))
        marks = ", ".join("?" * len(suite_runs))
        rows = self._database.all(
            "SELECT s.id, count(*), total(a.error <> '') FROM suite_runs s JOIN suite_answers a ON a.suite_run = s.key "
            f"WHERE s.id IN ({marks}) GROUP BY s.key",
            tuple(suite_runs),
        )
        return found | {one: SuiteCount(answers, int(errors)) for one, answers, errors in rows}

    def of_suite(self, suite: str) -> list[SuiteRun]:
        """Times that this suite was asked, newest first."""
        return self._select(f"WHERE s.suite = ? {_NEWEST}", [suite])

    def _select(self, clauses: str, parameters: Collection[Any]) -> list[SuiteRun]:
        return [
            SuiteRun(one, suite, name, created, tuple(json.loads(models)), json.loads(sampling), prompts, ended)
            for one, suite, name, created, models, sampling, prompts, ended in self._database.all(
                f"SELECT s.id, s.suite, s.name, s.created, s.models, s.sampling, s.prompts, s.ended "
                f"FROM suite_runs s {clauses}",
                tuple(parameters),
            )
        ]

    # last, because its name hides the type's

    def list(self, limit: int = 200) -> list[SuiteRun]:
        """Newest first."""
        return self._select(f"{_NEWEST} LIMIT ?", [limit])
