"""The model servers of this machine: one process for each base model in use, with the adapters on it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.inference.client import Chunk, ModelClient, Prompt, Sampling, ServerGone
from engine.inference.panes import Pane, adapter_name
from engine.inference.process import ServerProcess
from engine.inference.trust import Trust

POLL_S = 0.1


class LocalServers:
    """Starts, keeps and ends the servers. `say` gets a line whenever there is something to wait for."""

    def __init__(self, home: Home, say: Callable[[str], None], idle_s: float) -> None:
        self._home = home
        self._say = say
        self._idle_s = idle_s
        self._servers: dict[object, ServerProcess] = {}
        self._trust: dict[object, Trust] = {}
        self._starting = threading.Lock()
        self._closed = False

    async def answers(
        self, panes: Sequence[Pane], prompts: Sequence[Prompt], sampling: Sampling, *, pieces: bool
    ) -> AsyncGenerator[Chunk, None]:
        """The answers of `panes`, which share a server, in one batch. Raises `FinetuiError`."""
        for attempt in (1, 2):
            began = False
            # One that has answered before is asked at once; where it has ended meanwhile, a second time tells.
            server = self._known(panes[0]) if attempt == 1 else None
            server = server or await self._ready(panes[0])
            client = ModelClient(server.socket)
            try:
                models = await self._models(server, client, panes)
                async with aclosing(client.answers(models, prompts, sampling, pieces=pieces)) as chunks:
                    async for chunk in chunks:
                        began = True
                        yield chunk
                return
            except ServerGone as gone:
                # It may have been at its end, idle, when it was asked; a second time that is no coincidence.
                if began or attempt == 2:
                    raise FinetuiError(
                        "The model server ended in the middle of an answer.",
                        why=await asyncio.to_thread(_why, server) or str(gone),
                        fix=f"Ask again: it is started again. Its log is {server.log}.",
                    ) from gone

    def trust(self, pane: Pane) -> Trust | None:
        """What was checked when the pane's adapter was last loaded."""
        return self._trust.get((pane.server, pane.adapter))

    def close(self) -> None:
        """End the servers, within a few seconds."""
        with self._starting:
            self._closed = True
            servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.stop()

    def _known(self, pane: Pane) -> ServerProcess | None:
        """The server for `pane` where it is alive and has been ready."""
        server = self._servers.get(pane.server)
        return server if server is not None and server.was_ready and server.alive else None

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
                        why=server.last_words(),
                        fix=f"Its log is {server.log}. `finetui doctor` checks what it needs.",
                    ) from None
                continue
            if health.status == "ready":
                if not server.was_ready and health.trust is not None:
                    self._trust[(pane.server, None)] = health.trust
                    for warning in health.trust.warnings:
                        self._say(warning)
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

    async def _models(self, server: ServerProcess, client: ModelClient, panes: Sequence[Pane]) -> list[str]:
        """What the server calls each pane, its adapter loaded and up to date."""
        known, names = server.adapters, []
        for pane in panes:
            if pane.adapter is None:
                names.append("base")
                continue
            stem, name = adapter_name(pane, pane.adapter)
            if name not in known:
                for outdated in [old for old in known if old.rpartition("-")[0] == stem]:
                    known.discard(outdated)
                    with suppress(BadInput):  # another question may have removed it meanwhile
                        await client.remove_adapter(outdated)
                self._say(f"loading adapter {pane.label}")
                loaded = await client.load_adapter(name, pane.adapter)
                self._trust[(pane.server, pane.adapter)] = loaded.trust
                for warning in loaded.warnings:
                    self._say(warning)
                known.add(name)
            names.append(name)
        return names


def _why(server: ServerProcess) -> str:
    """Why it ended; the connection breaks a moment before the process is gone."""
    server.wait_end(1.0)
    return server.last_words()
