"""What is judged: pairs of models on prompts, one match after the other, each vote kept at once.

What is asked of an `Arena` reads or writes the store: call it in a thread.
"""

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from engine.arena.pairing import Pair, next_pair, pairs_of
from engine.suites.reading import Suite
from store import Store
from store.talk_records import Vote, Winner
from store.votes import OVERALL


@dataclass(frozen=True)
class Question:
    """A prompt that models are compared on. `suite` is empty for one that was typed."""

    text: str
    system: str = ""
    suite: str = ""
    position: int = -1

    @property
    def conversation(self) -> tuple[dict[str, str], ...]:
        system = ({"role": "system", "content": self.system},) if self.system else ()
        return (*system, {"role": "user", "content": self.text})


@dataclass(frozen=True)
class Match:
    """Two models on one question. `stored` are the two answers where a suite run has them already."""

    question: Question
    left: str
    right: str
    conversation: tuple[dict[str, str], ...]
    stored: tuple[str, str] | None = None

    @property
    def pair(self) -> Pair:
        return (min(self.left, self.right), max(self.left, self.right))


@dataclass(frozen=True)
class Progress:
    """How many of the matches this voter has judged by this criterion, and all votes there are by it."""

    judged: int
    total: int
    votes: int


def questions_of(suite: Suite) -> list[Question]:
    """The first turn of each prompt: what comes after it depends on the answer, which is another for each model."""
    return [Question(prompt.turns[0], prompt.system, suite.id, prompt.position) for prompt in suite.prompts]


class Arena:
    """The matches of some models on some questions, and what was said of them. Safe to share between threads."""

    def __init__(
        self,
        store: Store,
        models: Sequence[str],
        questions: Sequence[Question] = (),
        *,
        voter: str,
        criterion: str = OVERALL,
        chance: random.Random | None = None,
    ) -> None:
        self.models = tuple(models)
        self.voter = voter
        self.criterion = criterion
        self._store = store
        self._questions = list(questions)
        self._chance = chance or random.Random()
        self._lock = threading.Lock()
        self._skipped: set[tuple[Question, Pair]] = set()
        self._typed: dict[str, tuple[Question, Pair, str, str]] = {}
        """Votes on typed questions, by id: what was judged, by which criterion, by whom."""

    def ask(self, text: str) -> None:
        """One more question, the next to be shown."""
        with self._lock:
            self._questions.insert(0, Question(text))

    def next(self, waiting: Collection[Match] = ()) -> Match | None:
        """The match to show next, `None` where everything is judged. `waiting` ones are on the screen already."""
        with self._lock:
            judged = self._judged()
            taken = {(match.question, match.pair) for match in waiting}
            free = {
                pair: [
                    question
                    for question in self._questions
                    if (question, pair) not in judged
                    and (question, pair) not in taken
                    and (question, pair) not in self._skipped
                ]
                for pair in pairs_of(self.models)
            }
            typed = {pair for pair, questions in free.items() if questions and not questions[0].suite}
            counts = self._store.votes.pairs(self.criterion, models=self.models)
            sides = next_pair(
                typed or {pair for pair, questions in free.items() if questions},
                counts,
                self._chance,
                waiting=[match.pair for match in waiting],
            )
            if sides is None:
                return None
            shown = Counter(question for question, _ in [*judged, *taken])
            asked = free[min(sides), max(sides)]
            question = asked[0] if typed else min(asked, key=lambda one: shown[one])
            return self._match(question, *sides)

    def vote(self, match: Match, winner: Winner, texts: tuple[str, str], note: str = "") -> Vote:
        """Keep a vote; it is on the disk when this returns."""
        vote = Vote(
            f"v{secrets.token_hex(6)}",
            time.time(),
            self.voter,
            self.criterion,
            match.left,
            match.right,
            winner,
            match.conversation,
            *texts,
            note,
            match.question.suite,
            match.question.position,
        )
        self._store.votes.add(vote)
        if not match.question.suite:
            with self._lock:
                self._typed[vote.id] = (match.question, match.pair, vote.criterion, vote.voter)
        return vote

    def undo(self, vote: Vote) -> None:
        """Take a vote back."""
        self._store.votes.delete(vote.id)
        with self._lock:
            self._typed.pop(vote.id, None)

    def skip(self, match: Match) -> None:
        """Do not show this match again."""
        with self._lock:
            self._skipped.add((match.question, match.pair))

    def progress(self) -> Progress:
        with self._lock:
            pairs = set(pairs_of(self.models))
            judged = sum(pair in pairs for _, pair in self._judged())
            total = len(self._questions) * len(pairs)
            return Progress(judged, total, self._store.votes.count(self.criterion))

    def _judged(self) -> set[tuple[Question, Pair]]:
        """What the voter has judged by the criterion."""
        by_place = {(question.suite, question.position): question for question in self._questions if question.suite}
        found = {
            (by_place[suite, position], (one, other))
            for suite in {question.suite for question in self._questions if question.suite}
            for position, one, other in self._store.votes.judged(suite, self.criterion, self.voter)
            if (suite, position) in by_place
        }
        now = (self.criterion, self.voter)
        return found | {(question, pair) for question, pair, *about in self._typed.values() if tuple(about) == now}

    def _match(self, question: Question, left: str, right: str) -> Match:
        """The match, with answers of the newest suite run that asked both models, so that both were asked alike."""
        if question.suite:
            for run in self._store.suites.of_suite(question.suite):
                if left not in run.models or right not in run.models:
                    continue
                said = {
                    run.models[answer.model]: answer.text
                    for answer in self._store.suites.answers(run.id, question.position)
                    if answer.turn == 0 and not answer.error
                }
                if left in said and right in said:
                    system = question.system or str(run.sampling.get("system") or "")
                    asked = replace(question, system=system).conversation
                    return Match(question, left, right, asked, (said[left], said[right]))
        return Match(question, left, right, question.conversation)
