"""`finetui open RUN`, where it is more than that: `tui.cli` opens the app itself where it can."""

import typer

from tui.cli.command import Session, command
from tui.cli.opening import show_app
from tui.cli.runs.finding import RunArgument, found

app = typer.Typer()


@command(app, "open", example="open support-3")
def open_run(session: Session, run: RunArgument) -> None:
    """Open the app on one run."""
    run_id = found(session, run).id
    session.close()
    status = show_app(session.home, open_run=run_id)
    if status:
        raise typer.Exit(status)
