"""Rows that say what another row says, and prompts or answers that do."""

from collections.abc import Sequence
from typing import Any

from engine.datasets.quality.findings import LISTED, Found, Outcome

SHORT_ANSWER_WORDS = 3
"""Two answers of up to so many words to one prompt contradict each other; longer ones may both be right."""

COMMON_SHARE = 0.02
COMMON_LEAST = 5
"""From this share of the rows on (and so many), an answer is given suspiciously often."""

LABEL_WORDS = 5
LABEL_SHARE = 0.9
"""Where few different short answers are all there is, they are classes, and only one in `LABEL_SHARE` is too much."""


def check_duplicates(groups: Sequence[Sequence[int]], rows: int) -> list[Outcome]:
    """Rows of each group but the first, which is the one to keep. `groups` are rows of equal content."""
    repeats = sorted((row, group[0]) for group in groups for row in group[1:])
    found = [Found(row, "", f"is the same as row {first + 1:,}") for row, first in repeats[:LISTED]]
    return _told("duplicate", len(repeats), rows, found)


def check_near_duplicates(
    groups: Sequence[Sequence[int]], exact: Sequence[Sequence[int]], near: float, rows: int
) -> list[Outcome]:
    """Rows of each group but the first, without those that are exact duplicates of a row."""
    same = {row for group in exact for row in group[1:]}
    repeats = sorted((row, group[0]) for group in groups for row in group[1:] if row not in same)
    found = [Found(row, "", f"is at least {near:.0%} the same as row {first + 1:,}") for row, first in repeats[:LISTED]]
    return _told("near-duplicate", len(repeats), rows, found)


def repeated(groups: Sequence[Sequence[int]], rows: int) -> Any:
    """Whether each row is a duplicate of another that is kept, as a NumPy array."""
    import numpy as np

    mask = np.zeros(rows, bool)
    for group in groups:
        mask[list(group[1:])] = True
    return mask


def check_answers_to_one_prompt(columns: dict[str, Any], kind: str) -> list[Outcome]:
    """Prompts that are answered in two ways. Preference pairs and verdicts are made so; text and suites have none."""
    import numpy as np

    if kind != "conversation":
        return []
    prompts, answers, words = columns["prompt_form"], columns["answer_form"], columns["answer_words"]
    order = np.lexsort((answers, prompts))
    bounds = np.flatnonzero(np.diff(prompts[order])) + 1
    against: list[tuple[int, int]] = []
    beside: list[tuple[int, int]] = []
    for group in np.split(order, bounds) if len(order) else ():
        if len(group) > 1 and answers[group[0]] != answers[group[-1]]:
            members = np.sort(group)
            short = bool((words[members] <= SHORT_ANSWER_WORDS).all()) and bool((words[members] > 0).all())
            first, second = int(members[0]), int(members[1])
            told = [(int(row), first if row != first else second) for row in members]
            (against if short else beside).extend(told)
    rows = len(prompts)
    outcomes = []
    for code, pairs in (("contradiction", against), ("several-answers", beside)):
        pairs.sort()
        found = [Found(row, "", f"asks the same as row {other + 1:,}") for row, other in pairs[:LISTED]]
        outcomes += _told(code, len(pairs), rows, found)
    return outcomes


def check_common_answers(columns: dict[str, Any], kind: str, repeats: Any) -> list[Outcome]:
    """One long answer to many different prompts. `repeats` marks duplicates of whole rows, which are told apart."""
    import numpy as np

    rows = len(columns["answer_form"])
    if kind in ("text", "prompts", "preference") or not rows:
        return []
    answers, words = columns["answer_form"], columns["answer_words"]
    counted = np.flatnonzero(~repeats & (columns["answer_chars"] > 0))
    values, where, counts = np.unique(answers[counted], return_index=True, return_counts=True)
    if not len(values):
        return []
    lengths = words[counted[where]]
    classes = len(values) <= max(2, 0.1 * len(counted)) and float(np.average(lengths, weights=counts)) <= LABEL_WORDS
    least = LABEL_SHARE * len(counted) if classes else max(COMMON_LEAST, COMMON_SHARE * len(counted))
    common = (counts >= least) & (classes | (lengths > SHORT_ANSWER_WORDS))
    if not common.any():
        return []
    members = counted[np.isin(answers[counted], values[common])]
    most, examples = int(counts[common].max()), int(common.sum())
    said = "One answer is" if examples == 1 else f"{examples} answers are each"
    sentence = f"{said} given to up to {most:,} different prompts, {len(members):,} of {rows:,} rows in all"
    if examples == 1:
        sentence = f"One answer is given in {most:,} of {rows:,} rows"
    found = [Found(int(row), "", "has an answer that many rows have") for row in members[:LISTED]]
    return [Outcome("same-answer", len(members), len(members) / rows, found, sentence)]


def check_echoes(columns: dict[str, Any]) -> list[Outcome]:
    """Answers that only say the prompt again."""
    import numpy as np

    at = np.flatnonzero(columns["echo"])
    found = [Found(int(row), "", "answers with the prompt itself") for row in at[:LISTED]]
    return _told("copied-prompt", len(at), len(columns["echo"]), found)


def _told(code: str, count: int, rows: int, found: list[Found]) -> list[Outcome]:
    return [Outcome(code, count, count / rows, found)] if count else []
