"""Base models and adapters on vLLM: one `vllm serve` for each base model, spoken to as to any endpoint."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.client import Chunk, Prompt, Sampling
from engine.inference.panes import Pane, adapter_name
from engine.inference.remote import RemoteClient
from engine.inference.trust import Trust
from engine.inference.vllm_process import VllmProcess, rank_of
from engine.text import clean_line

POLL_S = 0.5


class VllmServers:
    """Starts, keeps and ends the servers. `say` gets a line whenever there is something to wait for."""

    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        self._home = home
        self._say = say
        self._servers: dict[object, VllmProcess] = {}
        self._starting = threading.Lock()
        self._closed = False

    async def answers(
        self, panes: Sequence[Pane], prompts: Sequence[Prompt], sampling: Sampling, *, pieces: bool
    ) -> AsyncGenerator[Chunk, None]:
        """The answers of `panes`, which share a server; vLLM puts them into one batch. Raises `FinetuiError`."""
        rank = rank_of(panes)
        if not _serves(self._servers.get(panes[0].server), rank):
            self._say("starting vLLM")
        server = await asyncio.to_thread(self._server, panes[0], rank)
        client = RemoteClient(server.url, server.key)
        await self._ready(server, client)
        names = [await self._name(server, client, pane) for pane in panes]
        try:
            async with aclosing(_together(client, names, prompts, sampling, pieces)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except FinetuiError as error:
            await asyncio.to_thread(server.wait_end, 1.0)
            if server.alive:
                raise
            raise FinetuiError(
                "vLLM ended in the middle of an answer.",
                why=server.last_words(),
                fix=f"Ask again: it is started again. Its log is {server.log}.",
            ) from error

    def trust(self, pane: Pane) -> Trust | None:
        """vLLM does not show what an adapter changes."""
        return None

    def close(self) -> None:
        """End the servers, within a few seconds."""
        with self._starting:
            self._closed = True
            servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.stop()

    def _server(self, pane: Pane, rank: int) -> VllmProcess:
        """The live server for `pane` with room for adapters of `rank`; one with less room is started anew."""
        with self._starting:
            if self._closed:
                raise FinetuiError("The model servers have been closed.")
            server = self._servers.get(pane.server)
            if server is not None and _serves(server, rank):
                return server
            if server is not None:
                rank = max(rank, server.rank)
                server.stop()
            server = self._servers[pane.server] = VllmProcess(self._home, pane, rank)
            return server

    async def _ready(self, server: VllmProcess, client: RemoteClient) -> None:
        """Wait until it answers, with the last line of its log to look at. Raises `FinetuiError` where it ends."""
        said = ""
        while True:
            try:
                if "base" in await client.models():
                    return
            except FinetuiError:
                pass  # it does not listen yet
            if not server.alive:
                raise FinetuiError(
                    "vLLM ended while it was starting.",
                    why=server.last_words(),
                    fix=f"Its log is {server.log}. $FINETUI_VLLM_ARGS may hold more arguments for it, such as"
                    " --max-model-len 8192 or --gpu-memory-utilization 0.6.",
                )
            line = clean_line(server.log_tail(1))
            if line and line != said:
                said = line
                self._say(f"vLLM: {line}")
            await asyncio.sleep(POLL_S)

    async def _name(self, server: VllmProcess, client: RemoteClient, pane: Pane) -> str:
        """What the server calls the pane, its adapter loaded and up to date."""
        if pane.adapter is None:
            return "base"
        stem, name = adapter_name(pane, pane.adapter)
        if name not in server.loaded:
            self._say(f"loading adapter {pane.label}")
            for outdated in [old for old in server.loaded if old.rpartition("-")[0] == stem]:
                await _change(client, "unload_lora_adapter", outdated, there=False)
                server.loaded.discard(outdated)
            await _change(client, "load_lora_adapter", name, there=True, lora_path=str(pane.adapter))
            server.loaded.add(name)
        return name


async def _change(client: RemoteClient, path: str, name: str, *, there: bool, **more: str) -> None:
    """Load or unload an adapter, unless another question of ours has just done so, which vLLM takes for an error."""
    if (name in await client.models()) is there:
        return
    try:
        await client.call("POST", path, {"lora_name": name, **more})
    except FinetuiError:
        if (name in await client.models()) is not there:
            raise


def _serves(server: VllmProcess | None, rank: int) -> bool:
    """Whether it is alive and has room for adapters of `rank`."""
    return server is not None and server.alive and server.rank >= rank


async def _together(
    client: RemoteClient,
    names: Sequence[str],
    prompts: Sequence[Prompt],
    sampling: Sampling,
    pieces: bool,
) -> AsyncGenerator[Chunk, None]:
    """The answers of all `names` at once; a chunk's `row` is the place in it."""
    arrived: asyncio.Queue[Chunk | FinetuiError | None] = asyncio.Queue()

    async def ask(row: int) -> None:
        try:
            async with aclosing(client.answers(names[row], prompts[row], sampling, pieces=pieces)) as chunks:
                async for chunk in chunks:
                    arrived.put_nowait(replace(chunk, row=row))
        except FinetuiError as error:
            arrived.put_nowait(error)
        arrived.put_nowait(None)

    tasks = [asyncio.create_task(ask(row)) for row in range(len(names))]
    try:
        going = len(tasks)
        while going:
            item = await arrived.get()
            if isinstance(item, FinetuiError):
                raise item
            if item is None:
                going -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
