"""`finetui datasets export`."""

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.naming import DatasetArgument, called
from tui.cli.datasets.working import working
from tui.text import clean
from tui.widgets.dataset_words import count_words, title_of

app = typer.Typer()


@command(
    app, "export", example=["datasets export emoji emoji.jsonl", "datasets export emoji test.parquet --split test"]
)
def export(
    session: Session,
    dataset: DatasetArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .jsonl, .json, .csv or .parquet file; .gz behind it packs it.")
    ],
    split: Annotated[
        str | None, typer.Option("--split", metavar="SPLIT", help="Only rows of this split.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where it is there already.")] = False,
) -> None:
    """Write the rows of a dataset into a file, by its ending. It can be imported again as it is."""
    from engine.datasets.export import export_dataset

    found = session.library.resolve(dataset)
    if split is not None and split not in found.splits:
        raise BadInput(f"{title_of(found)} has no split {split!r}.", fix=f"It has {', '.join(found.splits)}.")
    if file.exists() and not overwrite:
        raise BadInput(
            f"{file} exists.", why="Nothing is overwritten unasked.", fix="Choose another, or add --overwrite."
        )
    with working(session, f"exporting {title_of(found)}") as work:
        rows = export_dataset(
            session.library,
            found,
            file,
            split=split,
            overwrite=overwrite,
            progress=work.progress,
            cancelled=work.cancelled,
        )
    document = {
        "id": found.id,
        "name": found.name,
        "version": found.version,
        "split": split,
        "rows": rows,
        "file": str(file),
        "size_bytes": file.stat().st_size,
    }
    session.answer(document, f"Wrote {count_words(rows, 'row')} of {called(found)} to {clean(str(file))}.")
