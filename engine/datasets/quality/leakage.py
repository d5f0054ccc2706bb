"""Rows kept back from training that training knows already: they make a model look better than it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.datasets.quality.findings import LISTED, Found, Outcome
from engine.datasets.quality.measure import OTHER_SPLIT, SPLITS, TRAIN


def check_leakage(columns: dict[str, Any], near_pairs: Sequence[tuple[int, int]] = ()) -> list[Outcome]:
    """Rows kept back with the prompt of a training row, and those with nearly the same; each row is told once.

    `near_pairs` are rows of a later split with one that is alike of an earlier split (see `near_between`).
    """
    import numpy as np

    split = columns["split"]
    kept_back = np.flatnonzero(split != TRAIN)
    if not len(kept_back) or len(kept_back) == len(split):
        return []
    exact = _asked_in_training(columns["prompt_key"], split, kept_back)
    near = _asked_in_training(columns["prompt_form"], split, kept_back)
    near |= {row: other for row, other in near_pairs if split[other] == TRAIN and row not in near}
    near = {row: other for row, other in near.items() if row not in exact}
    outcomes = []
    for code, leaked, said in (("leak-exact", exact, "asks what"), ("leak-near", near, "is almost")):
        if leaked:
            found = [
                Found(row, "", f"{said} row {leaked[row] + 1:,} of training{_asks(code)}") for row in sorted(leaked)
            ]
            sentence = _sentence(
                leaked, split, "that training has too" if code == "leak-exact" else "almost as in training"
            )
            outcomes.append(Outcome(code, len(leaked), len(leaked) / len(kept_back), found[:LISTED], sentence))
    return outcomes


def _asks(code: str) -> str:
    return " asks" if code == "leak-exact" else ""


def _asked_in_training(keys: Any, split: Any, kept_back: Any) -> dict[int, int]:
    """Each row kept back whose key a training row has, with the first such row."""
    import numpy as np

    training = np.flatnonzero(split == TRAIN)
    known, first = np.unique(keys[training], return_index=True)
    place = np.minimum(np.searchsorted(known, keys[kept_back]), len(known) - 1)
    hit = known[place] == keys[kept_back]
    pairs = zip(kept_back[hit].tolist(), training[first[place[hit]]].tolist(), strict=True)
    return dict(pairs)


def _sentence(leaked: Mapping[int, int], split: Any, said: str) -> str:
    """ "validation has 3 of its 48 rows that training has too" — one part for each split."""
    parts = []
    for place in range(OTHER_SPLIT + 1):
        rows = sum(1 for row in leaked if split[row] == place)
        if rows:
            name = SPLITS[place] if place < OTHER_SPLIT else "another split"
            total = int((split == place).sum())
            parts.append(f"{name} has {rows:,} row{'s' if rows > 1 else ''} of {total:,} {said}")
    return "; ".join(parts)
