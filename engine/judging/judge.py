"""Asks a model which of two answers is better, each pair in both orders, and keeps what it says as votes."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from engine.arena.matches import SAME
from engine.errors import FinetuiError
from engine.inference.pool import Pane, Sampling
from engine.judging.criteria import Criterion
from engine.judging.pairs import AnswerPair
from engine.judging.question import question_for
from engine.judging.verdict import Judgement, Verdict, parse_judgement
from engine.suites.asking import POLL_S, Answering
from store import Store
from store.talk_records import Vote, Winner
from store.votes import JUDGE

AT_ONCE = 4
"""Pairs that are judged together; each is two questions."""
MOST_FAILURES = 3
"""Pairs in a row that could not be asked; then it is not the pairs."""
SAMPLING = Sampling(max_new_tokens=512)

_NOTE = re.compile(r"Verdicts in the two orders: (\w+), (\w+)\.")


@dataclass(frozen=True)
class JudgeProgress:
    """How far the judging is, in pairs. `unclear` ones have no verdict that could be read."""

    done: int
    total: int
    unclear: int
    failed: int


@dataclass
class Judged:
    """What came of one go."""

    asked: int = 0
    kept: int = 0
    """Pairs that had all their votes already."""
    unclear: int = 0
    failures: list[str] = field(default_factory=list)
    """Why pairs could not be asked; those are asked by the next go."""
    stopped: bool = False


def voter_of(model: str) -> str:
    """The name under which a model votes."""
    return f"{JUDGE}{model}"


def judge_pairs(
    store: Store,
    pool: Answering,
    pane: Pane,
    pairs: Sequence[AnswerPair],
    criteria: Sequence[Criterion],
    voter: str,
    *,
    sampling: Sampling = SAMPLING,
    at_once: int = AT_ONCE,
    on_progress: Callable[[JudgeProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Judged:
    """Judge what has no vote of `voter` yet; each vote is in the store as soon as both orders were answered.

    A pair whose two verdicts differ is a tie by that criterion. Pairs that could not be asked are told of in
    `failures`. Raises `FinetuiError` where the judge cannot be asked at all; what was judged is kept, and the same call
    goes on from there. Once `stop` says so, what is being asked is dropped. Call it in a thread.
    """
    judging = _Judging(store, pool, pane, criteria, voter, sampling, len(pairs), on_progress, stop or (lambda: False))
    asyncio.run(judging.run(pairs, at_once))
    return judging.judged


def verdicts_in(vote: Vote) -> tuple[Verdict, Verdict] | None:
    """What the judge said of a vote's pair in the two orders; None where the answers were the same, and not asked."""
    match = _NOTE.search(vote.note)
    return (Verdict(match[1]), Verdict(match[2])) if match else None


def winner_of(first: Verdict, swapped: Verdict) -> Winner:
    """The winner by the verdict with the left answer as A, and the one with it as B. Where they differ, it is a tie."""
    match first, swapped:
        case Verdict.A, Verdict.B:
            return Winner.LEFT
        case Verdict.B, Verdict.A:
            return Winner.RIGHT
        case Verdict.NEITHER, Verdict.NEITHER:
            return Winner.BOTH_BAD
    return Winner.TIE


class _Judging:
    """One go."""

    def __init__(
        self,
        store: Store,
        pool: Answering,
        pane: Pane,
        criteria: Sequence[Criterion],
        voter: str,
        sampling: Sampling,
        total: int,
        on_progress: Callable[[JudgeProgress], None] | None,
        stop: Callable[[], bool],
    ) -> None:
        self.judged = Judged()
        self._store = store
        self._pool = pool
        self._pane = pane
        self._criteria = list(criteria)
        self._voter = voter
        self._sampling = sampling
        self._total = total
        self._tell = on_progress or (lambda _: None)
        self._stop = stop
        self._known = {vote.id for vote in store.votes.list(voter=voter)}
        self._in_a_row = 0
        self._given_up: FinetuiError | None = None

    async def run(self, pairs: Sequence[AnswerPair], at_once: int) -> None:
        waiting = iter(pairs)
        self._progress()

        async def work() -> None:
            for pair in waiting:
                if self._given_up is not None or self._stop():
                    self.judged.stopped = self._given_up is None
                    return
                await self._judge(pair)
                self._progress()

        workers = {asyncio.create_task(work()) for _ in range(at_once)}
        open_ones = workers
        try:
            while open_ones and not self._stop():
                done, open_ones = await asyncio.wait(open_ones, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
                for worker in done:
                    worker.result()
            self.judged.stopped = self.judged.stopped or bool(open_ones)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self._given_up is not None:
            raise self._given_up

    async def _judge(self, pair: AnswerPair) -> None:
        missing = [one for one in self._criteria if pair.vote_id(self._voter, one.name) not in self._known]
        if not missing:
            self.judged.kept += 1
            return
        if pair.same:
            self._keep(pair, [(one, Winner.TIE, SAME) for one in missing])
            self.judged.asked += 1
            return
        try:
            first, swapped = await self._ask(pair, missing)
        except FinetuiError as error:
            self.judged.failures.append(str(error))
            self._in_a_row += 1
            if self._in_a_row >= MOST_FAILURES:
                self._given_up = error
            return
        self._in_a_row = 0
        self.judged.asked += 1
        votes = []
        for one in missing:
            said, said_swapped = first.verdicts.get(one.name), swapped.verdicts.get(one.name)
            if said is None or said_swapped is None:
                continue
            note = f"Verdicts in the two orders: {said}, {said_swapped}. {first.reason}".strip()
            votes.append((one, winner_of(said, said_swapped), note))
        self._keep(pair, votes)
        self.judged.unclear += len(votes) < len(missing)

    async def _ask(self, pair: AnswerPair, criteria: Sequence[Criterion]) -> list[Judgement]:
        """What the judge says in both orders. Raises `FinetuiError`."""
        texts = ["", ""]
        conversations = [question_for(pair, criteria, swapped=swapped) for swapped in (False, True)]
        async with aclosing(self._pool.answer([self._pane] * 2, conversations, self._sampling)) as deltas:
            async for delta in deltas:
                if delta.error:
                    raise FinetuiError("The judge could not answer.", why=delta.error)
                texts[delta.pane] += delta.text
        names = [criterion.name for criterion in criteria]
        return [parse_judgement(text, names) for text in texts]

    def _keep(self, pair: AnswerPair, votes: Iterable[tuple[Criterion, Winner, str]]) -> None:
        for criterion, winner, note in votes:
            self._store.votes.add(
                Vote(
                    pair.vote_id(self._voter, criterion.name),
                    time.time(),
                    self._voter,
                    criterion.name,
                    pair.left,
                    pair.right,
                    winner,
                    pair.conversation,
                    pair.left_text,
                    pair.right_text,
                    note,
                    pair.suite,
                    pair.position,
                )
            )
            self._known.add(pair.vote_id(self._voter, criterion.name))

    def _progress(self) -> None:
        judged = self.judged
        done = judged.asked + judged.kept + len(judged.failures)
        self._tell(JudgeProgress(done, self._total, judged.unclear, len(judged.failures)))
