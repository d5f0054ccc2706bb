"""`finetui datasets ls | show | lineage | rm`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.history import operation_words
from tui.cli.datasets.naming import DatasetArgument, called, card_of
from tui.cli.datasets.rows import row_text
from tui.cli.documents import dataset_document, row_document
from tui.cli.output import fields, table
from tui.format import NONE, fmt_count, fmt_when
from tui.text import clean
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.rows import Row
    from store.records import Dataset

app = typer.Typer()

GRADES = {"A": "green", "B": "green", "C": "yellow", "D": "red", "F": "red"}


@command(app, "ls", example=["datasets ls", "datasets ls --filter emoji"])
def ls(
    session: Session,
    filter_: Annotated[
        str, typer.Option("--filter", metavar="QUERY", help="Words to look for.", show_default=False)
    ] = "",
) -> None:
    """List the datasets, newest first."""
    datasets = session.library.list(filter_)

    def text() -> str:
        if not datasets:
            return (
                "No dataset matches."
                if filter_
                else "No datasets. `finetui datasets import FILE` imports a file of rows."
            )
        return table(
            ("NAME", "VERSION", "ROWS", "TRAIN", "VALIDATION", "TEST", "TOKENS", "GRADE", "SHAPE", "MADE", "ID"),
            [_line(dataset) for dataset in datasets],
            right=("ROWS", "TRAIN", "VALIDATION", "TEST", "TOKENS"),
            optional=("TEST", "SHAPE", "MADE", "TOKENS", "VALIDATION"),
            style=lambda column, cell: GRADES.get(cell) if column == 7 else None,
        )

    session.answer([dataset_document(dataset, card_of(session, dataset)) for dataset in datasets], text)


def _line(dataset: "Dataset") -> tuple[str, ...]:
    splits = (
        f"{dataset.splits[name]:,}" if name in dataset.splits else NONE for name in ("train", "validation", "test")
    )
    return (
        dataset.name,
        f"v{dataset.version}",
        f"{dataset.rows:,}",
        *splits,
        fmt_count(dataset.tokens),
        dataset.grade or NONE,
        dataset.shape,
        fmt_when(dataset.created),
        dataset.id,
    )


@command(
    app, "show", example=["datasets show support --rows 5", "datasets show support --row 12", "datasets show support@1"]
)
def show(
    session: Session,
    dataset: DatasetArgument,
    rows: Annotated[int, typer.Option(metavar="N", help="Rows to show.", min=0, max=1000)] = 3,
    split: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="Only rows of this split.", show_default=False)
    ] = None,
    row: Annotated[
        int | None, typer.Option("--row", metavar="N", help="Only this row; rows count from 1.", show_default=False)
    ] = None,
) -> None:
    """Show a dataset: its rows by split, where it came from, what is known about it, and its first rows."""
    found = session.library.resolve(dataset)
    card = card_of(session, found)
    if split is not None and split not in found.splits:
        raise BadInput(f"{title_of(found)} has no split {split!r}.", fix=f"It has {', '.join(found.splits)}.")
    sample = (
        [row_of(session, found, row)] if row is not None else session.library.rows(found.id, split=split, limit=rows)
    )
    lineage = session.library.lineage(found.id)
    children = session.library.children(found.id)
    used_by = session.store.datasets.runs_using(found.id)
    report = session.library.report(found.id)
    document = dataset_document(found, card) | {
        "lineage": [one.id for one in lineage],
        "children": [one.id for one in children],
        "used_by": used_by,
        "report": report,
        "token_figures": session.library.tokens(found.id),
        "first": [row_document(one) for one in sample],
    }

    def text() -> str:
        head = fields(
            [
                ("name", title_of(found)),
                ("id", found.id),
                ("rows", ", ".join(f"{count:,} {name}" for name, count in found.splits.items())),
                ("shape", found.shape),
                ("source", found.source),
                ("made", f"{fmt_when(found.created)}, {operation_words(card)}"),
                ("from", "\n".join(map(called, lineage[1:]))),
                ("made of it", ", ".join(map(called, children))),
                ("grade", "\n".join([found.grade, *(report or {}).get("reasons", [])])),
                ("tokens", "\n".join(_token_words(document["token_figures"]))),
                ("used by", ", ".join(used_by)),
                ("warnings", "\n".join(found.warnings)),
            ]
        )
        return "\n\n".join([head, *(row_text(one) for one in sample)])

    session.answer(document, text)


def row_of(session: Session, dataset: "Dataset", number: int) -> "Row":
    """The row of that number, counted from 1. Raises `BadInput` where there is none."""
    if not 1 <= number <= dataset.rows:
        raise BadInput(
            f"{title_of(dataset)} has no row {number:,}.", fix=f"It has rows 1 to {dataset.rows:,}; they count from 1."
        )
    [row] = session.library.take(dataset.id, [number - 1])
    return row


def _token_words(figures: dict[str, dict[str, Any]]) -> list[str]:
    return [f"{one['total']:,} by {one.get('tokenizer', key)}" for key, one in figures.items() if "total" in one]


@command(app, "lineage", example="datasets lineage emoji@3")
def lineage(session: Session, dataset: DatasetArgument) -> None:
    """Show what a version was made from, back to the import, and what was made from it."""
    found = session.library.resolve(dataset)
    line = session.library.lineage(found.id)
    children = session.library.children(found.id)
    cards = {one.id: card_of(session, one) for one in [*line, *children]}

    def row(one: "Dataset", place: str) -> tuple[str, ...]:
        return place, title_of(one), f"{one.rows:,}", operation_words(cards[one.id]), fmt_when(one.created), one.id

    def text() -> str:
        rows = [row(one, "made of it") for one in reversed(children)]
        rows += [row(one, "this" if one.id == found.id else "made from") for one in line]
        shown = table(("", "VERSION", "ROWS", "HOW", "WHEN", "ID"), rows, right=("ROWS",), optional=("WHEN",))
        lost = line[-1].parent
        others = [one for one in cards[found.id].get("parents") or [] if one.get("id") not in cards]
        if lost:
            shown += f"\nIt was made from {lost}, which is not here any more."
        elif others:
            names = ", ".join(f"{clean(str(one.get('name')))} v{one.get('version')}" for one in others)
            shown += f"\nIt was made from {names} too."
        return shown

    document = {
        "id": found.id,
        "name": found.name,
        "lineage": [dataset_document(one, cards[one.id]) for one in line],
        "children": [dataset_document(one, cards[one.id]) for one in children],
    }
    session.answer(document, text)


@command(app, "rm", example="datasets rm support@2")
def rm(session: Session, dataset: DatasetArgument) -> None:
    """Remove a dataset version from the disk. Versions made from it stay."""
    found = session.library.resolve(dataset)
    children = session.library.children(found.id)
    session.library.remove(found.id)
    stay = ""
    if children:
        names = ", ".join(map(title_of, children))
        stay = f"\n{names}, made from it, {'stays' if len(children) == 1 else 'stay'}."
    answer = f"Removed {called(found)}, {count_words(found.rows, 'row')}.{stay}"
    session.answer({"removed": found.id}, answer)
