"""Runs side by side: what differs in their recipes, what they came to, and which did better."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import NotFound
from engine.runs.compare_words import sentence
from engine.runs.measures import EVAL_LOSS, TRAIN_LOSS, best_index, figure, lower_is_better, noise_of, ranked
from store import Store
from store.records import Run

__all__ = ["EVAL_LOSS", "TRAIN_LOSS", "Comparison", "best_index", "compare", "lower_is_better"]

LAST_EVALUATIONS = 8
"""Of so many evaluations the noise is told."""
_READ = 64
"""Points that are read for them, of the last part of a run; of more, each stands for some."""


@dataclass(frozen=True)
class Comparison:
    """Lists have one entry a run, in the order of `runs`.

    `differing` holds the recipe's fields that are not the same in all runs. `metrics` holds one figure a metric:
    evaluations count with their best value (the best adapter is the one that is kept), training figures with their
    last. `best` says which run has the best figure; `None` where that means nothing or is shared. `noise` is by how
    much the last losses on the validation split go up and down, one standard deviation; `None` where there are too
    few.
    """

    runs: list[Run]
    differing: dict[str, list[Any]]
    metrics: dict[str, list[float | None]]
    best: dict[str, int | None]
    noise: list[float | None]
    sentence: str


def compare(store: Store, run_ids: Sequence[str]) -> Comparison:
    """Put runs side by side, in the order given. Raises `NotFound` for an id without a run."""
    found = {run.id: run for run in store.runs.some(list(dict.fromkeys(run_ids)))}
    for run_id in run_ids:
        if run_id not in found:
            raise NotFound(f"There is no run {run_id}.", fix="`finetui runs ls` lists them.")
    runs = [found[run_id] for run_id in run_ids]
    metrics = figures(runs)
    best = {name: best_index(name, values) for name, values in metrics.items()}
    noise = [_noise(store, run) for run in runs]
    comparison = Comparison(runs, differing_settings(runs), metrics, best, noise, "")
    return replace(comparison, sentence=sentence(comparison))


def differing_settings(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The recipe's fields that differ, in the recipe's order, with the value in each run (`None` where unset)."""
    return {
        name: values
        for name, values in settings(runs).items()
        if any(not same_setting(value, values[0]) for value in values[1:])
    }


def settings(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """All fields of the recipes, in the recipe's order, with the value in each run (`None` where unset).

    Two versions of one dataset have the same name: where it takes the dataset's id to tell them apart, that is shown.
    """
    names = list(dict.fromkeys(name for run in runs for name in run.recipe))
    found: dict[str, list[Any]] = {name: [run.recipe.get(name) for run in runs] for name in names}
    if "dataset" in found:
        ids, labels = [run.dataset_id for run in runs], [run.dataset for run in runs]
        if len(set(ids)) > 1:
            found["dataset"] = [*labels] if len(set(labels)) == len(set(ids)) else [*ids]
        elif any(ids):  # one dataset under its name here and its id there
            found["dataset"] = [labels[0]] * len(runs)
    return found


def same_setting(one: Any, other: Any) -> bool:
    """Whether two values mean the same: `1` and `1.0` do, `1` and `True` do not."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def figures(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """One figure a metric and run: losses first, then the rest by name. System figures are left out."""
    names = ranked({name for run in runs for name in run.metrics})
    return {name: [figure(name, run.metrics.get(name)) for run in runs] for name in names}


def _noise(store: Store, run: Run) -> float | None:
    """How much its last validation losses go up and down."""
    latest = run.metrics.get(EVAL_LOSS)
    if latest is None:
        return None
    first = latest.step // 2  # earlier, the curve bends
    points = store.metrics.series(run.id, EVAL_LOSS, max_points=_READ, first_step=first)
    return None if points is None else noise_of(points.values[-LAST_EVALUATIONS:])
