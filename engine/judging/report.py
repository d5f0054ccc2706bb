"""What a judge's votes on some pairs come to: who won, how far it can be trusted, how far people agree with it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.arena.turns import LEFT, RIGHT, answers
from engine.judging.agreement import Agreement, agreement
from engine.judging.criteria import Criterion
from engine.judging.judge import verdicts_in
from engine.judging.pairs import AnswerPair, pair_key
from engine.judging.verdict import Verdict
from store import Store
from store.talk_records import Vote, Winner
from store.votes import PEOPLE


@dataclass(frozen=True)
class Score:
    """How the votes between two models went."""

    left: str
    right: str
    left_wins: int
    right_wins: int
    ties: int
    both_bad: int


@dataclass(frozen=True)
class CriterionReport:
    """The votes by one criterion."""

    criterion: str
    votes: int
    scores: tuple[Score, ...]
    compared: int
    """Pairs that were asked in both orders; the others had the same answer twice."""
    inconsistent: int
    """Those of them whose two verdicts differ: they count as ties."""
    first_twice: int
    """Those of the inconsistent ones where whatever stood first was said to be better."""
    second_twice: int
    decided: int
    """Votes for one of the two."""
    longer_won: int
    """Those of them for the answer with more characters."""
    agreement: Agreement | None
    """With the votes of people on the same pairs; None where there are none."""

    @property
    def position_bias(self) -> float | None:
        """The share of pairs whose verdicts differ with the order; None without any."""
        return self.inconsistent / self.compared if self.compared else None

    def to_json(self) -> dict[str, Any]:
        return {
            "criterion": self.criterion,
            "votes": self.votes,
            "scores": [asdict(score) for score in self.scores],
            "compared": self.compared,
            "inconsistent": self.inconsistent,
            "position_bias": self.position_bias,
            "first_twice": self.first_twice,
            "second_twice": self.second_twice,
            "decided": self.decided,
            "longer_won": self.longer_won,
            "agreement": self.agreement.to_json() if self.agreement else None,
        }


def report_of(
    store: Store, pairs: Sequence[AnswerPair], criteria: Sequence[Criterion], voter: str
) -> list[CriterionReport]:
    """A report for each criterion, of the votes that `voter` has cast on `pairs` by now."""
    by_id = {vote.id: vote for vote in store.votes.list(voter=voter)}
    reports = []
    for criterion in criteria:
        ids = (pair.vote_id(voter, criterion.name) for pair in pairs)
        votes = [by_id[one] for one in dict.fromkeys(ids) if one in by_id]
        people = store.votes.list(criterion.name, voter=PEOPLE)
        reports.append(_report(criterion.name, votes, people))
    return reports


def agreement_with(votes: Iterable[Vote], people: Iterable[Vote]) -> Agreement | None:
    """How far votes agree with those of people on the same pairs; both bad counts as a tie."""
    said = {_key(vote): _label(vote) for vote in votes}
    clusters: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for vote in people:
        if (key := _key(vote)) in said:
            clusters.setdefault(key, []).append((said[key], _label(vote)))
    return agreement(list(clusters.values()))


def _report(name: str, votes: Sequence[Vote], people: Sequence[Vote]) -> CriterionReport:
    orders = [orders for vote in votes if (orders := verdicts_in(vote)) is not None]
    inconsistent = [(one, other) for one, other in orders if not _consistent(one, other)]
    decided = [vote for vote in votes if vote.winner in (Winner.LEFT, Winner.RIGHT)]
    return CriterionReport(
        name,
        len(votes),
        tuple(scores_of(votes)),
        len(orders),
        len(inconsistent),
        inconsistent.count((Verdict.A, Verdict.A)),
        inconsistent.count((Verdict.B, Verdict.B)),
        len(decided),
        sum(_longer_won(vote) for vote in decided),
        agreement_with(votes, people),
    )


def _consistent(one: Verdict, other: Verdict) -> bool:
    """Whether the verdicts mean the same with the answers swapped."""
    turned = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}
    return turned.get(one, one) is other


def _longer_won(vote: Vote) -> bool:
    left = sum(map(len, answers(vote.conversation, LEFT, vote.left_text)))
    right = sum(map(len, answers(vote.conversation, RIGHT, vote.right_text)))
    return left > right if vote.winner is Winner.LEFT else right > left


def scores_of(votes: Sequence[Vote]) -> list[Score]:
    """How votes between each two models went."""
    counts = Counter((vote.left, vote.right, vote.winner) for vote in votes)
    models = dict.fromkeys((vote.left, vote.right) for vote in votes)
    kinds = (Winner.LEFT, Winner.RIGHT, Winner.TIE, Winner.BOTH_BAD)
    return [Score(left, right, *(counts[left, right, kind] for kind in kinds)) for left, right in models]


def _key(vote: Vote) -> tuple[str, ...]:
    return pair_key(vote.conversation, vote.left, vote.right, vote.left_text, vote.right_text)


def _label(vote: Vote) -> str:
    """What the vote says, with the model that comes first by name on the left."""
    if vote.winner not in (Winner.LEFT, Winner.RIGHT):
        return "tie"
    return "left" if (vote.winner is Winner.LEFT) == (vote.left < vote.right) else "right"
