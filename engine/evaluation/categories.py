"""One measure by the categories of rows, where rows have one."""

from collections.abc import Sequence

from engine.evaluation.folder import EvaluationDir
from engine.evaluation.measures import MEASURES, measure
from engine.evaluation.results import ComparedRow
from engine.evaluation.running import counter_of
from engine.evaluation.safety import word_lists
from engine.home import Home
from store.evaluation_records import Evaluation, Measured


def category_of(one: ComparedRow) -> str:
    """The row's category; empty where it has none."""
    return str((one.row.about or {}).get("category") or "")


def categories_of(rows: Sequence[ComparedRow]) -> list[str]:
    """The categories, by name; empty where no row has one."""
    return sorted({category_of(one) for one in rows} - {""}, key=str.casefold)


def by_category(
    home: Home, evaluation: Evaluation, rows: Sequence[ComparedRow], metric: str
) -> dict[str, list[Measured | None]]:
    """The measure of each model in each category, as of all rows; `None` where it has none.

    Rows that a model could not answer, or has not answered yet, are left out for all.
    """
    if metric not in MEASURES:
        return {}
    counter, words = counter_of(home, EvaluationDir.of(home, evaluation.id)), word_lists(home)
    found: dict[str, list[Measured | None]] = {}
    for category in categories_of(rows):
        own = [one for one in rows if category_of(one) == category]
        whole = [one.answers for one in own if all(answer and not answer.error for answer in one.answers)]
        by_model = [[answer for answer in answers if answer] for answers in zip(*whole, strict=True)]
        figures: list[Measured | None] = []
        for place, answers in enumerate(by_model):
            against = by_model[0] if place else None
            measured = measure(
                answers,
                against,
                counter,
                names=[metric],
                evaluation=evaluation.id,
                model=place,
                words=words,
                seed=int(evaluation.settings.get("seed") or 0),
            )
            figures.append(measured[0] if measured else None)
        if any(figures):
            found[category] = figures
    return found
