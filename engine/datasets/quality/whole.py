"""What is weighed of the dataset as a whole: its size, its splits, the balance of verdicts and pairs, its metadata."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from engine.datasets.quality.findings import LISTED, Found, Outcome
from engine.datasets.quality.measure import SPLITS, TRAIN
from engine.datasets.quality.tally import KeyTally

HARDLY_ANY_ROWS = 10
TOO_FEW_ROWS = 50
LEAST_ROWS = 100
FEW_ROWS = 200
GOOD_ROWS = 1_000
"""The guides ask for 100 examples at least and call 1,000 good."""

TINY_VALIDATION = 5

OPENING_SHARE = 0.25

BIAS_SHARE = 0.75
BIAS_PAIRS = 20
RARE_VERDICT = 0.2
SPARSE = 0.5


def check_size(rows: int, kind: str) -> list[Outcome]:
    """Too few rows to learn from. A prompt suite may have as few as it likes."""
    if kind == "prompts" or rows >= FEW_ROWS:
        return []
    said = f"only {rows:,} row{'s' if rows != 1 else ''}"
    if rows < TOO_FEW_ROWS:
        return [Outcome("too-few", rows, 1.0 if rows < HARDLY_ANY_ROWS else 0.75, sentence=said)]
    return [Outcome("few", rows, 1.0 if rows < LEAST_ROWS else 0.5, sentence=said)]


def check_splits(split: Any, kind: str) -> list[Outcome]:
    rows = len(split)
    if kind == "prompts" or not rows:
        return []
    training, validation = int((split == TRAIN).sum()), int((split == SPLITS.index("validation")).sum())
    if not training:
        return [Outcome("no-training", rows, 1.0, sentence="no row is in the training split")]
    if not validation:
        return [Outcome("no-validation", 0, 1.0, sentence="no row is kept back for validation")]
    if validation < TINY_VALIDATION and rows >= TOO_FEW_ROWS:
        said = f"validation has only {validation} row{'s' if validation > 1 else ''}"
        return [Outcome("tiny-validation", 0, 1.0, sentence=said)]
    return []


def check_verdicts(labels: Any, kind: str) -> list[Outcome]:
    """Good and bad answers out of balance, of a dataset with verdicts."""
    import numpy as np

    if kind != "kto":
        return []
    good, bad, missing = (int((labels == value).sum()) for value in (1, 0, -1))
    outcomes = []
    if missing:
        found = [Found(int(row), "label", "is missing") for row in np.flatnonzero(labels == -1)[:LISTED]]
        outcomes.append(Outcome("no-label", missing, missing / len(labels), found))
    if good + bad and not (good and bad):
        outcomes.append(Outcome("one-label", 0, 1.0, sentence=f"every verdict is {'good' if good else 'bad'}"))
    elif good + bad:
        rarer = min(good, bad) / (good + bad)
        if rarer < RARE_VERDICT:
            said = f"{good:,} answers are good and {bad:,} bad: {rarer:.0%} are of the rarer verdict"
            outcomes.append(Outcome("labels", 0, 1 - rarer / RARE_VERDICT, sentence=said))
    return outcomes


def check_pairs(columns: Mapping[str, Any], kind: str) -> list[Outcome]:
    """Pairs that prefer nothing, and pairs that all prefer the longer answer."""
    import numpy as np

    if kind != "preference":
        return []
    rows = len(columns["longer"])
    outcomes = []
    same = np.flatnonzero(columns["same_pair"])
    if len(same):
        found = [Found(int(row), "rejected", "is the same as the chosen answer") for row in same[:LISTED]]
        outcomes.append(Outcome("same-pair", len(same), len(same) / rows, found))
    share, pairs = longer_chosen(columns["longer"])
    if pairs >= BIAS_PAIRS and share >= BIAS_SHARE:
        said = f"the longer answer is chosen in {share:.0%} of {pairs:,} pairs"
        outcomes.append(Outcome("length-bias", 0, (share - BIAS_SHARE) / (1 - BIAS_SHARE), sentence=said))
    return outcomes


def longer_chosen(longer: Any) -> tuple[float, int]:
    """In which share of the pairs of unequal lengths the longer answer is chosen, and how many such pairs there are."""
    pairs = int((longer != 0).sum())
    return (float((longer > 0).sum()) / pairs if pairs else 0.0), pairs


def check_openings(openings: Counter[str], rows: int) -> list[Outcome]:
    """The first words that a large part of the answers begins with."""
    common = [(text, count) for text, count in openings.most_common(3) if count >= OPENING_SHARE * rows]
    if not common or rows < TOO_FEW_ROWS:
        return []
    said = "; ".join(f"{count / rows:.0%} of the answers begin with “{text} …”" for text, count in common)
    count = sum(count for _, count in common)
    return [Outcome("opening", count, count / rows, sentence=said)]


def check_metadata(metadata: Mapping[str, KeyTally], rows: int) -> list[Outcome]:
    """Keys that say the same in every row, and keys that most rows lack."""
    if rows < 2:
        return []
    outcomes = []
    constant = [key for key, tally in metadata.items() if tally.present == rows and not tally.varies]
    if constant:
        outcomes.append(Outcome("constant-metadata", rows, 1.0, sentence=_keys(constant, "the same in every row")))
    sparse = [key for key, tally in metadata.items() if tally.present < SPARSE * rows]
    if sparse:
        outcomes.append(Outcome("sparse-metadata", 0, 1.0, sentence=_keys(sparse, "missing in most rows")))
    return outcomes


def _keys(keys: list[str], said: str) -> str:
    shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
    return f"{shown} {'is' if len(keys) == 1 else 'are'} {said}"
