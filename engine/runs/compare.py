"""Runs side by side: what differs in their recipes, what they came to, and which did better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import NotFound
from store import Store
from store.records import Latest, Run

EVAL_LOSS = "eval/loss"
TRAIN_LOSS = "train/loss"

_UNRANKED_PREFIXES = ("system/", "gpu")
_BOOKKEEPING = frozenset({"train/epoch", "train/num_tokens", "train/learning_rate"})
_LOWER = ("loss", "perplexity")
_HIGHER = ("accuracy", "tokens_per_s")


@dataclass(frozen=True)
class Comparison:
    """Lists have one entry a run, in the order of `runs`.

    `differing` holds the recipe's fields that are not the same in all runs. `metrics` holds one figure a metric:
    evaluations count with their best value (the best adapter is the one that is kept), training figures with their
    last. `best` says which run has the best figure; `None` where that means nothing or is shared.
    """

    runs: list[Run]
    differing: dict[str, list[Any]]
    metrics: dict[str, list[float | None]]
    best: dict[str, int | None]
    sentence: str


def compare(store: Store, run_ids: Sequence[str]) -> Comparison:
    """Put runs side by side, in the order given. Raises `NotFound` for an id without a run."""
    runs = []
    for run_id in run_ids:
        run = store.runs.get(run_id)
        if run is None:
            raise NotFound(f"There is no run {run_id}.", fix="`finetui runs ls` lists them.")
        runs.append(run)
    differing = differing_settings(runs)
    metrics = figures(runs)
    best = {name: best_index(name, values) for name, values in metrics.items()}
    return Comparison(runs, differing, metrics, best, sentence(runs, differing, metrics, best))


def differing_settings(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """The recipe's fields that differ, in the recipe's order, with the value in each run (`None` where unset).

    Two versions of one dataset have the same name, so the dataset's id decides whether `dataset` differs.
    """
    names = list(dict.fromkeys(name for run in runs for name in run.recipe))
    found: dict[str, list[Any]] = {}
    for name in names:
        values = [run.recipe.get(name) for run in runs]
        if name == "dataset":
            ids = [run.dataset_id for run in runs]
            if len(set(ids)) > 1:
                labels = [run.dataset for run in runs]
                found[name] = labels if len(set(labels)) == len(set(ids)) else list(ids)
        elif any(value != values[0] for value in values[1:]):
            found[name] = values
    return found


def figures(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """One figure a metric and run: losses first, then the rest by name. System figures are left out."""
    names = {name for run in runs for name in run.metrics}
    names = {name for name in names if name not in _BOOKKEEPING and not name.startswith(_UNRANKED_PREFIXES)}
    ordered = sorted(names, key=lambda name: (name != EVAL_LOSS, name != TRAIN_LOSS, name))
    return {name: [_figure(name, run.metrics.get(name)) for run in runs] for name in ordered}


def best_index(name: str, values: Sequence[float | None]) -> int | None:
    """Which value is best, or `None` where the metric has no better side, one value only, or a tie."""
    lower = lower_is_better(name)
    known = [value for value in values if value is not None]
    if lower is None or len(known) < 2:
        return None
    best = min(known) if lower else max(known)
    return values.index(best) if known.count(best) == 1 else None


def lower_is_better(name: str) -> bool | None:
    """True for losses and perplexity, False for accuracy and speed, `None` for what has no better side."""
    if name.endswith(_LOWER):
        return True
    return False if name.endswith(_HIGHER) else None


def sentence(
    runs: Sequence[Run],
    differing: dict[str, list[Any]],
    metrics: dict[str, list[float | None]],
    best: dict[str, int | None],
) -> str:
    """The comparison in words: who did better, by how much, and what differs."""
    ranked = next(
        (name for name in (EVAL_LOSS, TRAIN_LOSS) if sum(v is not None for v in metrics.get(name, [])) > 1), None
    )
    names = _listed(list(differing))
    if ranked is None:
        return f"There is no loss to compare yet; {_differs('they', names)}."
    words = ranked.replace("/", " ")
    winner = best[ranked]
    if winner is None:
        return f"They come to the same {words}; {_differs('they', names)}." + _different_data(differing)
    values = metrics[ranked]
    others = sorted((value, index) for index, value in enumerate(values) if value is not None and index != winner)
    own = values[winner]
    assert own is not None
    gap = _amount(others[0][0] - own)
    if len(runs) == 2:
        text = f"{runs[winner].name} is better by {gap} {words}; {_differs('it', names)}."
    else:
        second = runs[others[0][1]].name
        text = f"{runs[winner].name} is best by {gap} {words}, before {second}; {_differs('they', names)}."
    return text + _different_data(differing)


def _figure(name: str, latest: Latest | None) -> float | None:
    if latest is None:
        return None
    best = latest.max if lower_is_better(name) is False else latest.min
    value = best if name.startswith("eval/") else latest.last
    return value if value is not None and math.isfinite(value) else None


def _differs(who: str, names: str) -> str:
    verb = "differs" if who == "it" else "differ"
    return f"{who} {verb} in {names}" if names else "their recipes are the same"


def _different_data(differing: dict[str, list[Any]]) -> str:
    return (
        " They learned from different data, so their losses are not of the same rows." if "dataset" in differing else ""
    )


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} more settings"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""


def _amount(value: float) -> str:
    """Two significant digits: enough to see what a gain is worth."""
    return f"{value:.2g}" if value < 10 else f"{value:.1f}"
