"""How a run is named on the command line."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.command import Session

if TYPE_CHECKING:
    from store.records import Run

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Name, id, or the start of an id.")]


def found(session: Session, text: str) -> "Run":
    """The run that `text` means, as it is now. Raises `NotFound` or, where several match, `BadInput`."""
    from engine.runs.resolve import find_run

    return find_run(session.current(), text)
