"""What a command says that made a version: counts before and after, what it is called, and the way back."""

from typing import TYPE_CHECKING, Any

from tui.cli.command import Session
from tui.cli.datasets.history import notes
from tui.cli.datasets.naming import called, card_of
from tui.cli.documents import made_document
from tui.cli.output import paint
from tui.text import clean
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.versions import Made
    from store.records import Dataset


def answer_made(session: Session, verb: str, made: "Made", *parents: "Dataset") -> None:
    """The version that `verb` made of `parents`; JSON is its document with `before`, `after` and `new`."""
    card = card_of(session, made.dataset)
    session.answer(made_document(made, card), lambda: made_text(verb, made, card, *parents))


def made_text(verb: str, made: "Made", card: dict[str, Any], *parents: "Dataset") -> str:
    """`filter: 474 → 426 rows · emoji v2 (d…)`, its splits, and that the parent is still there."""
    first = parents[0]
    if made.dataset.id == first.id:
        return f"{verb}: nothing changed, all {count_words(made.after, 'row')} stay · {called(first)}"
    told = ", ".join([f"{made.before:,} → {count_words(made.after, 'row')}", *notes(card.get("operation") or {})])
    lines = [f"{verb}: {told} · {called(made.dataset)}"]
    if not made.new:
        lines[0] += ", which was there already"
    lines.append("  " + splits_text(made.dataset))
    lines += [f"{paint('!', 'yellow')} {clean(warning)}" for warning in made.dataset.warnings]
    lines.append(_way_back(parents))
    return "\n".join(lines)


def splits_text(dataset: "Dataset") -> str:
    """`train 426, validation 48`."""
    return ", ".join(f"{clean(split)} {rows:,}" for split, rows in dataset.splits.items())


def _way_back(parents: "tuple[Dataset, ...]") -> str:
    if len(parents) == 1:
        return f"The parent {title_of(parents[0])} is still there."
    return f"{', '.join(map(title_of, parents[:-1]))} and {title_of(parents[-1])} are still there."
