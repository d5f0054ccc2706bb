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


def found_adapter(session: Session, text: str) -> "Run":
    """What answers for `text`: a registered adapter, as `NAME` or `NAME@2`, else a run as `found` has it."""
    from engine.registry.finding import as_run, find

    version = find(session.home, session.store, text)
    return as_run(session.home, version) if version is not None else found(session, text)
