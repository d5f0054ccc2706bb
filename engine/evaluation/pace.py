"""How long an evaluation may take, by how fast earlier ones of the same base models were."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.evaluation.folder import EvaluationDir
from engine.home import Home
from store import Store

_LOOKED_AT = 20
"""Earlier evaluations that are looked at."""


@dataclass(frozen=True)
class Pace:
    """What an earlier evaluation took."""

    name: str
    answer_s: float
    """Seconds an answer of one model, loading and all."""
    max_new_tokens: int


def paces(home: Home, store: Store) -> dict[str, Pace]:
    """The newest pace of each base model, by its name as the worker loads it. Reads small files."""
    found: dict[str, Pace] = {}
    for evaluation in store.evaluations.list(_LOOKED_AT):
        folder = EvaluationDir.of(home, evaluation.id)
        told, spec = folder.read(folder.progress), folder.read(folder.spec)
        doing = folder.read(folder.doing)
        took = float(told.get("t") or 0) - float(told.get("began") or 0)
        done = int(told.get("done") or 0) - int(doing.get("from") or 0)
        if took <= 0 or done <= 0:
            continue
        pace = Pace(evaluation.name, took / done, int(evaluation.settings.get("max_new_tokens") or 0))
        for model in spec.get("models") or ():
            found.setdefault(str(model.get("base") or ""), pace)
    return found


def expected_s(known: Pace | None, rows: int, models: Sequence[str]) -> float | None:
    """Seconds that so many rows of these models may take; `None` where nothing is known."""
    return known.answer_s * rows * len(models) if known is not None else None
