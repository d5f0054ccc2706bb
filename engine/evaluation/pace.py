"""How long an evaluation may take, by how fast earlier ones of the same base models were."""

from dataclasses import dataclass

from engine.evaluation.folder import EvaluationDir
from engine.evaluation.subjects import base_for
from engine.home import Home
from engine.suites.seating import BASE
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
    """The newest pace of each base model, by `base:NAME`. Reads small files."""
    found: dict[str, Pace] = {}
    for evaluation in store.evaluations.list(_LOOKED_AT):
        folder = EvaluationDir.of(home, evaluation.id)
        told, doing = folder.read(folder.progress), folder.read(folder.doing)
        took = float(told.get("t") or 0) - float(told.get("began") or 0)
        done = int(told.get("done") or 0) - int(doing.get("from") or 0)
        if took > 0 and done > 0:
            tokens = int(evaluation.settings.get("max_new_tokens") or 0)
            first = next((model for model in evaluation.models if model.startswith(BASE)), "")
            base = first or base_for(store, evaluation.models)
            found.setdefault(base, Pace(evaluation.name, took / done, tokens))
    return found


def expected_s(known: Pace | None, rows: int, models: int, max_new_tokens: int) -> float | None:
    """Seconds that so many rows of so many models may take; `None` where nothing is known.

    Longer answers may be as much slower as they are longer; shorter ones are not counted on to be faster.
    """
    if known is None:
        return None
    longer = max(1.0, max_new_tokens / known.max_new_tokens) if known.max_new_tokens else 1.0
    return known.answer_s * longer * rows * models
