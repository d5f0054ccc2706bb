"""`finetui runs stop | resume | rm | rename | tag | note`."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.documents import run_document
from tui.cli.runs.finding import RunArgument, found
from tui.text import clean

if TYPE_CHECKING:
    from store.records import Run

app = typer.Typer()


def _answer(session: Session, run: "Run", text: str) -> None:
    """The run as it is after the change."""
    session.manager.look()
    session.answer(run_document(session.store.runs.get(run.id) or run), f"{clean(run.name)} ({run.id}): {text}")


@command(app, "stop", example=["runs stop demo", "runs stop demo --now"])
def stop(
    session: Session,
    run: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="Kill it; steps after the last checkpoint are lost.")] = False,
) -> None:
    """Stop a run. It saves a checkpoint first and can be resumed."""
    it = found(session, run)
    session.manager.stop(it.id, now=now)
    _answer(session, it, "killed." if now else "told to stop; it saves a checkpoint first.")


@command(app, "resume", example="runs resume demo")
def resume(session: Session, run: RunArgument) -> None:
    """Go on from the last checkpoint of a run that was stopped, failed or was lost."""
    it = found(session, run)
    session.manager.resume(it.id)
    _answer(session, it, "resumed.")


@command(app, "rm", example="runs rm demo")
def rm(session: Session, run: RunArgument) -> None:
    """Remove a run that has ended: its folder, its adapter, its metrics."""
    it = found(session, run)
    session.manager.remove(it.id)
    session.answer({"removed": it.id, "name": it.name}, f"Removed {clean(it.name)} ({it.id}).")


@command(app, "rename", example="runs rename demo support-first")
def rename(session: Session, run: RunArgument, name: Annotated[str, typer.Argument(help="The new name.")]) -> None:
    """Give a run another name."""
    from engine.runs.launcher import clean_name

    it = found(session, run)
    session.store.runs.rename(it.id, clean_name(name))
    _answer(session, it, f"now called {clean_name(name)}.")


@command(app, "tag", example=["runs tag demo baseline emoji", "runs tag demo baseline --remove"])
def tag(
    session: Session,
    run: RunArgument,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Tags.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take them away.")] = False,
) -> None:
    """Add tags to a run, or take them away."""
    from engine.runs.launcher import clean_name

    it = found(session, run)
    change = session.store.runs.remove_tag if remove else session.store.runs.add_tag
    for one in tags if remove else [clean_name(tag, "tag") for tag in tags]:
        change(it.id, one)
    now = session.store.runs.get(it.id) or it
    _answer(session, it, f"tags {clean(', '.join(now.tags)) or 'none'}.")


@command(app, "note", example="runs note demo 'the first that answers well'")
def note(
    session: Session, run: RunArgument, text: Annotated[str, typer.Argument(help="The note; '' removes it.")]
) -> None:
    """Write the note of a run."""
    it = found(session, run)
    session.store.runs.set_note(it.id, text)
    _answer(session, it, "note written." if text else "note removed.")
