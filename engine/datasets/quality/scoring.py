"""How a grade comes about, so that it can be told and argued with.

A dataset starts with 100 points. Every error and warning costs the `cost` of its check in full where at least the share
`at` of the rows is concerned, and in proportion where fewer are, half a point at the least; what is only worth knowing
costs nothing. From 90 points on it is an A, from 80 a B, from 65 a C, from 50 a D, below that an F. Errors cap the
grade besides, whatever the points: one leaked or unusable row forbids an A, and the larger their share, the lower the
cap (`caps` in the catalogue). Fewer than 50 rows are no better than D, fewer than 10 an F.
"""

from collections.abc import Sequence

from engine.datasets.quality.catalogue import CATALOGUE, CheckKind
from engine.datasets.quality.findings import Outcome
from engine.datasets.quality.report import GRADES, worse
from engine.datasets.quality.whole import FEW_ROWS, GOOD_ROWS

LEAST_POINTS = {"A": 90, "B": 80, "C": 65, "D": 50, "F": 0}
LEAST_COST = 0.5
_REASONS = 8


def points(outcome: Outcome) -> float:
    """What an outcome takes off the 100."""
    kind = CATALOGUE[outcome.code]
    if not kind.cost or kind.level == "info":
        return 0.0
    return round(max(LEAST_COST, kind.cost * min(1.0, outcome.share / kind.at)), 1)


def cap(outcome: Outcome) -> str:
    """The best grade that the outcome allows."""
    best = "A"
    for share, grade in CATALOGUE[outcome.code].caps:
        if outcome.share >= share:
            best = grade
    return best


def score(outcomes: Sequence[Outcome]) -> tuple[str, int]:
    """The grade and the points it stands for."""
    left = max(0, round(100 - sum(map(points, outcomes))))
    grade = next(grade for grade in GRADES if left >= LEAST_POINTS[grade])
    for outcome in outcomes:
        grade = worse(grade, cap(outcome))
    return grade, left


def reasons(outcomes: Sequence[Outcome], rows: int, kind: str) -> list[str]:
    """Why the grade is what it is: what caps it first, then what costs most; then what speaks for the dataset."""
    weighed = [outcome for outcome in outcomes if CATALOGUE[outcome.code].level != "info"]
    weighed.sort(key=lambda outcome: (-GRADES.index(cap(outcome)), -points(outcome)))
    told = [sentence(outcome, rows) for outcome in weighed[:_REASONS]]
    if len(weighed) > _REASONS:
        told.append(f"and {len(weighed) - _REASONS} more")
    if kind == "prompts":
        return [*told, f"{rows:,} prompts to ask models with; not to be trained on"]
    if not weighed:
        told.append(f"nothing wrong was found in {rows:,} rows")
    if FEW_ROWS <= rows < GOOD_ROWS:
        told.append(f"{rows:,} rows are enough to begin with; {GOOD_ROWS:,} are good")
    return told


def sentence(outcome: Outcome, rows: int) -> str:
    """What was found, with numbers: "12 of 474 rows are duplicates of another row"."""
    if outcome.sentence:
        return outcome.sentence
    kind: CheckKind = CATALOGUE[outcome.code]
    many, one = kind.sentence.split("|")
    return f"{outcome.count:,} of {rows:,} rows {one if outcome.count == 1 else many}"
