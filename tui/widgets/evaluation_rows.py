"""The rows of an evaluation, one a line: its figure, what was asked, what was said."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.evaluation.measures import MEASURES
from engine.evaluation.verdicts import digits
from tui.format import NONE
from tui.text import clean_line
from tui.widgets.item_table import Column

if TYPE_CHECKING:
    from tui.widgets.evaluation_reading import ShownRow, Taken

MOST = 400
"""Characters of a text that are looked at for one line."""


def row_columns(taken: "Taken") -> tuple[Column, ...]:
    """The columns of the rows as they are sorted: of one model, and beside it the one that it is compared with."""
    results, place = taken.results, taken.model
    shown = [Column("row", 5, lambda one: (str(one.compared.row.row), "dim"), right=True)]
    if taken.by:
        label = MEASURES[taken.by].label if taken.by in MEASURES else taken.by
        shown.append(Column(label, min(14, max(7, len(label))), lambda one: (_figure(taken.by, one), ""), right=True))
    if any(any(found) for one in taken.rows for found in one.flags):
        shown.append(Column("⚑", 2, lambda one: _flags(one, place)))
    if taken.categories:
        shown.append(Column("category", 12, lambda one: (one.category, "dim"), needs=110))
    shown.append(Column("question", 20, lambda one: (clean_line(one.compared.row.question[:MOST]), ""), share=2))
    shown.append(Column(clean_line(results.labels[place]), 20, _said(place), share=3))
    if place:
        shown.append(Column(clean_line(results.labels[0]), 20, _said(0), share=2, needs=96))
    return tuple(shown)


def _figure(by: str, one: "ShownRow") -> str:
    return NONE if one.compared.figure is None else digits(by, one.compared.figure)


def _flags(one: "ShownRow", place: int) -> tuple[str, str]:
    found = len(one.flags[place]) if place < len(one.flags) else 0
    return (str(found) if found else "", "look")


def _said(place: int) -> "Callable[[ShownRow], tuple[str, str]]":
    def cell(one: "ShownRow") -> tuple[str, str]:
        answer = one.compared.answers[place]
        if answer is None:
            return "…", "dim"
        text = clean_line(one.said(place)[:MOST])
        if answer.error:
            return f"✗ {text}", "act"
        if one.compared.row.choices and one.compared.row.answer is not None:
            right = one.said(place) == one.compared.row.choices[one.compared.row.answer]
            return f"{'✓' if right else '✗'} {text}", "good" if right else "look"
        if one.compared.row.expected is not None and (answer.text or "").strip() == one.compared.row.expected.strip():
            return "═ as expected", "dim"
        return (text, "") if text else ("(empty)", "dim")

    return cell
