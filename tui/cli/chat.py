"""`finetui chat`: the base model and adapters side by side, answered in one batch."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import BadInput, FinetuiError, NotFound
from tui.cli.command import Session, command
from tui.cli.output import Progress, paint
from tui.cli.runs.finding import found
from tui.format import fmt_rate
from tui.text import clean

if TYPE_CHECKING:
    from engine.inference.pool import Pane, Sampling, ServerPool
    from store.records import Run

app = typer.Typer()
Conversation = list[dict[str, str]]


@dataclass(frozen=True)
class Seat:
    """One who answers, and the base model it is made of, by the name a person knows."""

    pane: "Pane"
    model: str


@dataclass(frozen=True)
class Answer:
    """What one model said to one prompt."""

    model: str
    run: str | None
    text: str
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    error: str | None = None

    def document(self) -> dict[str, Any]:
        known = {
            "model": self.model,
            "run": self.run,
            "text": self.text,
            "tokens": self.tokens,
            "first_token_s": self.first_token_s,
            "tokens_per_s": self.tokens_per_s,
        }
        return known | ({"error": self.error} if self.error else {})


@command(
    app,
    "chat",
    example=[
        "chat --run demo",
        "chat --run demo --run support-2 --prompt 'Where is my parcel?' --json",
        "chat --base starter --prompt Hello --temperature 0.7 --seed 1",
    ],
)
def chat(
    session: Session,
    runs: Annotated[
        list[str] | None, typer.Option("--run", metavar="R", help="Run whose adapter answers; repeat it.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="M", help="Base model; else that of the runs.", show_default=False)
    ] = None,
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", metavar="TEXT", help="Answer this and end; repeat it.")
    ] = None,
    system: Annotated[str, typer.Option(metavar="TEXT", help="System message.", show_default=False)] = "",
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.", min=0.0)] = 0.0,
    top_p: Annotated[float, typer.Option(help="Likeliest tokens that make up this share.", min=0.0, max=1.0)] = 1.0,
    top_k: Annotated[int, typer.Option(help="Only so many likeliest tokens; 0 is all.", min=0)] = 0,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.", show_default=False)] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer.", min=1)] = 256,
) -> None:
    """Ask the base model and adapters the same, side by side.

    Without --run and --base: the newest run that succeeded, beside its base. Without --prompt: a conversation, ended
    by Ctrl-D.
    """
    from engine.inference.pool import Sampling

    if not prompts and (session.as_json or not sys.stdin.isatty()):
        raise BadInput("There is nothing to answer.", fix="Give --prompt TEXT, or start it in a terminal to converse.")
    seats = seats_of(session, runs or [], base)
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed)
    answers = _chat(session, seats, sampling, system, prompts or [])
    if prompts:
        session.answer(
            [
                {"prompt": prompt, "answers": [answer.document() for answer in group]}
                for prompt, group in zip(prompts, answers, strict=True)
            ],
            "",
        )
    errors = [answer.error for group in answers for answer in group if answer.error]
    if errors:
        raise FinetuiError("Not every model answered.", why="\n".join(dict.fromkeys(errors)))


def seats_of(session: Session, names: Sequence[str], base: str | None) -> list[Seat]:
    """The base model and the runs' adapters; without either, the newest run that succeeded, beside its base."""
    from engine.inference.panes import panes_for

    runs = [found(session, name) for name in names]
    if not runs and base is None:
        newest = newest_finished(session)
        if newest is None:
            raise NotFound(
                "No run has an adapter to chat with yet.",
                fix="`finetui demo` makes one; --base starter asks a base model.",
            )
        runs = [newest]
    panes = panes_for(runs, base, session.home)
    models = {run.id: run.model for run in runs}
    return [Seat(pane, models[pane.run_id] if pane.run_id else base or runs[0].model) for pane in panes]


def newest_finished(session: Session) -> "Run | None":
    """The newest run that succeeded."""
    from store.records import Status

    runs = session.current().runs.list("status:succeeded", limit=1)
    return next((run for run in runs if run.status is Status.SUCCEEDED), None)


