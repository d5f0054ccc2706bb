"""Two rankings made one: by words (BM25) and by meaning (cosine)."""

from collections.abc import Iterable, Sequence

K = 60
"""As in the paper: it keeps the first places from outweighing everything else."""


def fused(rankings: Iterable[Sequence[int]], limit: int) -> list[tuple[int, float]]:
    """Keys with their scores, the best first: the sum over the rankings of 1 / (K + place), places from 1.

    Reciprocal rank fusion: Cormack, Clarke and Büttcher, “Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods”, SIGIR 2009. It needs no scores that compare, only places.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1.0 / (K + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]
