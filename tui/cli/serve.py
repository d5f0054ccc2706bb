"""`finetui serve`: the models of this machine for other programs, over an API that OpenAI's clients speak."""

import asyncio
import json
import shlex
import socket
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import FinetuiError
from tui.cli.chat import seats_of
from tui.cli.command import Session, command
from tui.cli.output import fields, say
from tui.text import clean

if TYPE_CHECKING:
    from engine.inference.pool import ServerPool
    from engine.serving.answering import LookUp
    from engine.serving.guard import App
    from engine.serving.offers import Offers

app = typer.Typer()


@dataclass(frozen=True)
class Place:
    """Where the server is found. Over a unix socket there is no token."""

    url: str
    token_file: Path | None = None
    socket: Path | None = None
    elsewhere: str = ""
    """Its address for other machines, where they can reach it."""

    def example(self, model: str) -> str:
        """A command that asks `model` something."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
        words = ["curl"]
        if self.socket is not None:
            words += ["--unix-socket", shlex.quote(str(self.socket)), "http://finetui/v1/chat/completions"]
        else:
            words.append(f"{self.url}/v1/chat/completions")
        if self.token_file is not None:
            words += ["-H", f'"Authorization: Bearer $(cat {shlex.quote(str(self.token_file))})"']
        return " ".join([*words, "-H 'Content-Type: application/json' -d", shlex.quote(body)])


@command(
    app,
    "serve",
    example=[
        "serve --run demo",
        "serve --run support --run support-2 --knowledge notes --port 0",
        "serve --base starter --socket /tmp/finetui.sock --json",
    ],
)
def serve(
    session: Session,
    runs: Annotated[
        list[str] | None, typer.Option("--run", metavar="R", help="Run whose adapter is offered; repeat it.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="M", help="Base model; else that of the runs.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="F", help="File with the token; made if missing.", show_default=False),
    ] = None,
    unix_socket: Annotated[
        Path | None,
        typer.Option("--socket", metavar="PATH", help="A unix socket instead: no token.", show_default=False),
    ] = None,
    knowledge: Annotated[
        list[str] | None,
        typer.Option("--knowledge", metavar="K", help="Offer each model with these notes too; repeat it."),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Name by which this machine is called; repeat it."),
    ] = None,
) -> None:
    """Serve the base model and adapters to other programs, and a page for a browser. Ctrl-C ends it.

    Without --run and --base: the newest run that succeeded, beside its base.
    """
    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise FinetuiError(
            "There is no web server here.",
            why="The training side, which brings it, is not installed.",
            fix="Install it with: pip install 'finetui[train]'",
        )
    from engine.inference.pool import ServerPool
    from engine.serving.app import make_app
    from engine.serving.guard import Rules, is_loopback, rules_for
    from engine.serving.offers import Offers
    from engine.serving.running import listen_tcp, listen_unix, remove_socket
    from engine.serving.token_file import read_or_make

    collections, look_up = _noted(session, knowledge) if knowledge else ([], None)
    offers = Offers([seat.pane for seat in seats_of(session, runs or [], base)], collections)
    if unix_socket is not None:
        path = unix_socket.expanduser().absolute()
        door, rules, place = listen_unix(path), Rules(), Place(f"unix:{path}", socket=path)
    else:
        token, file = read_or_make(session.home, token_file)
        door = listen_tcp(host, port)
        rules = rules_for(host, token, (socket.gethostname(), *(names or ())))
        number = door.getsockname()[1]
        elsewhere = "" if is_loopback(host) else _url(socket.gethostname(), number)
        place = Place(_url(host, number), file, elsewhere=elsewhere)
        if place.elsewhere:
            say(
                f"Warning: {host} is not the loopback. Everybody who reaches this machine reaches this server; what "
                "they send and the token itself cross the network unencrypted. Put a TLS proxy or an SSH tunnel before "
                "it, and keep the token to those who may ask."
            )
    own = place.socket.stat() if place.socket is not None else None
    tell = _Telling()
    pool = ServerPool(session.home, on_status=tell)
    try:
        asyncio.run(_serve(session, pool, offers, make_app(pool, offers, rules, look_up, tell), door, place, tell))
    finally:
        door.close()
        asyncio.run(pool.close())
        if place.socket is not None:
            remove_socket(place.socket, own)


async def _serve(
    session: Session,
    pool: "ServerPool",
    offers: "Offers",
    api: "App",
    door: socket.socket,
    place: Place,
    tell: "_Telling",
) -> None:
    from engine.serving.running import serve as run

    warming: list[asyncio.Task[None]] = []

    def ready() -> None:
        document = {"url": place.url, "token_file": str(place.token_file) if place.token_file else None}
        session.answer(document | {"models": offers.names}, lambda: _welcome(offers, place))
        warming.append(asyncio.create_task(_warm(pool, offers, tell)))

    try:
        await run(api, door, ready)
    finally:
        for task in warming:
            task.cancel()
        await asyncio.gather(*warming, return_exceptions=True)


async def _warm(pool: "ServerPool", offers: "Offers", tell: "_Telling") -> None:
    """Load every model now: the first who asks need not wait, and what cannot be loaded is known at once."""
    from engine.inference.pool import Sampling

    panes = offers.panes
    hello = [{"role": "user", "content": "Hello"}]
    try:
        async with aclosing(pool.answer(panes, [hello] * len(panes), Sampling(max_new_tokens=1))) as deltas:
            async for delta in deltas:
                if delta.error:
                    tell(f"{panes[delta.pane].label} cannot answer: {delta.error}")
    except FinetuiError as error:
        tell(str(error))
    else:
        say("The models are loaded.")


def _noted(session: Session, names: Sequence[str]) -> "tuple[list[str], LookUp]":
    """The collections of notes of these names, and the search in them. Raises `NotFound` for one that is not there."""
    from engine.knowledge.library import KnowledgeLibrary

    library = KnowledgeLibrary(session.store)
    return [library.get(name).name for name in names], lambda name, question: library.search([name], question)


def _welcome(offers: "Offers", place: Place) -> str:
    known = fields(
        [
            ("url", place.url),
            ("page", f"{place.url}/" if place.socket is None else ""),
            ("elsewhere", place.elsewhere),
            ("token file", place.token_file or ""),
            ("models", ", ".join(offers.names)),
        ]
    )
    return f"{known}\n\n{clean(place.example(offers.default.name))}\n\nCtrl-C ends."


def _url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host.strip("[]")
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


class _Telling:
    """Lines for whoever runs the server; what models and requests bring cannot reach the terminal as it is.

    Requests that wait for one model say the same; that is shown once.
    """

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, line: str) -> None:
        shown = clean(line)
        if shown != self._last:
            self._last = shown
            say(shown)
