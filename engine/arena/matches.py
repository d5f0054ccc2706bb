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
from engine.arena.turns import merged, same
from engine.suites.reading import Suite
from store import Store
from store.talk_records import SuiteRun, Vote, Winner
from store.votes import OVERALL

Texts = tuple[str, ...]
"""What one model said, a text a turn."""
SAME = "The two answers are the same."
"""The note of a tie that nobody was asked for."""


@dataclass(frozen=True)
class Question:
    """A prompt that models are compared on. `suite` is empty for one that was typed."""

    text: str
    system: str = ""
    suite: str = ""
    position: int = -1
    more: Texts = ()
    """The turns after the first, each asked after the model's own answer to the one before."""

    @property
    def turns(self) -> int:
        return 1 + len(self.more)

    @property
    def conversation(self) -> tuple[dict[str, str], ...]:
        """The messages up to the first turn."""
        system = ({"role": "system", "content": self.system},) if self.system else ()
        return (*system, {"role": "user", "content": self.text})


@dataclass(frozen=True)
class Match:
    """Two models on one question. `conversation` goes up to the first turn; `stored` are the answers of the two where a
    suite run has them already."""

    question: Question
    left: str
    right: str
    conversation: tuple[dict[str, str], ...]
    stored: tuple[Texts, Texts] | None = None

    @property
    def pair(self) -> Pair:
        return (min(self.left, self.right), max(self.left, self.right))


@dataclass(frozen=True)
class Progress:
    """How many of the matches this voter has judged by this criterion, and all votes there are by it. `same` matches
    were passed over, for both models said the same; they are none of the judged ones."""

    judged: int
    total: int
    votes: int
    same: int = 0


def questions_of(suite: Suite) -> list[Question]:
    """The prompts of a suite, with all their turns."""
    return [
        Question(prompt.turns[0], prompt.system, suite.id, prompt.position, prompt.turns[1:])
        for prompt in suite.prompts
    ]


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
        same_are_ties: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        self.models = tuple(models)
        self.voter = voter
        self.criterion = criterion
        self.same_are_ties = same_are_ties
        """Whether a match with the same answer twice is kept as a tie, else it is only passed over."""
        self._store = store
        self._questions = list(questions)
        self._chance = chance or random.Random()
        self._lock = threading.Lock()
        self._skipped: set[tuple[Question, Pair]] = set()
        self._same: dict[tuple[Question, Pair], tuple[Match, tuple[Texts, Texts]]] = {}
        """Matches whose two models said the same, and what."""
        self._typed: dict[str, tuple[Question, Pair, str, str]] = {}
        """Votes on typed questions, by id: what was judged, by which criterion, by whom."""

    def ask(self, text: str) -> None:
        """One more question, the next to be shown."""
        with self._lock:
            self._questions.insert(0, Question(text))

    def next(self, waiting: Collection[Match] = ()) -> Match | None:
        """The match to show next, `None` where everything is judged. `waiting` ones are on the screen already.

        Those whose stored answers are the same are passed over.
        """
        with self._lock:
            while (match := self._next(waiting)) is not None and match.stored is not None and same(*match.stored):
                self._pass_over(match, match.stored)
            return match

    def _next(self, waiting: Collection[Match]) -> Match | None:
        self._keep_ties()
        judged = self._judged()
        taken = {(match.question, match.pair) for match in waiting}
        closed = judged | taken | self._skipped | self._same.keys()
        free = {
            pair: [question for question in self._questions if (question, pair) not in closed]
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

    def pass_over(self, match: Match, texts: tuple[Texts, Texts]) -> bool:
        """Do not judge a match whose two models said the same; whether this is one."""
        if not same(*texts):
            return False
        with self._lock:
            self._pass_over(match, texts)
        return True

    def _pass_over(self, match: Match, texts: tuple[Texts, Texts]) -> None:
        self._same[match.question, match.pair] = (match, texts)
        self._keep_ties()

    def _keep_ties(self) -> None:
        """Ties for what was passed over, where that is wanted, by this criterion and voter; each of them once."""
        if self.same_are_ties and self._same:
            judged = self._judged()
            for key, (match, texts) in self._same.items():
                if key not in judged:
                    self._add(match, Winner.TIE, texts, SAME)

    def vote(self, match: Match, winner: Winner, texts: tuple[Texts, Texts], note: str = "") -> Vote:
        """Keep a vote on what the left and the right model said; it is on the disk when this returns."""
        with self._lock:
            return self._add(match, winner, texts, note)

    def _add(self, match: Match, winner: Winner, texts: tuple[Texts, Texts], note: str) -> Vote:
        left, right = texts
        vote = Vote(
            f"v{secrets.token_hex(6)}",
            time.time(),
            self.voter,
            self.criterion,
            match.left,
            match.right,
            winner,
            merged(match.conversation, match.question.more, left[:-1], right[:-1]),
            left[-1],
            right[-1],
            note,
            match.question.suite,
            match.question.position,
        )
        self._store.votes.add(vote)
        if not match.question.suite:
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
            judged = {key for key in self._judged() if key[1] in pairs}
            passed = {key for key in self._same if key[1] in pairs} - judged
            total = len(self._questions) * len(pairs)
            return Progress(len(judged), total, self._store.votes.count(self.criterion), len(passed))

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
                said = self._said(run, question)
                if left in said and right in said:
                    system = question.system or str(run.sampling.get("system") or "")
                    asked = replace(question, system=system).conversation
                    return Match(question, left, right, asked, (said[left], said[right]))
        return Match(question, left, right, question.conversation)

    def _said(self, run: SuiteRun, question: Question) -> dict[str, Texts]:
        """What each model of a suite run said to a question, of those that answered all its turns."""
        texts: dict[str, dict[int, str]] = {}
        for answer in self._store.suites.answers(run.id, question.position):
            if not answer.error and answer.turn < question.turns:
                texts.setdefault(run.models[answer.model], {})[answer.turn] = answer.text
        return {
            model: tuple(by_turn[turn] for turn in range(question.turns))
            for model, by_turn in texts.items()
            if len(by_turn) == question.turns
        }
