"""How good models are by the votes between their answers: Bradley-Terry ratings and win rates, with intervals."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from store.talk_records import Vote
from store.votes import OVERALL, PairCount, counts_of

Vector = npt.NDArray[np.float64]

MEAN = 1000.0
"""What the ratings of all models are on average."""
SCALE = 400 / math.log(10)
"""Points a unit of strength: 400 points more are odds of 10 to 1, as with Elo's ratings of chess players."""
PRIOR = 3.0
"""The standard deviation of strengths before any vote, about 520 points."""
Z95 = 1.959963984540054
_STEPS = 100
_CLOSE = 1e-10


@dataclass(frozen=True)
class Rating:
    """What the votes say of one model. `low` and `high` bound the 95 % interval of the score."""

    model: str
    score: float
    low: float
    high: float
    votes: int
    """Wins, ties and losses: what the score is made of."""
    wins: int
    ties: int
    losses: int
    both_bad: int
    """Votes that neither answer was any good; they say nothing of which is better, and are only counted."""
    win_rate: float | None
    """Share of the votes that were won, ties as half a win; `None` without votes."""
    win_low: float | None = None
    win_high: float | None = None


@dataclass(frozen=True)
class Fit:
    """Strengths by model: the most likely ones, and the covariance of their errors. Units: natural log-odds."""

    models: tuple[str, ...]
    strength: Vector
    covariance: Vector
    """(models, models); of the strengths around their mean."""

    @cached_property
    def place(self) -> dict[str, int]:
        return {model: place for place, model in enumerate(self.models)}

    def odds(self, one: str, other: str) -> float:
        """The probability that `one` is preferred to `other`."""
        distance = float(self.strength[self.place[one]] - self.strength[self.place[other]])
        return float(_sigmoid(np.array(distance)))

    def variance(self, one: str, other: str) -> float:
        """How uncertain the difference between two strengths is."""
        a, b = self.place[one], self.place[other]
        return float(self.covariance[a, a] + self.covariance[b, b] - 2 * self.covariance[a, b])


def ratings(votes: Collection[Vote], criterion: str = OVERALL) -> list[Rating]:
    """The ratings of all models among the votes of one criterion, the best first. See `rate`."""
    return rate(counts_of(votes, criterion))


def rate(counts: Sequence[PairCount], models: Collection[str] = ()) -> list[Rating]:
    """The ratings of all models in `counts`, and of `models`, the best first.

    The score is `1000 + 400 / ln 10 · θ` with the strengths θ of `fit`; its interval is 1.96 standard errors to either
    side. Ties count as half a win each, which makes the intervals a little too wide where there are many.
    """
    found = fit(counts, models)
    tallies = {model: [0, 0, 0, 0] for model in found.models}
    for count in counts:
        for model, wins, losses in (
            (count.first, count.first_wins, count.second_wins),
            (count.second, count.second_wins, count.first_wins),
        ):
            for at, number in enumerate((wins, count.ties, losses, count.both_bad)):
                tallies[model][at] += number
    rated = []
    for place, model in enumerate(found.models):
        wins, ties, losses, both_bad = tallies[model]
        score = MEAN + SCALE * float(found.strength[place])
        reach = Z95 * SCALE * math.sqrt(max(0.0, float(found.covariance[place, place])))
        votes = wins + ties + losses
        share = (wins + ties / 2) / votes if votes else None
        low, high = wilson(share, votes) if share is not None else (None, None)
        about = (votes, wins, ties, losses, both_bad, share, low, high)
        rated.append(Rating(model, score, score - reach, score + reach, *about))
    return sorted(rated, key=lambda rating: (-rating.score, rating.model))


def fit(counts: Sequence[PairCount], models: Collection[str] = ()) -> Fit:
    """The strengths θ that make the votes most likely, given a weak prior.

    Bradley and Terry (1952), “Rank analysis of incomplete block designs”, Biometrika 39: i is preferred to j with
    probability `σ(θi - θj)`, σ the logistic function. With `w[i, j]` votes for i over j, a tie being half a vote for
    each, this maximises

        Σ w[i, j] · log σ(θi - θj)  -  Σ θi² / 2s²

    by Newton's method. The last term is a normal prior with the deviation `s = PRIOR`: a model that won every vote
    stays finite, models that were never compared have a place, and the strengths have the mean 0. The covariance is the
    inverse of the information (the negative second derivative) at that point, around the mean.
    """
    names = tuple(sorted({*models, *(name for count in counts for name in (count.first, count.second))}))
    size = len(names)
    place = {name: at for at, name in enumerate(names)}
    won: Vector = np.zeros((size, size))
    for count in counts:
        a, b = place[count.first], place[count.second]
        won[a, b] += count.first_wins + count.ties / 2
        won[b, a] += count.second_wins + count.ties / 2
    between = won + won.T
    strength: Vector = np.zeros(size)
    for _ in range(_STEPS):
        slope, information = _derivatives(strength, won, between)
        step = np.linalg.solve(information, slope)
        before, width = likelihood(strength, won), 1.0
        while likelihood(strength + width * step, won) < before and width > _CLOSE:
            width /= 2
        strength = strength + width * step
        if float(np.abs(step).max(initial=0.0)) < _CLOSE:
            break
    _, information = _derivatives(strength, won, between)
    centre: Vector = np.eye(size) - 1 / max(1, size)
    covariance: Vector = centre @ np.linalg.inv(information) @ centre
    return Fit(names, strength - strength.mean() if size else strength, covariance)


def likelihood(strength: Vector, won: Vector) -> float:
    """What `fit` maximises; `won[i, j]` is how often i was preferred to j."""
    distance = strength[:, None] - strength[None, :]
    return float(-(won * np.logaddexp(0.0, -distance)).sum() - (strength**2).sum() / (2 * PRIOR**2))


def _derivatives(strength: Vector, won: Vector, between: Vector) -> tuple[Vector, Vector]:
    """The slope of `likelihood`, and its second derivative with the sign turned."""
    odds = _sigmoid(strength[:, None] - strength[None, :])
    slope: Vector = (won - between * odds).sum(axis=1) - strength / PRIOR**2
    weight = between * odds * (1 - odds)
    information: Vector = np.diag(weight.sum(axis=1) + 1 / PRIOR**2) - weight
    return slope, information


def _sigmoid(value: Any) -> Vector:
    found: Vector = 0.5 * (1 + np.tanh(value / 2))
    return found


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` votes.

    Wilson (1927), “Probable inference, the law of succession, and statistical inference”, JASA 22: the shares p for
    which the one at hand is within 1.96 standard errors `√(p(1 - p) / n)`. It never leaves 0 to 1.
    """
    square = Z95**2 / count
    middle = (share + square / 2) / (1 + square)
    reach = Z95 / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, middle - reach), min(1.0, middle + reach)
