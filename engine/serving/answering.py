"""Asks the pool for one answer, based on passages where the model is offered with knowledge."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from engine.errors import FinetuiError
from engine.inference.panes import Pane
from engine.inference.pool import Delta, Prompt, Sampling
from engine.serving.offers import Offer
from engine.serving.refusals import Refusal
from store.talk_records import Passage

MOST_AT_ONCE = 64
"""Answers that are written or wait to be; who asks for more is told to come back."""

LookUp = Callable[[str, str], Sequence[Passage]]
"""The passages of a knowledge, by its name, that match a question. Called in a thread."""


class Pool(Protocol):
    """What is needed of `ServerPool`."""

    def answer(
        self, panes: Sequence[Pane], prompts: Sequence[Prompt], sampling: Sampling, *, pieces: bool = True
    ) -> AsyncGenerator[Delta, None]: ...


_NOTHING_YET = Delta(0)


@dataclass(frozen=True)
class Answer:
    """An answer so far: its text, and its end with the figures once it has come."""

    passages: tuple[Passage, ...] = ()
    text: str = ""
    end: Delta = _NOTHING_YET

    def __add__(self, delta: Delta) -> "Answer":
        return replace(self, text=self.text + delta.text, end=delta)


@dataclass(frozen=True)
class Wanted:
    """One answer that somebody asked for."""

    offer: Offer
    prompt: Prompt
    """A conversation, or a text to go on from."""
    sampling: Sampling


class Answering:
    """Answers of `pool`, at most `MOST_AT_ONCE` together."""

    def __init__(self, pool: Pool, look_up: LookUp | None = None) -> None:
        self._pool = pool
        self._look_up = look_up
        self.at_once = 0

    async def pieces(self, wanted: Wanted, *, as_written: bool = True) -> AsyncGenerator[tuple[Delta, Answer], None]:
        """The answer piece by piece, each with all there is so far. Raises `FinetuiError`, `Refusal`.

        Leaving it (`aclose`) cancels the generation.
        """
        async with self._place():
            passages = await self._passages(wanted)
            prompt = wanted.prompt
            if passages and not isinstance(prompt, str):
                from engine.knowledge.prompting import with_passages

                prompt = with_passages(prompt, passages)
            answer = Answer(tuple(passages))
            deltas = self._pool.answer([wanted.offer.pane], [prompt], wanted.sampling, pieces=as_written)
            async with aclosing(deltas):
                async for delta in deltas:
                    if delta.error:
                        raise FinetuiError(f"{wanted.offer.name} could not answer.", why=delta.error)
                    answer += delta
                    yield delta, answer

    async def whole(self, wanted: Wanted) -> Answer:
        """The whole answer. Raises as `pieces` does."""
        answer = Answer()
        async with aclosing(self.pieces(wanted, as_written=False)) as pieces:
            async for _, answer in pieces:  # noqa: B007  (the last one is the whole)
                pass
        return answer

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self.at_once >= MOST_AT_ONCE:
            raise Refusal(429, f"{self.at_once} answers are being written already; ask again in a moment.")
        self.at_once += 1
        try:
            yield
        finally:
            self.at_once -= 1

    async def _passages(self, wanted: Wanted) -> Sequence[Passage]:
        """What the model's knowledge has on the last question."""
        if wanted.offer.knowledge is None or self._look_up is None or isinstance(wanted.prompt, str):
            return ()
        questions = [turn["content"] for turn in wanted.prompt if turn["role"] == "user"]
        if not questions:
            return ()
        return await asyncio.to_thread(self._look_up, wanted.offer.knowledge, questions[-1])
