"""A pool without models, and the API over it: in this process, or on a real socket."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from engine.inference.panes import Pane
from engine.inference.pool import Delta, Prompt, Sampling
from engine.serving.app import make_app
from engine.serving.guard import App, Guard, Rules
from engine.serving.offers import Offers
from engine.serving.running import listen_tcp, serve
from store.talk_records import Passage

TOKEN = "a-token-of-some-length"
BASE = Pane("base", "/models/m", None, True, None, None)
SUPPORT = Pane("support", "/models/m", None, True, Path("/runs/r1/adapter"), "r1")
OTHER = Pane("other", "/models/n", None, True, Path("/runs/r2/adapter"), "r2")
HELLO = [{"role": "user", "content": "hello"}]


class StandIn:
    """Answers each prompt with its last message, word by word or whole, and its own name before it."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[Pane], list[Prompt], Sampling]] = []
        self.error: Exception | None = None
        self.fails_after = 0
        """Pieces that come before the error."""
        self.endless = False
        self.ended: list[str] = []
        """How each answer ended: `done`, or `cancelled`."""

    async def answer(
        self, panes: Sequence[Pane], prompts: Sequence[Prompt], sampling: Sampling, *, pieces: bool = True
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append((list(panes), list(prompts), sampling))
        how = "cancelled"
        try:
            said = prompts[0] if isinstance(prompts[0], str) else prompts[0][-1]["content"]
            words = f"{panes[0].label}: {said}".split(" ")
            for number, word in enumerate(words if pieces else [" ".join(words)]):
                if self.error is not None and (number == self.fails_after or not pieces):
                    raise self.error
                yield Delta(0, word if number == 0 else f" {word}")
                await asyncio.sleep(0)
            while self.endless:
                yield Delta(0, " and so on" * 1000)
                await asyncio.sleep(0.001)
            yield Delta(0, "", True, len(words), 0.1, 50.0, finish_reason="stop", prompt_tokens=7)
            how = "done"
        finally:
            self.ended.append(how)


class Api:
    """The API over a stand-in: what was asked of it, what it said to whoever runs it."""

    def __init__(self, rules: Rules | None = None, panes: Sequence[Pane] = (BASE, SUPPORT, OTHER)) -> None:
        self.pool = StandIn()
        self.said: list[str] = []
        self.looked_up: list[tuple[str, str]] = []
        self.offers = Offers(panes, ["notes"])
        self.app: Guard = make_app(self.pool, self.offers, rules, self.look_up, self.said.append)

    def look_up(self, name: str, question: str) -> list[Passage]:
        self.looked_up.append((name, question))
        return [Passage(name, "/home/me/private/parcels.md", "Parcels", "They come on Tuesday.", 2.5)]

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        async with client_of(self.app) as client:
            return await client.post(path, **given, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        async with client_of(self.app) as client:
            return await client.get(path, **options)


@asynccontextmanager
async def client_of(app: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@contextmanager
def served(app: App, door: socket.socket | None = None) -> Iterator[str]:
    """The app on a real socket, in a thread; gives its address."""
    door = door or listen_tcp("127.0.0.1", 0)
    url = f"http://127.0.0.1:{door.getsockname()[1]}" if door.family == socket.AF_INET else ""
    ready, end = threading.Event(), threading.Event()

    async def run() -> None:
        task = asyncio.create_task(serve(app, door, ready.set))
        while not end.is_set() and not task.done():
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert ready.wait(20)
        yield url
    finally:
        end.set()
        thread.join(20)
        assert not thread.is_alive()