def _chat(
    session: Session, seats: list[Seat], sampling: "Sampling", system: str, prompts: Sequence[str]
) -> list[list[Answer]]:
    """Answer the prompts, or converse where there are none. One list of answers a prompt."""
    from engine.inference.pool import ServerPool

    with session.progress() as progress:
        pool = ServerPool(session.home, on_status=progress.update)
        try:
            if not prompts:
                _converse(pool, seats, sampling, system, progress)
                return []
            said = []
            for prompt in prompts:
                conversations = [[*_begin(system), {"role": "user", "content": prompt}] for _ in seats]
                if not session.as_json and len(prompts) > 1:
                    _show(paint(f"> {clean(prompt)}", "bold") + "\n")
                answering = answers_to(pool, seats, conversations, sampling, progress, show=not session.as_json)
                said.append(asyncio.run(answering))
            return said
        finally:
            asyncio.run(pool.close())


def _converse(pool: "ServerPool", seats: list[Seat], sampling: "Sampling", system: str, progress: Progress) -> None:
    """Turns until Ctrl-D. Each model keeps to its own answers."""
    import readline  # noqa: F401  (gives `input` its editing keys)

    conversations = [_begin(system) for _ in seats]
    _show(f"{', '.join(clean(seat.pane.label) for seat in seats)}. Ctrl-D ends.\n")
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            _show("\n")
            return
        if not text:
            continue
        for conversation in conversations:
            conversation.append({"role": "user", "content": text})
        answers = asyncio.run(answers_to(pool, seats, conversations, sampling, progress, show=True))
        for conversation, answer in zip(conversations, answers, strict=True):
            conversation.append({"role": "assistant", "content": answer.text})


async def answers_to(
    pool: "ServerPool",
    seats: Sequence[Seat],
    conversations: Sequence[Conversation],
    sampling: "Sampling",
    progress: Progress,
    *,
    show: bool,
) -> list[Answer]:
    """All panes at once. With `show`, one pane after the other reaches the terminal, the first of them as it comes."""
    answers = [Answer(seat.model, seat.pane.run_id, "") for seat in seats]
    printer = _InOrder([seat.pane.label for seat in seats]) if show else None
    async for delta in pool.answer([seat.pane for seat in seats], conversations, sampling):
        progress.clear()
        before = answers[delta.pane]
        after = replace(before, text=before.text + delta.text)
        if delta.done:
            after = replace(
                after,
                tokens=delta.tokens,
                first_token_s=delta.first_token_s,
                tokens_per_s=delta.tokens_per_s,
                error=delta.error,
            )
        answers[delta.pane] = after
        if printer:
            printer.take(delta.pane, delta.text, after if delta.done else None)
    return answers


class _InOrder:
    """Prints the panes one after the other while they all stream."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._waiting = [""] * len(labels)
        self._ended: list[Answer | None] = [None] * len(labels)
        self._at = 0
        self._started = False

    def take(self, pane: int, text: str, ended: Answer | None) -> None:
        """More text of a pane, and its whole answer once it is at its end."""
        self._waiting[pane] += text
        self._ended[pane] = ended
        while self._at < len(self._labels):
            if not self._started:
                _show(paint(f"{clean(self._labels[self._at])}: ", "bold"))
                self._started = True
            _show(clean(self._waiting[self._at]))
            self._waiting[self._at] = ""
            answer = self._ended[self._at]
            if answer is None:
                return
            _show("\n" + paint(_figures(answer), "dim") + "\n")
            self._at += 1
            self._started = False


def _figures(answer: Answer) -> str:
    if answer.error:
        return clean(answer.error)
    first = f"{answer.first_token_s:.2f} s to the first" if answer.first_token_s is not None else ""
    speed = f"{fmt_rate(answer.tokens_per_s)} tokens/s" if answer.tokens_per_s is not None else ""
    return ", ".join(
        part for part in (f"{answer.tokens} tokens" if answer.tokens is not None else "", first, speed) if part
    )


def _begin(system: str) -> Conversation:
    return [{"role": "system", "content": system}] if system else []


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
