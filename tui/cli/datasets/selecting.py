"""`finetui datasets filter | dedupe | subset`: versions with fewer rows."""

from typing import Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.making import answer_made
from tui.cli.datasets.naming import DatasetArgument, NameOption, SeedOption, called
from tui.cli.datasets.working import working
from tui.widgets.dataset_words import title_of

app = typer.Typer()


@command(
    app,
    "filter",
    example=[
        "datasets filter emoji --where 'metadata.augmented = true AND tokens < 1024 AND emoji <= 5'",
        "datasets filter emoji --where 'NOT assistant ~ \"as an AI\"' --count",
    ],
)
def filter_(
    session: Session,
    dataset: DatasetArgument,
    where: Annotated[str, typer.Option("--where", metavar="EXPR", help="What holds for the rows that stay.")],
    name: NameOption = None,
    count: Annotated[bool, typer.Option("--count", help="Only count the rows that match; make nothing.")] = False,
) -> None:
    """Make a version with the rows for which a condition holds.

    Fields: row, split, turns, chars, words, tokens, emoji, prompt.chars, answer.chars, prompt.words, answer.words,
    system, user, assistant, text, label, tools, metadata.KEY. Operators: = != < <= > >= ~ (contains) !~, joined by
    AND OR NOT and brackets. Bare words are looked for in all turns.
    """
    from engine.datasets.filter import count_matches, filter_rows

    found = session.library.resolve(dataset)
    if not where.strip():
        raise BadInput(
            "The filter is empty.", fix="Say what holds for the rows that stay, such as 'answer.chars > 20'."
        )
    with working(session, f"filtering {title_of(found)}") as work:
        if not count:
            made = filter_rows(
                session.library, found, where, name=name, progress=work.progress, cancelled=work.cancelled
            )
            answer_made(session, "filter", made, found)
            return
        matches = count_matches(session.library, found, where, progress=work.progress, cancelled=work.cancelled)
    document = {"id": found.id, "name": found.name, "version": found.version, "rows": found.rows, "matches": matches}
    session.answer(document, f"{matches:,} of {found.rows:,} rows match ({matches / found.rows:.1%}) · {called(found)}")


@command(app, "dedupe", example=["datasets dedupe emoji", "datasets dedupe emoji --near 0.9"])
def dedupe(
    session: Session,
    dataset: DatasetArgument,
    near: Annotated[
        float | None,
        typer.Option(
            "--near",
            metavar="X",
            help="Also rows whose words are so much alike, from 0 to 1; 0.9 is a good start.",
            show_default=False,
        ),
    ] = None,
    name: NameOption = None,
) -> None:
    """Make a version without duplicates. Of rows that are alike, the first in training stays."""
    from engine.datasets.making import dedupe as deduped

    found = session.library.resolve(dataset)
    with working(session, f"looking for duplicates in {title_of(found)}") as work:
        made = deduped(session.library, found, near=near, name=name, progress=work.progress, cancelled=work.cancelled)
    answer_made(session, "dedupe", made, found)


@command(app, "subset", example="datasets subset emoji --size 100 --name emoji-small")
def subset(
    session: Session,
    dataset: DatasetArgument,
    size: Annotated[int, typer.Option("--size", metavar="N", help="How many rows it is to have.", min=1)],
    seed: SeedOption = 42,
    name: NameOption = None,
) -> None:
    """Make a smaller version whose rows are as different from each other as can be."""
    from engine.datasets.making import subset as chosen

    found = session.library.resolve(dataset)
    with working(session, f"choosing {size:,} rows of {title_of(found)}") as work:
        made = chosen(
            session.library, found, size, seed=seed, name=name, progress=work.progress, cancelled=work.cancelled
        )
    answer_made(session, "subset", made, found)
