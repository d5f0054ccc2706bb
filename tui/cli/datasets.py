"""`finetui datasets`: import, list, look at and remove."""

from pathlib import Path
from typing import Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.documents import dataset_document, row_document
from tui.cli.output import fields, paint, table
from tui.format import fmt_when
from tui.text import clean

app = typer.Typer(help="Datasets: imported once, then immutable.", no_args_is_help=True)

DatasetArgument = Annotated[str, typer.Argument(help="Name, name@version, id, or the start of an id.")]


@command(
    app, "import", example=["datasets import chats.jsonl", "datasets import alpaca.json --name alpaca --shape alpaca"]
)
def import_(
    session: Session,
    source: Annotated[Path, typer.Argument(help="A JSONL or JSON file.")],
    name: Annotated[str | None, typer.Option(help="Name of the dataset; else the file's.", show_default=False)] = None,
    shape: Annotated[
        str,
        typer.Option(help="How a row is written: auto, messages, sharegpt, alpaca, prompt-response or input-output."),
    ] = "auto",
    system: Annotated[
        str | None, typer.Option(help="System message for rows that have none.", show_default=False)
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of the rows kept for evaluation.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 42,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out rows that cannot be used.")] = False,
) -> None:
    """Import a file as a dataset. Without --skip-bad, nothing is imported unless every row can be."""
    with session.progress() as progress:
        dataset = session.library.import_file(
            source,
            name=name,
            shape=shape,
            system=system,
            validation=validation,
            seed=seed,
            skip_bad=skip_bad,
            progress=lambda fraction: progress.update(f"importing {source.name}", fraction),
        )

    def text() -> str:
        splits = ", ".join(f"{rows} {split}" for split, rows in dataset.splits.items())
        lines = [f"Imported {clean(dataset.name)} v{dataset.version} ({dataset.id}): {dataset.rows} rows, {splits}."]
        return "\n".join(lines + [f"{paint('!', 'yellow')} {clean(warning)}" for warning in dataset.warnings])

    session.answer(dataset_document(dataset), text)


@command(app, "ls", example="datasets ls")
def ls(
    session: Session,
    filter_: Annotated[
        str, typer.Option("--filter", metavar="QUERY", help="Words to look for.", show_default=False)
    ] = "",
) -> None:
    """List the datasets, newest first."""
    datasets = session.library.list(filter_)
    session.answer(
        [dataset_document(dataset) for dataset in datasets],
        lambda: (
            table(
                ("NAME", "VERSION", "ROWS", "TRAIN", "VALIDATION", "SHAPE", "IMPORTED", "ID"),
                [
                    (
                        dataset.name,
                        f"v{dataset.version}",
                        f"{dataset.rows:,}",
                        f"{dataset.splits.get('train', 0):,}",
                        f"{dataset.splits.get('validation', 0):,}",
                        dataset.shape,
                        fmt_when(dataset.created),
                        dataset.id,
                    )
                    for dataset in datasets
                ],
                right=("ROWS", "TRAIN", "VALIDATION"),
                optional=("SHAPE", "IMPORTED"),
            )
            if datasets
            else "No datasets. `finetui datasets import FILE` imports one."
        ),
    )


@command(app, "show", example="datasets show support --rows 5")
def show(
    session: Session,
    dataset: DatasetArgument,
    rows: Annotated[int, typer.Option(help="Conversations to show.", min=0, max=1000)] = 3,
    split: Annotated[str | None, typer.Option(help="Only rows of this split.", show_default=False)] = None,
) -> None:
    """Show a dataset: its rows by split, where it came from, and its first conversations."""
    found = session.library.resolve(dataset)
    sample = session.library.rows(found.id, split=split, limit=rows)

    def text() -> str:
        head = fields(
            [
                ("name", f"{found.name} v{found.version}"),
                ("id", found.id),
                ("rows", ", ".join(f"{count} {name}" for name, count in found.splits.items())),
                ("shape", found.shape),
                ("source", found.source),
                ("imported", fmt_when(found.created)),
                ("used by", ", ".join(session.store.datasets.runs_using(found.id))),
                ("warnings", "\n".join(found.warnings)),
            ]
        )
        conversations = [
            "\n".join(
                [paint(f"row {row.index} ({row.split})", "bold"), fields((t.role, t.content) for t in row.messages)]
            )
            for row in sample
        ]
        return "\n\n".join([head, *conversations])

    session.answer(dataset_document(found) | {"first": [row_document(row) for row in sample]}, text)


@command(app, "rm", example="datasets rm support@2")
def rm(session: Session, dataset: DatasetArgument) -> None:
    """Remove a dataset version from the disk."""
    found = session.library.resolve(dataset)
    session.library.remove(found.id)
    session.answer({"removed": found.id}, f"Removed {clean(found.name)} v{found.version} ({found.id}).")
