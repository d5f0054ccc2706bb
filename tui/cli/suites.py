"""`finetui suites ls | run | show | diff | stop | rm | export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import BadInput
from tui.cli import suite_asking
from tui.cli.command import Session, command
from tui.cli.output import table
from tui.format import fmt_when
from tui.text import clean, clean_line

app = typer.Typer(
    help="Prompt suites: the same prompts for several models, and what they answered.", no_args_is_help=True
)
app.add_typer(suite_asking.app)

COLOURS = {"running": "yellow", "done": "green", "failed": "red"}
SuiteRunArgument = Annotated[str, typer.Argument(metavar="ID", help="Suite run: id, name, or the start of an id.")]


@command(app, "ls", example="suites ls")
def ls(session: Session) -> None:
    """List the suites of this home, and the times that models were asked one, newest first."""
    from engine.suites.reading import SHIPPED, suite_datasets
    from tui.cli.suite_words import run_document, states

    suites = suite_datasets(session.library)
    known = {dataset.id: f"{dataset.name} v{dataset.version}" for dataset in session.library.list()}
    stood = states(session, session.store.suites.list())
    document = {
        "suites": [
            {"id": one.id, "name": one.name, "version": one.version, "prompts": one.rows, "created": one.created}
            for one in suites
        ],
        "runs": [run_document(session, one) for one in stood],
    }

    def text() -> str:
        if not suites and not stood:
            return (
                "No suites yet. A suite is a dataset of prompts: `finetui datasets import FILE` makes one.\n"
                f"`finetui suites run {SHIPPED}` asks the twenty prompts that come with finetui."
            )
        rows = [(f"{one.name} v{one.version}", one.rows, fmt_when(one.created), one.id) for one in suites]
        parts = [table(("SUITE", "PROMPTS", "MADE", "ID"), rows, right=("PROMPTS",))] if rows else []
        if stood:
            asked = [
                (
                    one.run.name,
                    known.get(one.run.suite, one.run.suite),
                    len(one.run.models),
                    str(one.stage),
                    f"{one.done}/{one.total}",
                    one.errors or "",
                    fmt_when(one.run.created),
                    one.id,
                )
                for one in stood
            ]
            head = ("RUN", "SUITE", "MODELS", "STATE", "ANSWERS", "ERRORS", "STARTED", "ID")
            parts.append(
                table(
                    head,
                    asked,
                    right=("MODELS", "ANSWERS", "ERRORS"),
                    optional=("STARTED", "SUITE"),
                    style=lambda column, cell: COLOURS.get(cell) if column == 3 else None,
                )
            )
        return "\n\n".join(parts)

    session.answer(document, text)


@command(app, "show", example=["suites show everyday", "suites show t01abc --prompt 3 --json"])
def show(
    session: Session,
    suite_run: SuiteRunArgument,
    prompt: Annotated[
        int | None, typer.Option(metavar="N", help="Only this prompt, counted from 1.", min=1, show_default=False)
    ] = None,
    prompts: Annotated[int, typer.Option(metavar="N", help="Prompts that are shown, 0 for none.", min=0)] = 100,
) -> None:
    """Show what a suite run came to: figures by model, then each prompt and the answers to it."""
    from engine.suites.running import find_suite_run
    from tui.cli.suite_words import answer_run

    answer_run(session, find_suite_run(session.store, suite_run), prompt=prompt, prompts=prompts)


@command(app, "diff", example=["suites diff everyday", "suites diff t01abc --from 1 --to 3 --prompt 2"])
def diff(
    session: Session,
    suite_run: SuiteRunArgument,
    first: Annotated[
        int, typer.Option("--from", metavar="N", help="Model that is compared with, by place.", min=1)
    ] = 1,
    second: Annotated[int, typer.Option("--to", metavar="N", help="Model that is compared, by place.", min=1)] = 2,
    prompt: Annotated[
        int | None, typer.Option(metavar="N", help="Only this prompt, counted from 1.", min=1, show_default=False)
    ] = None,
) -> None:
    """Compare two models of a suite run word by word, the least alike answers first."""
    from engine.suites.running import find_suite_run
    from tui.cli.suite_words import diff_document, diff_text, differences, read

    taken = read(session, find_suite_run(session.store, suite_run))
    if first == second or max(first, second) > len(taken.labels):
        listed = ", ".join(f"{place} {label}" for place, label in enumerate(taken.labels, 1))
        raise BadInput("These are not two models of the suite run.", fix=f"Its models: {clean(listed)}.")
    compared = differences(taken, first - 1, second - 1, prompt)
    session.answer(
        diff_document(taken, first - 1, second - 1, compared), lambda: diff_text(taken, first - 1, second - 1, compared)
    )


@command(app, "stop", example="suites stop everyday")
def stop(session: Session, suite_run: SuiteRunArgument) -> None:
    """Stop a suite run. What was answered is kept; --resume asks the rest."""
    from engine.suites.running import find_suite_run
    from engine.suites.state import stop_suite_run

    made = find_suite_run(session.store, suite_run)
    if not stop_suite_run(session.home, made.id):
        raise BadInput(f"{made.name} is not being asked.")
    session.answer({"stopped": made.id}, f"{clean(made.name)} ({made.id}): told to stop.")


@command(app, "rm", example="suites rm everyday")
def rm(session: Session, suite_run: SuiteRunArgument) -> None:
    """Remove a suite run and its answers. The suite stays."""
    from engine.suites.running import find_suite_run
    from engine.suites.state import remove_suite_run

    made = find_suite_run(session.store, suite_run)
    remove_suite_run(session.store, session.home, made)
    told = f"Removed {clean(made.name)} ({made.id}); its suite stays."
    session.answer({"removed": made.id, "name": made.name}, told)


@command(app, "export", example=["suites export everyday answers.md", "suites export t01abc answers.csv --overwrite"])
def export(
    session: Session,
    suite_run: SuiteRunArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl, .csv or .md file.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where it is there already.")] = False,
) -> None:
    """Write the answers of a suite run into a file, by its ending: JSONL, CSV or Markdown."""
    from engine.suites.export import export_suite_run
    from engine.suites.running import find_suite_run
    from tui.cli.suite_words import read

    taken = read(session, find_suite_run(session.store, suite_run))
    path = export_suite_run(taken.suite, taken.state.run, taken.labels, taken.answers, file, overwrite=overwrite)
    document: dict[str, Any] = {"id": taken.state.id, "file": str(path), "answers": len(taken.answers)}
    session.answer(document, f"Wrote {len(taken.answers):,} answers to {clean_line(str(path))}.")
