"""Answers in place of model servers; `python suite_stand_in.py HOME ID DELAY_S` asks a suite run with it."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.inference.pool import Delta, Pane, Sampling, ServerPool
from engine.suites.running import drive, find_suite_run
from store import open_store

Messages = list[dict[str, str]]


class StandInPool:
    """Says the pane's label and what it was asked. `refuse` raises for a request, `fail` gives a pane an error."""

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.asked: list[list[tuple[str, Messages]]] = []
        self.refuse: Callable[[Sequence[Messages]], FinetuiError | None] = lambda _: None
        self.fail: Callable[[Pane, Messages], str | None] = lambda _pane, _messages: None
        self.closed = False

    async def answer(
        self, panes: Sequence[Pane], conversations: Sequence[Messages], sampling: Sampling
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append([(pane.label, messages) for pane, messages in zip(panes, conversations, strict=True)])
        if error := self.refuse(conversations):
            raise error
        for place, (pane, messages) in enumerate(zip(panes, conversations, strict=True)):
            await asyncio.sleep(self.delay_s)
            if error_text := self.fail(pane, messages):
                yield Delta(place, done=True, error=error_text)
                continue
            yield Delta(place, f"{pane.label} on ")
            yield Delta(place, messages[-1]["content"], True, 4 + place, 0.5, 20.0)

    async def close(self) -> None:
        self.closed = True


def too_long(word: str) -> Callable[[Sequence[Messages]], FinetuiError | None]:
    """Refuses every request in which a prompt has that word."""

    def refuse(conversations: Sequence[Messages]) -> FinetuiError | None:
        found = any(word in messages[-1]["content"] for messages in conversations)
        return BadInput("The prompt is too long.", why="It has 9,000 tokens.") if found else None

    return refuse


def _ask(root: str, suite_run: str, delay_s: str) -> None:
    home = Home(Path(root))
    store = open_store(home.db)

    def make(_home: Home, say: Callable[[str], None]) -> Any:
        say("loading starter")
        return cast(ServerPool, StandInPool(delay_s=float(delay_s)))

    drive(home, store, DatasetLibrary(home, store), find_suite_run(store, suite_run), batch=4, make_pool=make)


if __name__ == "__main__":
    _ask(*sys.argv[1:4])
