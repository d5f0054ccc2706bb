"""A conversation, and what can be wrong with one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput

LISTED = 20
"""How many problems are listed one by one; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; `role` is system, user, assistant or tool."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of a dataset. `index` counts from 0 over all splits."""

    index: int
    split: str
    messages: tuple[Turn, ...]
    metadata: dict[str, Any]


class RowError(Exception):
    """A row cannot be used: the field, and what is wrong with it. Never leaves the import."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row of the source cannot be used. `row` and `line` count from 1; an array has no lines."""

    row: int
    line: int | None
    field: str
    problem: str

    def __str__(self) -> str:
        line = f", line {self.line}" if self.line and self.line != self.row else ""
        return f"row {self.row}{line}: {f'{self.field} {self.problem}'.strip()}"


class BadRows(BadInput):
    """Rows of a file that cannot be used; nothing was imported. `problems` holds the first `LISTED` of `total`."""

    def __init__(self, source: str, problems: Sequence[RowProblem], *, total: int, rows: int) -> None:
        lines = [f"  {problem}" for problem in problems]
        if total > len(problems):
            lines.append(f"  and {total - len(problems):,} more")
        super().__init__(
            f"{total:,} of {rows:,} rows of {source} cannot be used, so nothing was imported.",
            why="\n".join(lines),
            fix="Every row must be usable. Mend these, or leave them out with --skip-bad.",
        )
        self.problems = list(problems)
        self.total = total
