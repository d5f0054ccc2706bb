"""Asks what is missing of a suite run: rows of many prompts and models in one batch, each answer kept as it comes."""

import asyncio
import heapq
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from engine.errors import BadInput, FinetuiError
from engine.inference.pool import Delta, Pane, Sampling
from engine.suites.reading import Suite
from store import Store
from store.talk_records import SuiteAnswer, SuiteRun

POLL_S = 0.2
"""How soon a stop is heard."""

Conversation = list[dict[str, str]]


class Answering(Protocol):
    """Who answers: a `ServerPool`, or what stands in for one."""

    def answer(
        self, panes: Sequence[Pane], conversations: Sequence[Conversation], sampling: Sampling
    ) -> AsyncGenerator[Delta, None]: ...


@dataclass(frozen=True)
class SuiteProgress:
    """How far a suite run is, in turns of all models."""

    done: int
    total: int
    errors: int
    eta_s: float | None = None


@dataclass(frozen=True, order=True)
class Question:
    """One turn for one model; in this order they are asked. `place` is the prompt's among those of the suite."""

    place: int
    turn: int
    model: int


class Asking:
    """One session of a suite run. Answers without an error are kept from earlier ones; all else is asked."""

    def __init__(
        self,
        store: Store,
        pool: Answering,
        suite: Suite,
        panes: Sequence[Pane],
        run: SuiteRun,
        sampling: Sampling,
        *,
        batch: int,
        on_progress: Callable[[SuiteProgress], None],
    ) -> None:
        self._store, self._pool, self._suite, self._panes, self._run = store, pool, suite, panes, run
        self._sampling = sampling
        self._batch = max(1, batch)
        self._on_progress = on_progress
        self._total = suite.turns * len(panes)
        self._done = self._errors = self._kept_now = 0
        self._began: float | None = None
        self._failures: dict[object, int] = {}
        """By server: requests that failed since its last answer."""
        self._broken: dict[object, FinetuiError] = {}
        """Servers that are asked no more, and why."""
        self._said: dict[tuple[int, int], list[str]] = {}
        """By prompt and model: its own answers so far."""
        self._open = self._missing()

    def run(self, stop: Callable[[], bool]) -> bool:
        """Ask until everything is answered; `False` where `stop` ended it before.

        Raises `FinetuiError` where a model cannot be asked; the others have been then.
        """
        self._tell()
        finished = asyncio.run(self._until(stop))
        if finished and self._broken:
            raise next(iter(self._broken.values()))
        return finished

    async def _until(self, stop: Callable[[], bool]) -> bool:
        work = asyncio.create_task(self._ask_all())
        try:
            while not work.done():
                if stop():
                    return False
                await asyncio.wait({work}, timeout=POLL_S)
            await work
            return True
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _ask_all(self) -> None:
        while self._open:
            groups = [[heapq.heappop(self._open) for _ in range(min(self._batch, len(self._open)))]]
            while groups:
                group = [question for question in groups.pop(0) if self._server(question) not in self._broken]
                failed = await self._request(group) if group else {}
                groups = [*_halves(self._after(failed)), *groups]

    async def _request(self, questions: Sequence[Question]) -> dict[Question, FinetuiError]:
        """Ask these in one batch; those that were not answered, and why."""
        panes = [self._panes[question.model] for question in questions]
        conversations = [self._conversation(question) for question in questions]
        texts = [""] * len(questions)
        waiting = set(range(len(questions)))
        failed: dict[Question, FinetuiError] = {}
        try:
            async with aclosing(self._pool.answer(panes, conversations, self._sampling)) as deltas:
                async for delta in deltas:
                    self._began = self._began or time.monotonic()
                    texts[delta.pane] += delta.text
                    if not delta.done:
                        continue
                    waiting.discard(delta.pane)
                    if delta.error:
                        failed[questions[delta.pane]] = BadInput(delta.error)
                    else:
                        self._keep(questions[delta.pane], texts[delta.pane], delta)
        except FinetuiError as error:
            failed |= {questions[place]: error for place in waiting}
        return failed

    def _after(self, failed: dict[Question, FinetuiError]) -> list[Question]:
        """Of what was not answered, what is asked again, in smaller batches: one prompt may be too long for the model,
        a batch too large for the memory. A server that fails time and again is asked no more."""
        for server in {self._server(question) for question in failed}:
            self._failures[server] = self._failures.get(server, 0) + 1
        again = []
        for question, error in failed.items():
            server = self._server(question)
            patient = isinstance(error, BadInput) or "memory" in str(error).lower()
            if self._failures[server] > (self._batch.bit_length() + 2 if patient else 1):
                self._broken[server] = error
            elif len(failed) > 1:
                again.append(question)
            else:
                self._fail(question, error)
        return again

    def _keep(self, question: Question, text: str, end: Delta) -> None:
        answer = SuiteAnswer(
            self._run.id,
            question.model,
            self._suite.prompts[question.place].position,
            question.turn,
            text,
            end.tokens,
            end.first_token_s,
            end.tokens_per_s,
        )
        self._store.suites.append([answer])
        self._failures[self._server(question)] = 0
        self._said.setdefault((question.place, question.model), []).append(text)
        if question.turn + 1 < len(self._suite.prompts[question.place].turns):
            heapq.heappush(self._open, Question(question.place, question.turn + 1, question.model))
        self._done += 1
        self._kept_now += 1
        self._tell()

    def _fail(self, question: Question, error: FinetuiError) -> None:
        """Keep why a turn was not answered; those after it cannot be asked."""
        prompt = self._suite.prompts[question.place]
        reasons = [str(error)] + [f"Turn {question.turn + 1} was not answered."] * (
            len(prompt.turns) - question.turn - 1
        )
        self._store.suites.append(
            SuiteAnswer(self._run.id, question.model, prompt.position, question.turn + after, "", error=reason)
            for after, reason in enumerate(reasons)
        )
        self._done += len(reasons)
        self._errors += len(reasons)
        self._tell()

    def _missing(self) -> list[Question]:
        """The next turn of each prompt and model, in the order of a heap."""
        known = {
            (answer.position, answer.model, answer.turn): answer.text
            for answer in self._store.suites.answers(self._run.id)
            if not answer.error
        }
        found = []
        for place, prompt in enumerate(self._suite.prompts):
            for model in range(len(self._panes)):
                said: list[str] = []
                while (key := (prompt.position, model, len(said))) in known:
                    said.append(known[key])
                self._said[place, model] = said
                self._done += len(said)
                if len(said) < len(prompt.turns):
                    found.append(Question(place, len(said), model))
        return sorted(found)

    def _conversation(self, question: Question) -> Conversation:
        prompt = self._suite.prompts[question.place]
        system = prompt.system or str(self._run.sampling.get("system") or "")
        messages = [{"role": "system", "content": system}] if system else []
        said = self._said[question.place, question.model]
        for turn in range(question.turn):
            messages.append({"role": "user", "content": prompt.turns[turn]})
            messages.append({"role": "assistant", "content": said[turn]})
        return [*messages, {"role": "user", "content": prompt.turns[question.turn]}]

    def _server(self, question: Question) -> object:
        return self._panes[question.model].server

    def _tell(self) -> None:
        eta_s = None
        if self._kept_now and self._began is not None:
            took = time.monotonic() - self._began
            eta_s = took / self._kept_now * (self._total - self._done)
        self._on_progress(SuiteProgress(self._done, self._total, self._errors, eta_s))


def _halves(questions: list[Question]) -> list[list[Question]]:
    middle = (len(questions) + 1) // 2
    return [part for part in (questions[:middle], questions[middle:]) if part]
