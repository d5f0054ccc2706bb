"""`finetui datasets split`."""

from typing import Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.datasets.making import answer_made
from tui.cli.datasets.naming import DatasetArgument, NameOption, SeedOption
from tui.cli.datasets.working import working
from tui.widgets.dataset_words import title_of

app = typer.Typer()


@command(
    app,
    "split",
    example=[
        "datasets split emoji --train 0.8 --validation 0.1 --test 0.1",
        "datasets split support --train 0.9 --validation 0.1 --by metadata.source",
    ],
)
def split(
    session: Session,
    dataset: DatasetArgument,
    train: Annotated[float, typer.Option(metavar="X", help="Share of the rows to train on.")] = 0.8,
    validation: Annotated[float, typer.Option(metavar="X", help="Share to evaluate on while training.")] = 0.1,
    test: Annotated[float, typer.Option(metavar="X", help="Share kept for the end.")] = 0.1,
    seed: SeedOption = 42,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="FIELD", help="Each split gets its share of every value of this field.", show_default=False
        ),
    ] = None,
    near: Annotated[
        float | None,
        typer.Option(
            "--near", metavar="X", help="Keep rows that are so much alike on one side, from 0 to 1.", show_default=False
        ),
    ] = None,
    name: NameOption = None,
) -> None:
    """Make a version whose rows are divided anew. The shares add up to 1.

    Rows that ask the same stay on one side, so that nothing is evaluated that was trained.
    """
    from engine.datasets.making import resplit

    found = session.library.resolve(dataset)
    with working(session, f"splitting {title_of(found)}") as work:
        made = resplit(
            session.library,
            found,
            train=train,
            validation=validation,
            test=test,
            seed=seed,
            by=by,
            near=near,
            name=name,
            progress=work.progress,
            cancelled=work.cancelled,
        )
    answer_made(session, "split", made, found)
