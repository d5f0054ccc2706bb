"""Which two models to show next: the pair whose vote would tell most."""

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations

from engine.arena.ratings import fit
from store.votes import PairCount

Pair = tuple[str, str]
"""Two models, the lesser id first."""


def pairs_of(models: Collection[str]) -> list[Pair]:
    """Every two of these models."""
    return list(combinations(sorted(set(models)), 2))


def next_pair(
    open_pairs: Collection[Pair],
    counts: Sequence[PairCount],
    chance: random.Random,
    *,
    waiting: Collection[Pair] = (),
) -> Pair | None:
    """The pair to show next, of those that are still `open`; the left model first. `None` where none is open.

    Pairs without a comparison come first, so that every pair is seen. Then the one with the largest expected gain of
    information about who is stronger, `½ log(1 + p(1 - p) · v)`: p is the probability that one beats the other by the
    votes so far (1/2 tells most), v how uncertain the difference of their strengths still is. `waiting` pairs are shown
    already and not voted on yet; they count as seen. Sides, and which of equal pairs, are left to `chance`.
    """
    choices = sorted(set(open_pairs))
    if not choices:
        return None
    seen = _with_waiting(counts, waiting)
    compared = {(count.first, count.second) for count in seen if count.preferences or count.both_bad}
    fresh = [pair for pair in choices if pair not in compared]
    if fresh:
        best = fresh
    else:
        found = fit(seen, {model for pair in choices for model in pair})
        gains = {pair: gain(found.odds(*pair), found.variance(*pair)) for pair in choices}
        most = max(gains.values())
        best = [pair for pair in choices if gains[pair] >= most * (1 - 1e-6)]
    one, other = chance.choice(best)
    return (one, other) if chance.random() < 0.5 else (other, one)


def gain(probability: float, variance: float) -> float:
    """The information that a vote is expected to bring, in nats: by how much the log-determinant of what is known
    grows, halved (D-optimal design for a logistic model, linear in the strengths around the estimate)."""
    return 0.5 * math.log1p(probability * (1 - probability) * variance)


def _with_waiting(counts: Sequence[PairCount], waiting: Collection[Pair]) -> list[PairCount]:
    """The counts as they will be, a tie for each pair whose vote is to come."""
    found = {(count.first, count.second): count for count in counts}
    for pair in waiting:
        key = (min(pair), max(pair))
        count = found.get(key, PairCount(*key))
        found[key] = replace(count, ties=count.ties + 1)
    return list(found.values())
