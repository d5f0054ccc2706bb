"""Evaluations: which models were measured on which rows, and the figures they came to."""

import builtins
import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from store.connection import Database
from store.errors import StoreError
from store.evaluation_records import Evaluation, Measured

_NEWEST = "ORDER BY e.created DESC, e.key DESC"
_FIGURES = (
    "f.place, f.metric, f.value, f.low, f.high, f.rows, f.difference, f.difference_low, f.difference_high, f.p_value"
)
METRICS = (
    "SELECT DISTINCT f.metric FROM (SELECT key FROM evaluations ORDER BY created DESC LIMIT 200) newest "
    "CROSS JOIN evaluation_figures f ON f.evaluation = newest.key ORDER BY f.metric"
)
"""What was measured in the newest evaluations."""


class EvaluationStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, evaluation: Evaluation) -> None:
        """Raises `StoreError` where the id is taken."""
        with self._database.transaction() as connection:
            try:
                (key,) = connection.execute(
                    "INSERT INTO evaluations (id, created, name, kind, data, split, settings, rows, ended, reason) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key",
                    (
                        evaluation.id,
                        evaluation.created,
                        evaluation.name,
                        evaluation.kind,
                        evaluation.data,
                        evaluation.split,
                        json.dumps(evaluation.settings),
                        evaluation.rows,
                        evaluation.ended,
                        evaluation.reason,
                    ),
                ).fetchone()
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is an evaluation {evaluation.id} already.") from error
            connection.executemany(
                "INSERT INTO evaluation_models VALUES (?, ?, ?)",
                [(key, place, model) for place, model in enumerate(evaluation.models)],
            )

    def end(self, evaluation: str, ended: float | None, reason: str = "") -> None:
        """When it ended and why before its rows did; `None` where it goes on. Raises `StoreError` for an unknown id."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE evaluations SET ended = ?, reason = ? WHERE key = ?",
                (ended, reason, _key(connection, evaluation)),
            )

    def set_figures(self, evaluation: str, figures: Iterable[Measured]) -> None:
        """Put these in the place of all figures that the evaluation had. Raises `StoreError` for an unknown id."""
        with self._database.transaction() as connection:
            key = _key(connection, evaluation)
            connection.execute("DELETE FROM evaluation_figures WHERE evaluation = ?", (key,))
            connection.executemany(
                "INSERT INTO evaluation_figures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(key, one.model, one.metric, one.value, one.low, one.high, one.rows),
                        *(one.difference, one.difference_low, one.difference_high, one.p_value),
                    )
                    for one in figures
                ],
            )

    def delete(self, evaluation: str) -> None:
        """Forget an evaluation and its figures. Its folder is not touched."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM evaluations WHERE id = ?", (evaluation,))

    # reading

    def get(self, evaluation: str) -> Evaluation | None:
        return next(iter(self._select("WHERE e.id = ?", [evaluation])), None)

    def find(self, text: str) -> builtins.list[Evaluation]:
        """The evaluation of that id; else those of that name; else those whose id begins so. Newest first."""
        if not text:
            return []
        for where, parameters in (
            ("e.id = ?", [text]),
            ("e.name = ?", [text]),
            ("e.id >= ? AND e.id < ? || char(0x10FFFF)", [text, text]),
        ):
            if found := self._select(f"WHERE {where} {_NEWEST}", parameters):
                return found
        return []

    def figures(self, evaluation: str) -> builtins.list[Measured]:
        """All figures of an evaluation, model by model, each by the metric's name."""
        return [
            Measured(evaluation, *row)
            for row in self._database.all(
                f"SELECT {_FIGURES} FROM evaluation_figures f "
                "WHERE f.evaluation = (SELECT key FROM evaluations WHERE id = ?) ORDER BY f.place, f.metric",
                (evaluation,),
            )
        ]

    def of_model(self, model: str, limit: int = 200) -> builtins.list[Evaluation]:
        """Evaluations in which this model was measured, newest first. `model` is as in `Evaluation.models`."""
        return self._select(
            "WHERE e.key IN (SELECT m.evaluation FROM evaluation_models m WHERE m.model = ?) " + _NEWEST + " LIMIT ?",
            [model, limit],
        )

    def latest(self, models: Collection[str]) -> dict[str, dict[str, Measured]]:
        """By model, then metric: the figure of the newest evaluation that has one. Models without any are left out."""
        found: dict[str, dict[str, Measured]] = {}
        for model, evaluation, *row in self._database.all(
            f"SELECT m.model, e.id, {_FIGURES} FROM evaluation_models m "
            "CROSS JOIN evaluations e ON e.key = m.evaluation "
            "CROSS JOIN evaluation_figures f ON f.evaluation = m.evaluation AND f.place = m.place "
            "WHERE m.model IN (SELECT value FROM json_each(?)) "
            "ORDER BY e.created DESC, e.key DESC, f.place, f.metric",
            (json.dumps([*models]),),
        ):
            found.setdefault(model, {}).setdefault(row[1], Measured(evaluation, *row))
        return found

    def metrics(self) -> builtins.list[str]:
        """Every metric that the newest evaluations measured, by name."""
        return [name for (name,) in self._database.all(METRICS)]

    def _select(self, clauses: str, parameters: Collection[Any]) -> builtins.list[Evaluation]:
        return [
            Evaluation(
                *(one, created, name, kind, data, split),
                models=tuple(json.loads(models)),
                settings=json.loads(settings),
                rows=rows,
                ended=ended,
                reason=reason,
            )
            for one, created, name, kind, data, split, models, settings, rows, ended, reason in self._database.all(
                "SELECT e.id, e.created, e.name, e.kind, e.data, e.split, "
                "(SELECT json_group_array(model) FROM (SELECT m.model FROM evaluation_models m "
                "WHERE m.evaluation = e.key ORDER BY m.place)), "
                f"e.settings, e.rows, e.ended, e.reason FROM evaluations e {clauses}",
                tuple(parameters),
            )
        ]

    # last, because its name hides the type's

    def list(self, limit: int = 200) -> builtins.list[Evaluation]:
        """Newest first."""
        return self._select(f"{_NEWEST} LIMIT ?", [limit])


def _key(connection: sqlite3.Connection, evaluation: str) -> int:
    row = connection.execute("SELECT key FROM evaluations WHERE id = ?", (evaluation,)).fetchone()
    if row is None:
        raise StoreError(f"The store knows no evaluation {evaluation}.")
    return int(row[0])
