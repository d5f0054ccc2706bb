"""The report on a dataset: its grade with reasons, what every check found, and the rows it found it in."""

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from engine.datasets.quality.catalogue import Level

GRADES = "ABCDF"
"""From the best to the worst."""


@dataclass(frozen=True)
class Check:
    """What one check found.

    `count` rows are concerned; `rows` are the first of them (at most 1,000), counted from 1. `points` were taken off
    the grade's 100. `message` is a sentence with numbers, `fix` what to do.
    """

    code: str
    title: str
    level: Level
    count: int
    rows: list[int]
    message: str
    fix: str
    points: float = 0.0


@dataclass(frozen=True)
class Problem:
    """A fault in one row, counted from 1. `field` is like `messages[2].content`, or empty for the row as a whole."""

    row: int
    field: str
    problem: str
    code: str
    level: Level

    def __str__(self) -> str:
        return f"{self.field} {self.problem}".strip()


@dataclass(frozen=True)
class Report:
    """How ready a dataset is to be trained on.

    `reasons` say why the grade is what it is, the weightiest first; `warnings` are the sentences of all errors and
    warnings; `notes` say what was not looked at. `problems` are the errors and warnings of single rows, in row order,
    at most 1,000. `figures`: rows, splits, turns_mean, prompt_chars and answer_chars and row_chars {mean, p50, p95,
    max}, prompt_words_mean, answer_words_mean, emoji_mean, languages and prompt_languages {code: share}; of preference
    pairs chosen_longer (a share), of verdicts labels {good, bad}, and tokens {tokenizer, mean, p50, p95, max} where
    they were counted.
    """

    grade: str
    score: int
    reasons: list[str]
    checks: list[Check]
    problems: list[Problem]
    warnings: list[str]
    figures: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes, of plain types."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Report":
        """Raises `KeyError` or `TypeError` for what is no report."""
        return Report(
            grade=data["grade"],
            score=data["score"],
            reasons=list(data["reasons"]),
            checks=[Check(**check) for check in data["checks"]],
            problems=[Problem(**problem) for problem in data["problems"]],
            warnings=list(data["warnings"]),
            figures=dict(data["figures"]),
            notes=list(data.get("notes", [])),
        )

    def rows_with_problems(self) -> list[int]:
        """Rows (from 1, ascending) in which an error or a warning was found, as far as they are listed."""
        return list(self._rows)

    def problems_of(self, row: int) -> list[Problem]:
        """What was found in a row (from 1), by all checks, what is only worth knowing included."""
        told = list(self._by_row.get(row, ()))
        codes = {problem.code for problem in told}
        return told + [
            Problem(row, "", check.title, check.code, check.level)
            for check in self.checks
            if check.code not in codes and row in self._rows_of_check[check.code]
        ]

    @cached_property
    def _rows(self) -> list[int]:
        rows = {problem.row for problem in self.problems}
        for check in self.checks:
            if check.level != "info":
                rows.update(check.rows)
        return sorted(rows)

    @cached_property
    def _by_row(self) -> dict[int, list[Problem]]:
        rows: dict[int, list[Problem]] = defaultdict(list)
        for problem in self.problems:
            rows[problem.row].append(problem)
        return rows

    @cached_property
    def _rows_of_check(self) -> dict[str, frozenset[int]]:
        return {check.code: frozenset(check.rows) for check in self.checks}


def worse(one: str, other: str) -> str:
    """The worse of two grades."""
    return max(one, other, key=GRADES.index)
