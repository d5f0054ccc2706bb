"""A row of a dataset as text: its turns, the tools they call, a pair's two answers, its verdict."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.cli.output import fields, paint
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.datasets.rows import Row, Turn

LABELS = {True: "good", False: "bad"}


def row_text(row: "Row", number: int | None = None) -> str:
    """The row under a line with its number, its split and its verdict."""
    words = [row.split, f"labelled {LABELS[row.label]}" if row.label is not None else ""]
    said = clean_line(", ".join(word for word in words if word))
    head = paint(f"row {row.index + 1 if number is None else number}" + (f" ({said})" if said else ""), "bold")
    pairs = [*_turns(row.messages), *_turns(row.chosen, "chosen "), *_turns(row.rejected, "rejected ")]
    if row.metadata:
        pairs.append(("metadata", json.dumps(row.metadata, ensure_ascii=False)))
    if row.tools:
        pairs.append(("tools", row.tools))
    return "\n".join([head, fields(pairs)])


def _turns(turns: "Iterable[Turn]", prefix: str = "") -> list[tuple[str, object]]:
    """Each turn's role and text; an empty turn is said to be one, because an empty field would be left out."""
    pairs: list[tuple[str, object]] = []
    for turn in turns:
        calls = f"calls {turn.calls}" if turn.calls else ""
        pairs.append((prefix + turn.role, "\n".join(part for part in (turn.content, calls) if part) or "(empty)"))
    return pairs
