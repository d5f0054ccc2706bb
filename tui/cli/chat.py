"""`finetui chat`: base models, adapters and models behind an address, side by side."""

import asyncio
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput, FinetuiError, NotFound
from tui.cli.blind import ask_for_vote, check_votable, lettered, voter_name, who_was_who
from tui.cli.chat_answers import Answer, Seat, answers_to, begin, show_text
from tui.cli.command import Session, command
from tui.cli.output import Progress, paint, say
from tui.cli.runs.finding import found_adapter
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.inference.pool import Sampling, ServerPool
    from store.records import Run

app = typer.Typer()

UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="OpenAI-compatible endpoint that answers, too.", show_default=False),
]
KeyEnvOption = Annotated[
    str,
    typer.Option("--key-env", metavar="VAR", help="Environment variable with the endpoint's key.", show_default=False),
]


class EngineName(StrEnum):
    """What base models and adapters run on."""

    own = "own"
    vllm = "vllm"


EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="What base and adapters run on; vllm where it is installed.")
]


@command(
    app,
    "chat",
    example=[
        "chat --run demo",
        "chat --run demo --run support-2 --prompt 'Where is my parcel?' --json",
        "chat --base starter --prompt Hello --temperature 0.7 --seed 1",
        "chat --run demo --url http://127.0.0.1:11434/v1 --model qwen3:8b",
        "chat --run demo --blind",
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
    url: UrlOption = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", metavar="NAME", help="Model at the endpoint; repeat it.")
    ] = None,
    key_env: KeyEnvOption = "",
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", metavar="TEXT", help="Answer this and end; repeat it.")
    ] = None,
    system: Annotated[str, typer.Option(metavar="TEXT", help="System message.", show_default=False)] = "",
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.", min=0.0)] = 0.0,
    top_p: Annotated[float, typer.Option(help="Likeliest tokens that make up this share.", min=0.0, max=1.0)] = 1.0,
    top_k: Annotated[int, typer.Option(help="Only so many likeliest tokens; 0 is all.", min=0)] = 0,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.", show_default=False)] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer.", min=1)] = 256,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TEXT", help="Text that ends an answer; repeat it.")
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Random order, letters for names; without --prompt, you vote.")
    ] = False,
    engine: EngineOption = EngineName.own,
) -> None:
    """Ask the base model and adapters the same, side by side.

    Without --run, --base and --url: the newest run that succeeded, beside its base. Without --prompt: a conversation,
    ended by Ctrl-D. With --url, models behind an address answer beside them, or alone. With --blind each question
    stands alone, and what you vote is kept.
    """
    from engine.inference.pool import Sampling

    if not prompts and (session.as_json or not _in_terminal()):
        raise BadInput("There is nothing to answer.", fix="Give --prompt TEXT, or start it in a terminal to converse.")
    elsewhere = remote_seats(url, models or [], key_env)
    here = seats_of(session, runs or [], base) if runs or base is not None or not elsewhere else []
    seats = [*here, *elsewhere]
    sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed, tuple(stop or ()))
    if blind and not prompts:
        check_votable(seats)
    elif blind:
        seats = lettered(seats)
    answers = _chat(session, seats, sampling, system, prompts or [], blind, engine)
    if prompts:
        session.answer(
            [
                {"prompt": prompt, "answers": [answer.document() for answer in group]}
                for prompt, group in zip(prompts, answers, strict=True)
            ],
            paint(who_was_who(seats), "dim") if blind else "",
        )
    errors = [answer.error for group in answers for answer in group if answer.error]
    if errors:
        raise FinetuiError("Not every model answered.", why="\n".join(dict.fromkeys(errors)))


def seats_of(session: Session, names: Sequence[str], base: str | None) -> list[Seat]:
    """The base model and the runs' adapters; without either, the newest run that succeeded, beside its base."""
    from engine.inference.panes import panes_for

    runs = [found_adapter(session, name) for name in names]
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


