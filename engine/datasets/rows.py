"""A conversation, and what can be wrong with one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput

LISTED = 20
"""How many problems are listed one by one; the rest are counted."""


_KINDS = {"text": "text", "preference": "preference", "kto": "kto", "prompts": "prompts"}


def kind_of(shape: str) -> str:
    """What rows of a shape are: `conversation`, `text`, `preference`, `kto` (answers with a verdict) or `prompts`."""
    return _KINDS.get(shape, "conversation")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; `role` is system, user, assistant, tool, or text for a row that is plain text.

    `calls` is a JSON list of the tools that an assistant's turn calls, each `{"name", "arguments"}`; empty for none.
    """

    role: str
    content: str
    calls: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a dataset. `index` counts from 0 over all splits.

    `messages` is the conversation. Of a preference pair it is what both answers, `chosen` and `rejected`, answer to.
    `label` is the verdict on the answer, where there is one. `tools` is a JSON list of tools on offer, or empty.
    """

    index: int
    split: str
    messages: tuple[Turn, ...]
    metadata: dict[str, Any]
    chosen: tuple[Turn, ...] = ()
    rejected: tuple[Turn, ...] = ()
    label: bool | None = None
    tools: str = ""


def all_turns(row: Row) -> tuple[Turn, ...]:
    """Every turn of the row, both answers of a preference pair included."""
    return (*row.messages, *row.chosen, *row.rejected)


def prompt_text(row: Row) -> str:
    """What the user says, all turns."""
    return "\n".join(turn.content for turn in row.messages if turn.role == "user")


def answer_text(row: Row) -> str:
    """What is to be learnt: the assistant's words; of a preference pair the chosen ones; of plain text all of it."""
    turns = row.chosen or row.messages
    return "\n".join(turn.content for turn in turns if turn.role in ("assistant", "text"))


def content_bytes(
    messages: Sequence[Turn],
    chosen: Sequence[Turn] = (),
    rejected: Sequence[Turn] = (),
    label: bool | None = None,
    tools: str = "",
) -> bytes:
    """The content of a row, metadata and split aside, in a form that no other content has."""
    # No text holds a NUL, and no role is empty: nothing can be told in two ways.
    parts: list[str] = []
    for turn in messages:
        parts += (turn.role, turn.content, turn.calls)
    if chosen or rejected or label is not None or tools:
        for turns in (chosen, rejected):
            parts.append("")
            for turn in turns:
                parts += (turn.role, turn.content, turn.calls)
        parts += ("", "" if label is None else str(label), tools)
    return "\0".join(parts).encode()


def hash_of(content: bytes) -> bytes:
    """16 bytes for a content, as `data.parquet` keeps them."""
    return hashlib.blake2b(content, digest_size=16).digest()


def content_hash(row: Row) -> bytes:
    """Equal for rows with the same content, whatever their metadata and split."""
    return hash_of(content_bytes(row.messages, row.chosen, row.rejected, row.label, row.tools))


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


def json_kind(value: Any) -> str:
    """What a value is, in JSON's words: `null`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, (list, tuple)) else "an object"
