"""`finetui datasets split`."""

from typing import Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.datasets.making import answer_made
from tui.cli.datasets.naming import DatasetArgument, NameOption, SeedOption
from tui.cli.datasets.working import working
from tui.widgets.dataset_words import title_of

app = typer.Typer()

Share = float | None
USUAL = (0.8, 0.1, 0.1)


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
    train: Annotated[
        Share, typer.Option(metavar="X", help="Share of the rows to train on.", show_default=False)
    ] = None,
    validation: Annotated[
        Share, typer.Option(metavar="X", help="Share to evaluate on while training.", show_default=False)
    ] = None,
    test: Annotated[Share, typer.Option(metavar="X", help="Share kept for the end.", show_default=False)] = None,
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
    """Make a version whose rows are divided anew.

    Without shares, it is 0.8, 0.1 and 0.1. Of shares that are not given, the first is what the others leave. Rows
    that ask the same stay on one side, so that nothing is evaluated that was trained.
    """
    from engine.datasets.making import resplit

    found = session.library.resolve(dataset)
    with working(session, f"splitting {title_of(found)}") as work:
        made = resplit(
            session.library,
            found,
            **shares(train, validation, test),
            seed=seed,
            by=by,
            near=near,
            name=name,
            progress=work.progress,
            cancelled=work.cancelled,
        )
    answer_made(session, "split", made, found)


def shares(train: Share, validation: Share, test: Share) -> dict[str, float]:
    """The share of each split. What is not given is what is left, for the first such split, and nothing for others."""
    given = {"train": train, "validation": validation, "test": test}
    if all(share is None for share in given.values()):
        return dict(zip(given, USUAL, strict=True))
    left = max(0.0, round(1 - sum(share for share in given.values() if share is not None), 9))
    found = {}
    for name, share in given.items():
        found[name] = left if share is None else share
        left = 0.0 if share is None else left
    return found
