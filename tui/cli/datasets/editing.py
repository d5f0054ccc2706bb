"""`finetui datasets edit`: rows dropped and turns rewritten, as a new version."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.listing import row_of
from tui.cli.datasets.making import answer_made
from tui.cli.datasets.naming import DatasetArgument, NameOption
from tui.cli.datasets.working import working
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.rows import Row, Turn
    from store.records import Dataset

app = typer.Typer()

_CHANGE = re.compile(r"\s*(?P<row>\d+)\s*:\s*(?P<turn>\d+|chosen|rejected)\s*=(?P<text>.*)", re.DOTALL)
_RANGE = re.compile(r"(?P<first>\d+)(?:\s*-\s*(?P<last>\d+))?")


@command(
    app,
    "edit",
    example=[
        "datasets edit emoji --drop 3,7-9",
        "datasets edit emoji --set '12:2=Hello! How can I help?' --drop 40",
        "datasets edit pairs --set '5:chosen=A better answer.'",
    ],
)
def edit(
    session: Session,
    dataset: DatasetArgument,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="ROWS", help="Rows to leave out, such as 3,7-9; repeat it.", show_default=False),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="ROW:TURN=TEXT",
            help="The new text of a turn; turns count from 1, a pair's answers are chosen and rejected; repeat it.",
            show_default=False,
        ),
    ] = None,
    name: NameOption = None,
) -> None:
    """Make a version without some rows, and with other texts in others. Rows count from 1, as everywhere."""
    from engine.datasets.making import edit as edited

    found = session.library.resolve(dataset)
    if not drop and not changes:
        raise BadInput("Nothing is to be changed.", fix="Give --drop ROWS, --set ROW:TURN=TEXT, or both.")
    dropped = _dropped(drop or [], found)
    changed = _changed(session, found, changes or [])
    if both := sorted(dropped & changed.keys()):
        raise BadInput(f"Row {both[0] + 1:,} is to be changed and dropped.", fix="Do one of the two.")
    with working(session, f"editing {title_of(found)}") as work:
        made = edited(
            session.library,
            found,
            changed=changed,
            dropped=dropped,
            name=name,
            progress=work.progress,
            cancelled=work.cancelled,
        )
    answer_made(session, "edit", made, found)


def _dropped(texts: Iterable[str], dataset: "Dataset") -> set[int]:
    """Indices of the rows that `3,7-9` names."""
    rows: set[int] = set()
    for part in (part.strip() for text in texts for part in text.split(",")):
        named = _RANGE.fullmatch(part)
        if not named:
            raise BadInput(f"{part!r} names no rows.", fix="Write rows and ranges, such as --drop 3,7-9.")
        first, last = int(named["first"]), int(named["last"] or named["first"])
        if not 1 <= first <= last <= dataset.rows:
            raise BadInput(
                f"{title_of(dataset)} has no rows {part}."
                if named["last"]
                else f"{title_of(dataset)} has no row {part}.",
                why="The range runs backwards." if last < first else "",
                fix=f"It has {count_words(dataset.rows, 'row')}; they count from 1.",
            )
        rows.update(range(first - 1, last))
    return rows


def _changed(session: Session, dataset: "Dataset", changes: Iterable[str]) -> dict[int, "Row"]:
    """The rows that `ROW:TURN=TEXT` change, by index, as they are to be."""
    rows: dict[int, Row] = {}
    for change in changes:
        parts = _CHANGE.fullmatch(change)
        if not parts:
            raise BadInput(f"{change[:80]!r} changes no turn.", fix="Write ROW:TURN=TEXT, such as --set '12:2=Hello!'.")
        number = int(parts["row"])
        row = rows.get(number - 1) or row_of(session, dataset, number)
        rows[row.index] = _with_turn(row, parts["turn"], parts["text"])
    return rows


def _with_turn(row: "Row", turn: str, text: str) -> "Row":
    """The row with another text in one turn: of `messages` by number, of a pair's answers the last."""
    field = "messages" if turn.isdigit() else turn
    turns: tuple[Turn, ...] = getattr(row, field)
    place = int(turn) - 1 if turn.isdigit() else len(turns) - 1
    if not 0 <= place < len(turns):
        has = f"It has {count_words(len(row.messages), 'turn')}" + (", chosen and rejected." if row.chosen else ".")
        raise BadInput(f"Row {row.index + 1:,} has no turn {turn}.", fix=has)
    changed = (*turns[:place], replace(turns[place], content=text), *turns[place + 1 :])
    if field == "chosen":
        return replace(row, chosen=changed)
    return replace(row, rejected=changed) if field == "rejected" else replace(row, messages=changed)