def remote_seats(url: str | None, models: Sequence[str], key_env: str) -> list[Seat]:
    """The models at an endpoint; without a name, the only one there. Raises `BadInput` where it is not clear which."""
    from engine.inference.endpoint import key_from
    from engine.inference.panes import remote_panes
    from engine.inference.remote import RemoteClient

    if url is None:
        if models or key_env:
            raise BadInput("--model and --key-env go with an endpoint.", fix="Name it: --url http://127.0.0.1:8000/v1.")
        return []
    key = key_from(key_env)
    if not models:
        models = asyncio.run(RemoteClient(url, key).models())
        if len(models) != 1:
            some = "\n".join(f"  {clean_line(name)}" for name in models[:30])
            raise BadInput(
                f"There are {len(models)} models at that address.", why=some, fix="Name one of them: --model NAME."
            )
    return [Seat(pane, pane.model) for pane in remote_panes(url, models, key_env)]


def newest_finished(session: Session) -> "Run | None":
    """The newest run that succeeded."""
    from store.records import Status

    runs = session.current().runs.list("status:succeeded", limit=1)
    return next((run for run in runs if run.status is Status.SUCCEEDED), None)


def _chat(
    session: Session,
    seats: list[Seat],
    sampling: "Sampling",
    system: str,
    prompts: Sequence[str],
    blind: bool,
    engine: EngineName,
) -> list[list[Answer]]:
    """Answer the prompts, or converse where there are none. One list of answers a prompt."""
    from engine.inference.pool import ServerPool

    with session.progress() as progress:
        pool = ServerPool(
            session.home, on_status=progress.update, engine="vllm" if engine is EngineName.vllm else "own"
        )
        try:
            if not prompts and blind:
                _converse_blind(session, pool, seats, sampling, system, progress)
                return []
            if not prompts:
                _converse(pool, seats, sampling, system, progress)
                return []
            said = []
            for prompt in prompts:
                conversations = [[*begin(system), {"role": "user", "content": prompt}] for _ in seats]
                if not session.as_json and len(prompts) > 1:
                    show_text(paint(f"> {clean(prompt)}", "bold") + "\n")
                answering = answers_to(pool, seats, conversations, sampling, progress, show=not session.as_json)
                said.append(asyncio.run(answering))
            _say_trust(pool, seats)
            return said
        finally:
            asyncio.run(pool.close())


def _converse(pool: "ServerPool", seats: list[Seat], sampling: "Sampling", system: str, progress: Progress) -> None:
    """Turns until Ctrl-D. Each model keeps to its own answers."""
    conversations = [begin(system) for _ in seats]
    show_text(f"{', '.join(clean(seat.pane.label) for seat in seats)}. Ctrl-D ends.\n")
    first = True
    while text := _next_question():
        for conversation in conversations:
            conversation.append({"role": "user", "content": text})
        answers = asyncio.run(answers_to(pool, seats, conversations, sampling, progress, show=True))
        for conversation, answer in zip(conversations, answers, strict=True):
            conversation.append({"role": "assistant", "content": answer.text})
        if first:
            _say_trust(pool, seats)
        first = False


def _say_trust(pool: "ServerPool", seats: Sequence[Seat]) -> None:
    """What the adapters' loading has shown, on stderr: whether each is on, and whether it is on its own base."""
    for seat in seats:
        trust = pool.trust(seat.pane)
        if trust is not None and not seat.label:
            say(f"{clean_line(seat.pane.label)}: {clean_line(trust.words())}")


def _converse_blind(
    session: Session, pool: "ServerPool", seats: list[Seat], sampling: "Sampling", system: str, progress: Progress
) -> None:
    """Questions and votes until Ctrl-D. Each question stands alone, so that both answer the same conversation."""
    voter = voter_name(session)
    show_text(f"Two models, A and B, in a new order for each question; {clean_line(voter)} votes. Ctrl-D ends.\n")
    while text := _next_question():
        hidden = lettered(seats)
        conversation = [*begin(system), {"role": "user", "content": text}]
        answers = asyncio.run(answers_to(pool, hidden, [conversation] * 2, sampling, progress, show=True))
        try:
            ask_for_vote(session.store, voter, hidden, conversation, answers)
        except EOFError:
            show_text("\n")
            return


def _in_terminal() -> bool:
    return sys.stdin.isatty()


def _next_question() -> str | None:
    """What is typed next; `None` at Ctrl-D."""
    import readline  # noqa: F401  (gives `input` its editing keys)

    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            show_text("\n")
            return None
        if text:
            return text
