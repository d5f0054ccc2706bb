"""`finetui suites ls | run | show | diff | stop | rm | export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput, NotFound
from tui.cli.command import Session, command
from tui.cli.output import Progress, say, table
from tui.cli.runs.finding import found
from tui.format import fmt_duration, fmt_when
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.suites.asking import SuiteProgress
    from engine.suites.reading import Suite
    from store.talk_records import SuiteRun

app = typer.Typer(help="Prompt suites: the same prompts for several models, and what they answered.")

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


@command(
    app,
    "run",
    example=[
        "suites run everyday --run demo",
        "suites run questions.jsonl --run demo --run support-2 --no-base --name first",
        "suites run --resume t01abc",
    ],
)
def run(
    session: Session,
    suite: Annotated[
        str, typer.Argument(metavar="[SUITE]", help="Dataset of prompts, or a file of them; left out with --resume.")
    ] = "",
    runs: Annotated[
        list[str] | None, typer.Option("--run", metavar="R", help="Run whose adapter answers; repeat it.")
    ] = None,
    bases: Annotated[
        list[str] | None,
        typer.Option("--base", metavar="M", help="Base model; else that of the first run; repeat it."),
    ] = None,
    no_base: Annotated[bool, typer.Option("--no-base", help="Leave the runs' base model out.")] = False,
    name: Annotated[str, typer.Option(help="Name of the suite run; else the suite's.", show_default=False)] = "",
    resume: Annotated[
        str, typer.Option("--resume", metavar="ID", help="Ask what is missing of this suite run.", show_default=False)
    ] = "",
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Only the first N prompts.", min=1, show_default=False)
    ] = None,
    system: Annotated[str, typer.Option(metavar="TEXT", help="System message.", show_default=False)] = "",
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.", min=0.0)] = 0.0,
    top_p: Annotated[float, typer.Option(help="Likeliest tokens that make up this share.", min=0.0, max=1.0)] = 1.0,
    top_k: Annotated[int, typer.Option(help="Only so many likeliest tokens; 0 is all.", min=0)] = 0,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.", show_default=False)] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer.", min=1)] = 256,
    batch: Annotated[int, typer.Option(help="Answers that are written together.", min=1, max=256)] = 16,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; it goes on without the terminal.")] = False,
) -> None:
    """Ask every prompt of a suite of several models, in batches. Each answer is kept as it comes.

    Without --run and --base: the newest run that succeeded, beside its base. What was killed or stopped goes on with
    --resume: only what is missing is asked, and again what ended in an error.
    """
    from engine.inference.pool import Sampling
    from engine.suites.running import find_suite_run, new_suite_run, suite_of

    if bool(suite) == bool(resume):
        raise BadInput("Name a suite to ask, or the suite run to go on with by --resume, one of them.")
    if resume:
        made = find_suite_run(session.store, resume)
        suite_of(session.library, made)
    else:
        asked = _suite(session, suite)
        asked = asked.first(limit) if limit else asked
        models = _models(session, runs or [], bases or [], with_base=not no_base)
        sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed)
        made = new_suite_run(session.store, asked, models, sampling, name=name, system=system)
    if detach:
        from engine.suites.driver import start_driver

        start_driver(session.home, made.id)
        told = f"Started {clean(made.name)} ({made.id}).\n`finetui suites show {made.id}` tells how it goes."
        session.answer({"id": made.id, "name": made.name}, told)
        return
    _ask(session, made, batch)


def _suite(session: Session, text: str) -> "Suite":
    from engine.suites.reading import find_suite, read_suite

    return read_suite(session.library, find_suite(session.library, text))


def _models(session: Session, names: list[str], bases: list[str], *, with_base: bool) -> tuple[str, ...]:
    """Who is asked; that each can answer is seen before anything is."""
    from engine.suites.seating import models_of, panes_of
    from tui.cli.chat import newest_finished

    known = [found(session, name) for name in names]
    if not known and not bases:
        newest = newest_finished(session)
        if newest is None:
            raise NotFound(
                "No run has an adapter to ask yet.", fix="`finetui demo` makes one; --base starter asks a base model."
            )
        known = [newest]
    models = models_of(known, bases, with_base=with_base)
    panes_of(session.store, session.home, models)
    return models


def _ask(session: Session, made: "SuiteRun", batch: int) -> None:
    """Ask in this process, with a line of progress."""
    from engine.suites.folder import SuiteDir
    from engine.suites.running import drive

    SuiteDir.of(session.home, made.id).begin()
    try:
        with session.progress() as progress:
            after = drive(
                session.home,
                session.store,
                session.library,
                made,
                batch=batch,
                on_progress=lambda words, at: _show_progress(progress, words, at),
            )
    except BaseException:
        say(f"What was answered is kept. `finetui suites run --resume {made.id}` asks the rest.")
        raise
    if after.ended is None:
        say(f"Stopped. `finetui suites run --resume {made.id}` asks the rest.")
    _show(session, after, prompts=0)


def _show_progress(progress: Progress, words: str, at: "SuiteProgress | None") -> None:
    if at is None or at.eta_s is None:
        progress.update(words)
        return
    errors = f"  {at.errors} errors" if at.errors else ""
    progress.update(words, at.done / max(1, at.total), f"{at.done}/{at.total}{errors}  {fmt_duration(at.eta_s)} left")


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

    _show(session, find_suite_run(session.store, suite_run), prompt=prompt, prompts=prompts)


def _show(session: Session, made: "SuiteRun", *, prompt: int | None = None, prompts: int) -> None:
    from tui.cli.suite_words import read, show_document, show_text

    taken = read(session, made)
    if prompt is not None and prompt not in {one.position + 1 for one in taken.suite.prompts}:
        raise NotFound(f"{made.name} has no prompt {prompt}.", fix=f"It has {len(taken.suite.prompts)}.")
    session.answer(show_document(taken, prompt), lambda: show_text(taken, prompt, prompts))


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
