"""`finetui store`: the database that indexes the runs."""

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import BadInput, FinetuiError
from tui.cli.command import Session, command
from tui.cli.documents import check_document
from tui.text import clean

app = typer.Typer(help="The store: the index over all runs.", no_args_is_help=True)


@command(app, "path", example="store path")
def path(session: Session) -> None:
    """Print where the store is."""
    session.answer({"path": str(session.home.db), "home": str(session.home.root)}, str(session.home.db))


@command(app, "check", example="store check")
def check(session: Session) -> None:
    """Check that the store is sound."""
    from engine.insight.checks.storing import cautions, check_sqlite

    problems = session.store.check()
    sqlite = check_sqlite()
    care = [*cautions(session.home, session.store), *([] if sqlite.ok else [sqlite])]
    if not session.as_json and problems:
        raise FinetuiError(
            "The store is damaged:",
            why="\n".join(f"  {problem}" for problem in problems),
            fix="`finetui store rebuild` makes it again from the run folders.",
        )
    session.answer(
        {"ok": not problems, "problems": problems, "cautions": [check_document(check) for check in care]},
        "\n".join(["The store is sound.", *(f"But: {clean(check.found)}.\n{clean(check.fix)}" for check in care)]),
    )
    if problems:
        raise typer.Exit(1)


@command(app, "rebuild", example="store rebuild")
def rebuild(session: Session) -> None:
    """Read every run folder again; what the folders hold replaces what the store says. Datasets it lacks come back."""
    from engine.evaluation.state import rebuild as rebuild_evaluations
    from engine.registry.keeping import rebuild as rebuild_registry
    from engine.sweeps.manager import SweepManager

    with session.progress() as progress:
        progress.update("reading the run folders")
        runs = session.manager.rebuild()
        datasets = session.library.rebuild()
        sweeps = SweepManager(session.home, session.store).rebuild()
        registered = rebuild_registry(session.home, session.store)
        evaluations = rebuild_evaluations(session.store, session.home)
    session.answer(
        {
            "runs": runs,
            "datasets": datasets,
            "sweeps": sweeps,
            "registered": registered,
            "evaluations": evaluations,
        },
        f"{runs} {'run' if runs == 1 else 'runs'} read again, {datasets} missing datasets entered again.",
    )


@command(app, "backup", example="store backup finetui-backup.db")
def backup(session: Session, file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")]) -> None:
    """Copy the store to a file, also while runs are live."""
    if file.exists():
        raise BadInput(f"{file} exists already.", fix="Name a file that does not.")
    session.store.backup(file)
    session.answer(
        {"path": str(file), "size_bytes": file.stat().st_size}, f"The store is copied to {clean(str(file))}."
    )
