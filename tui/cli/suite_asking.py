"""`finetui suites run`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput, NotFound
from tui.cli.chat import KeyEnvOption, UrlOption, newest_finished, remote_seats
from tui.cli.command import Session, command
from tui.cli.output import Progress, say
from tui.cli.runs.finding import found
from tui.format import fmt_duration
from tui.text import clean

if TYPE_CHECKING:
    from engine.inference.panes import Pane
    from engine.suites.asking import SuiteProgress
    from engine.suites.reading import Suite
    from store.talk_records import SuiteRun
    from tui.cli.chat_answers import Seat

app = typer.Typer()


@command(
    app,
    "run",
    example=[
        "suites run everyday --run demo",
        "suites run questions.jsonl --run demo --run support-2 --no-base --name first",
        "suites run everyday --run demo --url http://127.0.0.1:11434/v1 --model qwen3:8b",
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
    url: UrlOption = None,
    remote: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="Model at the endpoint; repeat it.")
    ] = None,
    key_env: KeyEnvOption = "",
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

    Without --run, --base and --url: the newest run that succeeded, beside its base. What was killed or stopped goes
    on with --resume: only what is missing is asked, and again what ended in an error.
    """
    from engine.inference.pool import Sampling
    from engine.suites.kept import suite_of
    from engine.suites.running import find_suite_run, new_suite_run

    if bool(suite) == bool(resume):
        raise BadInput("Name a suite to ask, or the suite run to go on with by --resume, one of them.")
    if resume:
        made = find_suite_run(session.store, resume)
        suite_of(session.library, made)
    else:
        asked = _suite(session, suite)
        asked = asked.first(limit) if limit else asked
        here = _models(session, runs or [], bases or [], with_base=not no_base) if runs or bases or url is None else ()
        endpoints = keep_endpoints(session, remote_seats(url, remote or [], key_env))
        sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed)
        made = new_suite_run(
            session.store, asked, [*here, *endpoints], sampling, name=name, system=system, endpoints=endpoints
        )
    if detach:
        from engine.suites.driver import start_driver

        start_driver(session.home, made.id)
        told = f"Started {clean(made.name)} ({made.id}).\n`finetui suites show {made.id}` tells how it goes."
        session.answer({"id": made.id, "name": made.name}, told)
        return
    _ask(session, made, batch)


def keep_endpoints(session: Session, seats: "Sequence[Seat]") -> "dict[str, Pane]":
    """What answers for models at an address, by how votes name them. They can be chosen in the app from now on."""
    from engine.suites.endpoints import FarModel, keep_endpoint

    found = {}
    for pane in (seat.pane for seat in seats):
        far = FarModel(pane.model, pane.url, pane.key_env)
        keep_endpoint(session.home, far)
        found[far.model] = pane
    return found


def _suite(session: Session, text: str) -> "Suite":
    from engine.suites.reading import find_suite, read_suite

    return read_suite(session.library, find_suite(session.library, text))


def _models(session: Session, names: list[str], bases: list[str], *, with_base: bool) -> tuple[str, ...]:
    """Who is asked; that each can answer is seen before anything is."""
    from engine.suites.seating import models_of, panes_of

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
    from engine.suites.running import drive
    from tui.cli.suite_words import answer_run

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
    answer_run(session, after, prompts=0)


def _show_progress(progress: Progress, words: str, at: "SuiteProgress | None") -> None:
    if at is None or at.eta_s is None:
        progress.update(words)
        return
    errors = f"  {at.errors} errors" if at.errors else ""
    progress.update(words, at.done / max(1, at.total), f"{at.done}/{at.total}{errors}  {fmt_duration(at.eta_s)} left")
