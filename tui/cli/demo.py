"""`finetui demo`: from nothing to an adapter that answers otherwise than its base, on any machine."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import FinetuiError
from tui.cli.command import Session, command
from tui.cli.documents import run_document
from tui.cli.opening import needs_terminal, show_app
from tui.cli.output import Progress, fields, table
from tui.cli.waiting import wait_for
from tui.format import fmt_duration, fmt_number

if TYPE_CHECKING:
    from engine.demo import Answered
    from store.records import Run

app = typer.Typer()


@command(app, "demo", example=["demo", "demo --headless --json"])
def demo(
    session: Session,
    headless: Annotated[
        bool, typer.Option("--headless", help="Without the app: wait, ask, print a summary. --json implies it.")
    ] = False,
) -> None:
    """Train an adapter on sample data, with a starter model that is built on this machine, and open it in the app.

    A demo run that is live or done is opened again. With --headless, ten questions are put to the base model and to the
    adapter; exit status 1 when fewer than 8 of the adapter's answers are what the data teaches.
    """
    headless = headless or session.as_json
    if not headless:
        needs_terminal()
    from engine import demo as steps

    began = time.time()
    with session.progress() as progress:
        progress.update("importing the sample data")
        run = steps.start(session.manager, session.library, session.store)
        if headless:
            document = _headless(session, run, progress, began)
    if headless:
        session.answer(document, lambda: _text(document))
        match = document["match"]
        if match["adapter"] < steps.NEEDED:
            raise FinetuiError(
                f"Only {match['adapter']} of {match['of']} answers of the adapter are what the data teaches.",
                fix="Remove the run and try again; if it stays so, `finetui doctor` may say why.",
            )
        return
    session.close()
    status = show_app(session.home, open_run=run.id)
    if status:
        raise typer.Exit(status)


def _headless(session: Session, run: "Run", progress: Progress, began: float) -> dict[str, Any]:
    """Wait for the run, ask both models, sum up. Raises `FinetuiError` where the run did not succeed."""
    from engine import demo as steps
    from store.records import Status

    ended = wait_for(session, run, progress)
    if ended.status is not Status.SUCCEEDED:
        raise FinetuiError(
            f"The demo run ended as {ended.status}.",
            why=ended.reason,
            fix=f"`finetui runs log {ended.id}` prints its log.",
        )
    asked = time.time()
    answers = asyncio.run(_ask(session, ended, progress))
    seconds = steps.durations(ended, began) | {
        "answers": round(time.time() - asked, 1),
        "total": round(time.time() - began, 1),
    }
    return steps.summary(ended, run_document(ended), session.store, answers, seconds)


async def _ask(session: Session, run: "Run", progress: Progress) -> "list[Answered]":
    from engine import demo as steps
    from engine.inference.pool import ServerPool

    pool = ServerPool(session.home, on_status=progress.update)
    try:
        probes = steps.choose_probes(session.library, run.dataset_id)
        return await steps.ask(
            pool, run, probes, lambda done, of: progress.update("asking both models", done / of, f"{done} of {of}")
        )
    finally:
        await pool.close()


def _text(document: dict[str, Any]) -> str:
    before, after, match, seconds = (document[name] for name in ("before", "after", "match", "seconds"))
    losses = table(
        ("", "BEFORE", "AFTER"),
        [
            ("train loss", fmt_number(before["train_loss"]), fmt_number(after["train_loss"])),
            ("eval loss", fmt_number(before["eval_loss"]), fmt_number(after["eval_loss"])),
        ],
        right=("BEFORE", "AFTER"),
    )
    answers = [
        fields(
            [
                ("prompt", answer["prompt"]),
                ("taught", answer["expected"]),
                (f"base    {answer['base_similarity']:.2f}", answer["base"] or "(nothing)"),
                (f"adapter {answer['adapter_similarity']:.2f}", answer["adapter"] or "(nothing)"),
            ]
        )
        for answer in document["answers"]
    ]
    result = (
        f"{match['adapter']} of {match['of']} answers of the adapter are what the data teaches, {match['base']} of the "
        f"base's.\nA match is a {match['how']}."
    )
    took = ", ".join(f"{name} {fmt_duration(value)}" for name, value in seconds.items())
    layers = f"{document['linear4bit']} 4-bit layers; took: {took}"
    return "\n\n".join([*answers, losses, result, layers])
