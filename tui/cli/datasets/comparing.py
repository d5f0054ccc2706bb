"""`finetui datasets diff`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.cli.command import Session, command
from tui.cli.datasets.naming import DatasetArgument, called
from tui.cli.datasets.working import working
from tui.cli.output import paint
from tui.text import clean_line, shorten
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.making import Diff
    from engine.datasets.rows import Row
    from store.records import Dataset

app = typer.Typer()

_EXCERPT = 100


@command(app, "diff", example=["datasets diff emoji@1 emoji@2", "datasets diff emoji@1 emoji@2 --json"])
def diff(
    session: Session,
    first: DatasetArgument,
    second: DatasetArgument,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", help="Rows of each kind that are shown.", min=0, max=1000)
    ] = 5,
) -> None:
    """Compare two versions row by row: what the second has more, what it lacks, and what it says otherwise."""
    from engine.datasets.making import diff as compared

    one, other = session.library.resolve(first), session.library.resolve(second)
    with working(session, f"comparing {title_of(one)} and {title_of(other)}") as work:
        found = compared(session.library, one, other, progress=work.progress, cancelled=work.cancelled)
    document: dict[str, Any] = {
        "from": {"id": one.id, "name": one.name, "version": one.version, "rows": one.rows},
        "to": {"id": other.id, "name": other.name, "version": other.version, "rows": other.rows},
        "same": found.same,
        "added": [index + 1 for index in found.added],
        "removed": [index + 1 for index in found.removed],
        "changed": _pairs(found.changed),
        "moved": _pairs(found.moved),
    }
    session.answer(document, lambda: _text(session, one, other, found, rows))


def _pairs(pairs: list[tuple[int, int]]) -> list[dict[str, int]]:
    """Rows of both versions, counted from 1."""
    return [{"from": before + 1, "to": after + 1} for before, after in pairs]


def _text(session: Session, one: "Dataset", other: "Dataset", found: "Diff", shown: int) -> str:
    counts = f"{count_words(found.same, 'row')} the same, {len(found.added):,} added, {len(found.removed):,} removed, "
    moved = f", {len(found.moved):,} of the same in another split" if found.moved else ""
    lines = [f"{called(one)} → {called(other)}", f"{counts}{len(found.changed):,} changed{moved}"]
    if not (found.added or found.removed or found.changed):
        return "\n".join([*lines, "They hold the same rows."])

    def excerpts(sign: str, style: str, dataset: "Dataset", indices: list[int]) -> None:
        if not indices:
            return
        taken = session.library.take(dataset.id, indices[:shown])
        lines.extend(["", *(paint(f"{sign} row {row.index + 1}: {_excerpt(row)}", style) for row in taken)])
        if len(indices) > shown:
            lines.append(f"  and {len(indices) - shown:,} more")

    excerpts("+", "green", other, found.added)
    excerpts("-", "red", one, found.removed)
    for before, after in found.changed[:shown]:
        [old], [new] = session.library.take(one.id, [before]), session.library.take(other.id, [after])
        lines += ["", f"~ row {before + 1} → row {after + 1}", *_changes(old, new)]
    if len(found.changed) > shown:
        lines.append(f"  and {len(found.changed) - shown:,} more changed")
    return "\n".join(lines)


def _excerpt(row: "Row") -> str:
    from engine.datasets.rows import all_turns

    return shorten(" · ".join(f"{turn.role}: {clean_line(turn.content)}" for turn in all_turns(row)), _EXCERPT)


def _changes(old: "Row", new: "Row") -> list[str]:
    """The turns that differ, old and new, from where they do."""
    from engine.datasets.rows import all_turns

    before, after = (
        [f"{turn.role}: {clean_line(turn.content + turn.calls)}" for turn in all_turns(row)] for row in (old, new)
    )
    lines = []
    for place in range(max(len(before), len(after))):
        left, right = (turns[place] if place < len(turns) else "" for turns in (before, after))
        if left != right:
            lines += [paint(f"  - {_from(left, right)}", "red")] * bool(left)
            lines += [paint(f"  + {_from(right, left)}", "green")] * bool(right)
    if old.split != new.split:
        lines.append(f"  split: {clean_line(old.split)} → {clean_line(new.split)}")
    if old.metadata != new.metadata:
        lines.append("  metadata differs")
    return lines


def _from(text: str, other: str) -> str:
    """The text from shortly before the place where it leaves the other; its role is kept."""
    role, _, said = text.partition(": ")
    there = other.partition(": ")[2]
    at = next((place for place, (one, two) in enumerate(zip(said, there, strict=False)) if one != two), 0)
    start = max(0, at - 20)
    return shorten(f"{role}: {'…' if start else ''}{said[start:]}", _EXCERPT)
