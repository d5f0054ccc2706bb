"""Answers from base models, adapters and models behind an address, as they are written, all at once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.answers import Answer, Delta
from engine.inference.client import Chunk, Prompt, Sampling
from engine.inference.endpoint import key_from
from engine.inference.local_servers import LocalServers
from engine.inference.panes import Pane, panes_for, remote_panes
from engine.inference.remote import RemoteClient
from engine.inference.trust import Trust
from engine.inference.vllm_servers import VllmServers

__all__ = ["Answer", "Delta", "Engine", "Pane", "Prompt", "Sampling", "ServerPool", "panes_for", "remote_panes"]

Engine = Literal["own", "vllm"]

MOST_ROWS = 32
"""Answers in one batch; more are asked for in several."""


class ServerPool:
    """One model server for each base model in use, and the endpoints of panes that have an address.

    `on_status` gets a line whenever there is something to wait for. `engine` says what base models and adapters run on:
    finetui's own server, or vLLM, where it is installed.
    """

    def __init__(
        self,
        home: Home,
        on_status: Callable[[str], None] | None = None,
        *,
        idle_s: float = 900.0,
        engine: Engine = "own",
    ) -> None:
        self.on_status = on_status
        self._servers: LocalServers | VllmServers
        if engine == "vllm":
            self._servers = VllmServers(home, self._say)
        else:
            self._servers = LocalServers(home, self._say, idle_s)

    async def answer(
        self, panes: Sequence[Pane], prompts: Sequence[Prompt], sampling: Sampling, *, pieces: bool = True
    ) -> AsyncGenerator[Delta, None]:
        """The answers of `panes` to a prompt each: conversations, or texts that are gone on from, not both.

        They come as they are written, or each whole without `pieces`, which costs less. Panes of one base model are in
        one batch.

        Where all panes are of one base model, what goes wrong is raised as a `FinetuiError`. Else it is the `error` of
        the panes it concerns, and the others are answered. Leaving the iterator (`aclose`) cancels the generation.
        """
        if len(panes) != len(prompts):
            raise ValueError(f"{len(panes)} panes, {len(prompts)} prompts")
        groups = _groups(panes)
        arrived: asyncio.Queue[Delta | _Ended] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._answer_group(group, panes, prompts, sampling, pieces, arrived))
            for group in groups
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

    def answer_all(self, panes: Sequence[Pane], prompts: Sequence[Prompt], sampling: Sampling) -> list[Answer]:
        """Whole answers, for callers without an event loop. Raises `FinetuiError` where one cannot be had."""

        async def collect() -> list[Answer]:
            texts = [""] * len(panes)
            last: dict[int, Delta] = {}
            async with aclosing(self.answer(panes, prompts, sampling, pieces=False)) as deltas:
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

    def trust(self, pane: Pane) -> Trust | None:
        """What the last load of the pane's adapter has shown; None where it was not loaded, or cannot be checked."""
        return self._servers.trust(pane)

    async def close(self) -> None:
        """End the servers, within a few seconds. Nothing can be asked of them afterwards."""
        await asyncio.to_thread(self._servers.close)

    async def _answer_group(
        self,
        group: Sequence[int],
        panes: Sequence[Pane],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        pieces: bool,
        arrived: "asyncio.Queue[Delta | _Ended]",
    ) -> None:
        """Answer the panes at the places `group`, which share a server. The last thing put is an `_Ended`."""
        open_panes = list(group)
        error: FinetuiError | None = None
        asked = [panes[index] for index in group]
        try:
            answers = self._answers(asked, [prompts[index] for index in group], sampling, pieces)
            async with aclosing(answers) as chunks:
                async for chunk in chunks:
                    pane = group[chunk.row]
                    if chunk.done:
                        open_panes.remove(pane)
                    arrived.put_nowait(_delta(pane, chunk))
        except FinetuiError as failure:
            error = failure
        except (OSError, ValueError, KeyError) as failure:
            error = FinetuiError("The model server could not be asked.", why=f"{type(failure).__name__}: {failure}")
        arrived.put_nowait(_Ended(error, open_panes))

    def _answers(
        self, panes: Sequence[Pane], prompts: Sequence[Prompt], sampling: Sampling, pieces: bool
    ) -> AsyncGenerator[Chunk, None]:
        """The answers of panes that share a server; of an endpoint there is one at a time."""
        first = panes[0]
        if not first.url:
            return self._servers.answers(panes, prompts, sampling, pieces=pieces)
        client = RemoteClient(first.url, key_from(first.key_env))
        return client.answers(first.model, prompts[0], sampling, pieces=pieces)

    def _say(self, line: str) -> None:
        if self.on_status is not None:
            self.on_status(line)


@dataclass(frozen=True)
class _Ended:
    """A group is at its end; `unanswered` are the panes that `error` kept from one."""

    error: FinetuiError | None
    unanswered: list[int]


def _groups(panes: Sequence[Pane]) -> list[list[int]]:
    """Places of the panes that share a server, at most `MOST_ROWS` together; those with an address one by one."""
    by_server: dict[object, list[int]] = {}
    for index, pane in enumerate(panes):
        by_server.setdefault((pane.server, index if pane.url else None), []).append(index)
    return [
        group[start : start + MOST_ROWS] for group in by_server.values() for start in range(0, len(group), MOST_ROWS)
    ]


def _delta(pane: int, chunk: Chunk) -> Delta:
    return Delta(
        pane,
        chunk.text,
        chunk.done,
        chunk.tokens,
        chunk.first_token_s,
        chunk.tokens_per_s,
        chunk.error,
        finish_reason=chunk.finish_reason,
        prompt_tokens=chunk.prompt_tokens,
    )
