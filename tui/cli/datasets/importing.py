"""`finetui datasets import`: a file, a folder, a pattern or a name on the hub becomes a dataset."""

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.making import splits_text
from tui.cli.datasets.naming import SeedOption, called, card_of
from tui.cli.datasets.rows import row_text
from tui.cli.datasets.working import Work, working
from tui.cli.documents import dataset_document, preview_document
from tui.cli.output import fields, paint
from tui.text import clean, clean_line
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from engine.datasets.preview import ImportPreview
    from store.records import Dataset

app = typer.Typer()

CONVERTED = 3
"""Rows that a dry run shows."""
PROBLEMS = 10
SHAPES = "auto, messages, sharegpt, alpaca, prompt-response, input-output, text, preference, kto or prompts."


@command(
    app,
    "import",
    example=[
        "datasets import chats.jsonl",
        "datasets import 'data/*.parquet' --name support --where 'chars < 4000'",
        "datasets import table.csv --map prompt=frage --map response=antwort --dry-run",
        "datasets import hub:tatsu-lab/alpaca:train --name alpaca",
    ],
)
def import_(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A file, a folder, a pattern such as 'data/*.csv', or hub:NAME[:split]."),
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the dataset; else the source's.", show_default=False)
    ] = None,
    shape: Annotated[str, typer.Option(metavar="SHAPE", help=f"How a row is written: {SHAPES}")] = "auto",
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="FIELD=COLUMN", help="The column that a field is in; repeat it.", show_default=False
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="System message for rows that have none.", show_default=False)
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            metavar="EXPR", help="Only rows for which this holds, as in `datasets filter`.", show_default=False
        ),
    ] = "",
    validation: Annotated[
        float, typer.Option(metavar="X", help="Share of the rows kept for evaluation, where the source has no splits.")
    ] = 0.1,
    seed: SeedOption = 42,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out rows that cannot be used.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be imported and how it is read; import nothing.")
    ] = False,
) -> None:
    """Import rows as a dataset. Without --skip-bad, nothing is imported unless every row can be.

    JSONL, JSON, CSV, TSV, Parquet and plain text, each also gzipped. How the rows are written is found out; --dry-run
    shows it with three converted rows, --shape and --map say it.
    """
    mapping = mapping_of(map_ or [])
    if dry_run:
        _preview(session, source, shape, mapping, system, where)
        return
    known = {dataset.id for dataset in session.library.list()}
    with working(session, f"importing {_short(source)}") as work:
        dataset = session.library.import_file(
            source,
            name=name,
            shape=shape,
            mapping=mapping or None,
            system=system,
            where=where,
            validation=validation,
            seed=seed,
            skip_bad=skip_bad,
            progress=work.progress,
            cancelled=work.cancelled,
        )
    new = dataset.id not in known
    document = dataset_document(dataset, card_of(session, dataset)) | {"new": new}
    session.answer(document, lambda: _imported(dataset, new))


def _imported(dataset: "Dataset", new: bool) -> str:
    found = f"{called(dataset)}: {count_words(dataset.rows, 'row')}, {splits_text(dataset)}."
    lines = [f"Imported {found}" if new else f"These rows are there already, as {found}"]
    return "\n".join(lines + [f"{paint('!', 'yellow')} {clean(warning)}" for warning in dataset.warnings])


def mapping_of(pairs: list[str]) -> dict[str, str]:
    """`prompt=frage` as field and column. Raises `BadInput` for what is none, or names a field twice."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        field, equals, column = (part.strip() for part in pair.partition("="))
        if not (field and equals and column):
            raise BadInput(f"{pair!r} maps nothing.", fix="Write --map FIELD=COLUMN, such as --map prompt=question.")
        if field in mapping:
            raise BadInput(f"{field} is mapped twice.", why=f"To {mapping[field]!r} and to {column!r}.")
        mapping[field] = column
    return mapping


def _short(source: str) -> str:
    return source if source.startswith("hub:") else PurePath(source).name or source


def _preview(
    session: Session, source: str, shape: str, mapping: dict[str, str], system: str | None, where: str
) -> None:
    if where:
        from engine.datasets.filter import compile_filter

        compile_filter(where)  # a filter that cannot be is said now, not when it is in earnest
    with working(session, f"reading {_short(source)}") as work, _at_hand(source, work) as file:
        found = session.library.preview(file, shape, mapping=mapping or None)
    document = preview_document(found, CONVERTED) | {"source": source, "system": system, "where": where}
    session.answer(document, lambda: _preview_text(found, source, system, where))


@contextmanager
def _at_hand(source: str, work: Work) -> Iterator[str]:
    """The source itself; what is on the hub is fetched, and gone afterwards."""
    from engine.datasets.hub import fetch_hub, is_hub_name

    if not is_hub_name(source):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="finetui-") as folder:
        yield str(fetch_hub(source, Path(folder) / "hub", work.progress, work.cancelled))


def _preview_text(found: "ImportPreview", source: str, system: str | None, where: str) -> str:
    guess = f"{found.shape}, {found.confidence:.0%} sure" if found.shape else "nothing is known of these columns"
    head: list[tuple[str, Any]] = [
        ("source", f"{_short(source)} ({found.format})"),
        (
            "rows",
            f"{found.rows_total:,}" + (f", the first {found.checked:,} read" * (found.checked < found.rows_total)),
        ),
        ("shape", "\n".join([guess, *found.reasons])),
        ("fields", "\n".join(f"{field} = {column}" for field, column in found.mapping.items())),
        ("columns", ", ".join(column.name for column in found.columns)),
        ("splits", ", ".join(found.splits)),
        ("system", system),
        ("where", where),
        ("placeholders", ", ".join(found.placeholders)),
    ]
    parts = [fields(head), *(row_text(row) for row in found.first[:CONVERTED])]
    if found.problems:
        lines = [f"  {clean_line(str(problem))}" for problem in found.problems[:PROBLEMS]]
        more = len(found.problems) - len(lines)
        parts.append(
            "\n".join([paint("These rows cannot be used:", "yellow"), *lines, *([f"  and {more} more"] * (more > 0))])
        )
    parts.append("Nothing was imported; without --dry-run it is.")
    if found.unsure:
        guess = " ".join(f"--map {shlex.quote(f'{field}={column}')}" for field, column in found.mapping.items())
        said = f"Say which column is what: {clean_line(guess)}" if guess else "Say with --map which column is what."
        parts[-1] = f"Nothing was imported. {said}"
    return "\n\n".join(parts)
