"""How a dataset, a new version and a seed are named on the command line, and how a version is called in answers."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import FinetuiError
from tui.cli.command import Session
from tui.widgets.dataset_words import title_of

if TYPE_CHECKING:
    from store.records import Dataset

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Name, name@version, id, or the start of an id.")
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="Name of the result; else the next version.", show_default=False),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="The same seed makes the same version.", min=0)]


def called(dataset: "Dataset") -> str:
    """A version in a sentence: `emoji v2 (d0123456789)`."""
    return f"{title_of(dataset)} ({dataset.id})"


def card_of(session: Session, dataset: "Dataset") -> dict[str, Any]:
    """The version's card; empty where it is damaged, so that the version can still be listed and removed."""
    try:
        return session.library.card(dataset.id)
    except FinetuiError:
        return {}
