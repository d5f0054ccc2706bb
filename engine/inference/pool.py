"""Answers from base models and adapters, as they are written. Starts, keeps and ends the model servers behind them."""

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.client import ModelClient, Sampling, ServerGone
from engine.inference.panes import Pane, panes_for
from engine.inference.process import ServerProcess

__all__ = ["Answer", "Delta", "Pane", "Sampling", "ServerPool", "panes_for"]

Conversation = list[dict[str, str]]

MOST_ROWS = 32
"""Answers in one batch; more are asked for in several."""
POLL_S = 0.1


@dataclass(frozen=True)
class Delta:
    """A piece of one pane's answer: `pane` is its place in the request.

    The last one of a pane is `done`, with the figures of the whole answer, or with the `error` that kept it from being
    one. `first_token_s` counts from the start of the batch; `tokens_per_s` is the speed after the first token.
    """

    pane: int
    text: str = ""
    done: bool = False
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Answer:
    """A pane's whole answer."""

    pane: Pane
    text: str
    tokens: int | None
    first_token_s: float | None
    tokens_per_s: float | None


class ServerPool:
    """One model server for each base model in use. `on_status` gets a line whenever there is something to wait for."""

    def __init__(self, home: Home, on_status: Callable[[str], None] | None = None, *, idle_s: float = 900.0) -> None:
        self.on_status = on_status
        self._home = home
        self._idle_s = idle_s
        self._servers: dict[object, ServerProcess] = {}
        self._starting = threading.Lock()
        self._closed = False

    async def answer(
        self, panes: Sequence[Pane], conversations: Sequence[Conversation], sampling: Sampling
    ) -> AsyncGenerator[Delta, None]:
        """The answers of `panes` to a conversation each, piece by piece; panes of one base model in one batch.

        Where all panes are of one base model, what goes wrong is raised as a `FinetuiError`. Else it is the `error` of
        the panes it concerns, and the others are answered. Leaving the iterator (`aclose`) cancels the generation.
        """
        if len(panes) != len(conversations):
            raise ValueError(f"{len(panes)} panes, {len(conversations)} conversations")
        groups = _groups(panes)
        arrived: asyncio.Queue[Delta | _Ended] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._answer_group(group, panes, conversations, sampling, arrived)) for group in groups
        ]
        servers = {panes[group[0]].server for group in groups}
        try:
            going = len(tasks)
            while going:
                item = await arrived.get()
                if isinstance(item, Delta):
                    yield item
                    continue
                going -= 1
                if item.error is None:
                    continue
                if len(servers) == 1:
                    raise item.error
                for pane in item.unanswered:
                    yield Delta(pane, done=True, error=str(item.error))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def answer_all(
        self, panes: Sequence[Pane], conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Answer]:
        """Whole answers, for callers without an event loop. Raises `FinetuiError` where one cannot be had."""

        async def collect() -> list[Answer]:
            texts = [""] * len(panes)
            last: dict[int, Delta] = {}
            async with aclosing(self.answer(panes, conversations, sampling)) as deltas:
                async for delta in deltas:
                    if delta.error:
                        raise FinetuiError(f"{panes[delta.pane].label} could not answer.", why=delta.error)
                    texts[delta.pane] += delta.text
                    if delta.done:
                        last[delta.pane] = delta
            return [
                Answer(pane, texts[index], end.tokens, end.first_token_s, end.tokens_per_s)
                for index, pane in enumerate(panes)
                for end in (last[index],)
            ]

        return asyncio.run(collect())

    async def close(self) -> None:
        """End the servers, within a few seconds. Nothing can be asked afterwards."""
        await asyncio.to_thread(self._stop_all)

    def _stop_all(self) -> None:
        with self._starting:
            self._closed = True
            servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.stop()

    async def _answer_group(
        self,
        group: Sequence[int],
        panes: Sequence[Pane],
        conversations: Sequence[Conversation],
        sampling: Sampling,
        arrived: "asyncio.Queue[Delta | _Ended]",
    ) -> None:
        """Answer the panes at the places `group`, which share a server. The last thing put is an `_Ended`."""
        open_panes = list(group)
        error: FinetuiError | None = None
        try:
            for attempt in (1, 2):
                began = False
                server = await self._ready(panes[group[0]])
                client = ModelClient(server.socket)
                try:
                    models = await self._models(client, [panes[index] for index in group])
                    asked = [conversations[index] for index in group]
                    async with aclosing(client.chat(models, asked, sampling)) as chunks:
                        async for chunk in chunks:
                            began = True
                            pane = group[chunk.row]
                            if chunk.done:
                                open_panes.remove(pane)
                            arrived.put_nowait(
                                Delta(
                                    pane, chunk.text, chunk.done, chunk.tokens, chunk.first_token_s, chunk.tokens_per_s
                                )
                            )
                    break
                except ServerGone as gone:
                    # It may have been at its end, idle, when it was asked; a second time that is no coincidence.
                    if began or attempt == 2:
                        raise FinetuiError(
                            "The model server ended in the middle of an answer.",
                            why=server.log_tail() or str(gone),
                            fix=f"Ask again: it is started again. Its log is {server.log}.",
                        ) from gone
        except FinetuiError as failure:
            error = failure
        except (OSError, ValueError, KeyError) as failure:
            error = FinetuiError("The model server could not be asked.", why=f"{type(failure).__name__}: {failure}")
        arrived.put_nowait(_Ended(error, open_panes))

    async def _ready(self, pane: Pane) -> ServerProcess:
        """The server for `pane`, once it can answer: a new one where there is none, or it has ended."""
        known = self._servers.get(pane.server)
        if known is None or not known.alive:
            self._say("starting the model server")
        server = await asyncio.to_thread(self._server, pane)
        said = ""
        while True:
            try:
                health = await ModelClient(server.socket).health()
            except ServerGone:
                if server.alive:
                    await asyncio.sleep(POLL_S)
                elif server.was_ready:
                    server = await asyncio.to_thread(self._server, pane)
                else:
                    raise FinetuiError(
                        "The model server ended while it was starting.",
                        why=server.log_tail(),
                        fix=f"Its log is {server.log}. `finetui doctor` checks what it needs.",
                    ) from None
                continue
            if health.status == "ready":
                server.was_ready = True
                return server
            if health.status == "failed":
                await asyncio.to_thread(server.stop)
                raise health.error or FinetuiError("The model cannot be loaded.", why=health.detail)
            if health.detail != said:
                said = health.detail
                self._say(said)
            await asyncio.sleep(POLL_S)

    def _server(self, pane: Pane) -> ServerProcess:
        """The live process for `pane`, started here where there is none."""
        with self._starting:
            if self._closed:
                raise FinetuiError("The model servers have been closed.")
            server = self._servers.get(pane.server)
            if server is not None and server.alive:
                return server
            if server is not None:
                server.stop()
            server = self._servers[pane.server] = ServerProcess(self._home, pane, self._idle_s)
            return server

    async def _models(self, client: ModelClient, panes: Sequence[Pane]) -> list[str]:
        """What the server calls each pane, its adapter loaded and up to date."""
        known = set(await client.models())
        names = []
        for pane in panes:
            if pane.adapter is None:
                names.append("base")
                continue
            stem, name = _adapter_name(pane, pane.adapter)
            if name not in known:
                for outdated in [old for old in known if old.rpartition("-")[0] == stem]:
                    await client.remove_adapter(outdated)
                    known.remove(outdated)
                self._say(f"loading adapter {pane.label}")
                for warning in await client.load_adapter(name, pane.adapter):
                    self._say(warning)
                known.add(name)
            names.append(name)
        return names

    def _say(self, line: str) -> None:
        if self.on_status is not None:
            self.on_status(line)


@dataclass(frozen=True)
class _Ended:
    """A group is at its end; `unanswered` are the panes that `error` kept from one."""

    error: FinetuiError | None
    unanswered: list[int]


def _groups(panes: Sequence[Pane]) -> list[list[int]]:
    """Places of the panes that share a server, at most `MOST_ROWS` together."""
    by_server: dict[object, list[int]] = {}
    for index, pane in enumerate(panes):
        by_server.setdefault(pane.server, []).append(index)
    return [
        group[start : start + MOST_ROWS] for group in by_server.values() for start in range(0, len(group), MOST_ROWS)
    ]


def _adapter_name(pane: Pane, folder: Path) -> tuple[str, str]:
    """The pane's stem and its name at the server, which changes when the adapter's file does (a resumed run)."""
    file = folder / "adapter_model.safetensors"
    try:
        state = file.stat()
    except OSError as error:
        raise FinetuiError(
            f"The adapter of {pane.label} is gone.", why=f"There is no {file}.", fix="Was the run deleted?"
        ) from error
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", pane.run_id or folder.name)[:60]
    print_of = hashlib.sha256(f"{folder} {state.st_mtime_ns} {state.st_size}".encode()).hexdigest()[:8]
    return stem, f"{stem}-{print_of}"
