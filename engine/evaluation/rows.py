"""Rows of an evaluation and the answers to them, as the lines of its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.evaluation.answered import Answered


@dataclass(frozen=True)
class EvaluationRow:
    """One row: `messages` up to the question, and what a good answer would be, where that is known."""

    row: int
    """The row's place in its data."""
    messages: tuple[Mapping[str, Any], ...]
    expected: str | None = None
    choices: tuple[str, ...] = ()
    answer: int | None = None
    """Which of the choices is right, from 0."""
    about: Mapping[str, Any] | None = None

    @property
    def question(self) -> str:
        """What was said last before the answer."""
        return str(self.messages[-1].get("content") or "") if self.messages else ""


def row_document(row: EvaluationRow) -> dict[str, Any]:
    """A line of `rows.jsonl`."""
    return {
        "row": row.row,
        "messages": list(row.messages),
        "expected": row.expected,
        "choices": list(row.choices) or None,
        "answer": row.answer,
        "about": dict(row.about or {}),
    }


def row_of(value: Mapping[str, Any]) -> EvaluationRow:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is no such line."""
    return EvaluationRow(
        int(value["row"]),
        tuple(value["messages"]),
        value.get("expected"),
        tuple(value.get("choices") or ()),
        value.get("answer"),
        value.get("about") or {},
    )


def answered(row: EvaluationRow, value: Mapping[str, Any]) -> Answered:
    """A line of `answers.jsonl`, with what its row says."""
    written = bool(value.get("finish_reason"))  # where none was asked for, the line has an empty text
    return Answered(
        row=row.row,
        expected=row.expected,
        text=value.get("text") if written else None,
        tokens=value.get("tokens") if written else None,
        first_token_s=value.get("first_token_s"),
        tokens_per_s=value.get("tokens_per_s"),
        finish_reason=str(value.get("finish_reason") or ""),
        nll=value.get("nll"),
        scored_tokens=int(value.get("scored_tokens") or 0),
        correct_tokens=int(value.get("correct_tokens") or 0),
        answer=row.answer,
        choice_nll=tuple(value.get("choice_nll") or ()),
        choice_tokens=tuple(value.get("choice_tokens") or ()),
        error=str(value.get("error") or ""),
        about=row.about or {},
    )
