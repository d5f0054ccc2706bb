"""`finetui datasets mix | stage`: several datasets as one."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.datasets.making import answer_made
from tui.cli.datasets.naming import SeedOption
from tui.cli.datasets.working import working

if TYPE_CHECKING:
    from store.records import Dataset

app = typer.Typer()

ResultName = Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the result.")]


@command(
    app,
    "mix",
    example=[
        "datasets mix general:3 support:1 --name blend",
        "datasets mix general:0.7 support@2:0.3 --size 2000 --name blend",
    ],
)
def mix(
    session: Session,
    datasets: Annotated[
        list[str],
        typer.Argument(metavar="DATASET:WEIGHT", help="Datasets, each with its weight; without one it is 1."),
    ],
    name: ResultName,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", metavar="N", help="Rows of the result; else what the weights make.", min=1, show_default=False
        ),
    ] = None,
    seed: SeedOption = 42,
) -> None:
    """Make a dataset of several, their rows evenly interleaved.

    A weight says how often each row is taken: 2 is twice, 0.5 half of the rows; with --size, weights are proportions.
    A training row that asks what another part keeps for evaluation is left out.
    """
    from engine.datasets.making import mix as mixed

    parts = [(session.library.resolve(text), weight) for text, weight in map(weighted, datasets)]
    with working(session, f"mixing {len(parts)} datasets") as work:
        made = mixed(
            session.library,
            parts,
            name=name,
            size=size,
            seed=seed,
            progress=work.progress,
            cancelled=work.cancelled,
        )
    answer_made(session, "mix", made, *(dataset for dataset, _ in parts))


def weighted(text: str) -> tuple[str, float]:
    """`support:0.3` as dataset and weight; the weight is 1 where there is none. Raises `BadInput`."""
    name, colon, number = text.rpartition(":")
    if not colon:
        return text, 1.0
    try:
        weight = float(number)
    except ValueError:
        raise BadInput(
            f"{number!r} is no weight for {name!r}.", fix="Write DATASET:WEIGHT, such as support:0.3."
        ) from None
    return name, weight


@command(app, "stage", example="datasets stage general domain support --name curriculum")
def stage(
    session: Session,
    datasets: Annotated[
        list[str], typer.Argument(metavar="DATASET", help="Datasets in the order in which they are to be learnt.")
    ],
    name: ResultName,
) -> None:
    """Make a dataset that is learnt in stages: general, then the domain, then the task.

    Its rows are not shuffled between the stages.
    """
    from engine.datasets.making import stage as staged

    parts: list[Dataset] = [session.library.resolve(text) for text in datasets]
    with working(session, f"putting {len(parts)} datasets in order") as work:
        made = staged(session.library, parts, name=name, progress=work.progress, cancelled=work.cancelled)
    answer_made(session, "stage", made, *parts)
