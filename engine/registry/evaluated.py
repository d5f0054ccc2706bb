"""What evaluations found about a run's adapter, as a version's `model_info.json` keeps it."""

from collections.abc import Iterable, Sequence
from typing import Any

from engine.errors import BadInput, NotFound
from engine.evaluation.measures import MEASURES
from engine.withheld import without_secrets
from store import Store
from store.evaluation_records import Evaluation, Measured

Info = dict[str, Any]


def evaluations_of(store: Store, model: str) -> list[tuple[Evaluation, list[Measured]]]:
    """Evaluations in which `model` was measured, the newest first, with its own figures."""
    return [(one, _own(store, one, model)) for one in store.evaluations.of_model(model)]


def evaluations_info(store: Store, run: str, wanted: Sequence[str] | None = None) -> list[Info]:
    """The evaluations of a run that go onto its card: those of these ids, else the newest of each kind and data.

    Raises `NotFound` for an id that is none, `BadInput` for an evaluation that did not measure this run.
    """
    if wanted is not None:
        chosen = [_find(store, run, text) for text in wanted]
    else:
        chosen = list(_newest(evaluations_of(store, run)))
    return [_info(store, evaluation, run, figures) for evaluation, figures in chosen]


def _newest(found: Iterable[tuple[Evaluation, list[Measured]]]) -> Iterable[tuple[Evaluation, list[Measured]]]:
    seen = set()
    for evaluation, figures in found:
        on = (evaluation.kind, evaluation.data, evaluation.split)
        if figures and on not in seen:
            seen.add(on)
            yield evaluation, figures


def _find(store: Store, run: str, text: str) -> tuple[Evaluation, list[Measured]]:
    found = store.evaluations.find(text)
    if not found:
        raise NotFound(f"There is no evaluation {text[:80]!r}.", fix="`finetui evals ls` lists them.")
    evaluation = next((one for one in found if run in one.models), None)
    if evaluation is None:
        raise BadInput(
            f"The evaluation {found[0].name} did not measure this run.",
            fix=f"`finetui eval {run}` makes one that does.",
        )
    return evaluation, _own(store, evaluation, run)


def _own(store: Store, evaluation: Evaluation, model: str) -> list[Measured]:
    place = evaluation.models.index(model)
    return [one for one in store.evaluations.figures(evaluation.id) if one.model == place]


def _info(store: Store, evaluation: Evaluation, run: str, figures: Sequence[Measured]) -> Info:
    dataset = store.datasets.get(evaluation.data)
    place = evaluation.models.index(run)
    order = {name: at for at, name in enumerate(MEASURES)}
    told = {
        "id": evaluation.id,
        "name": without_secrets(evaluation.name),
        "kind": evaluation.kind,
        "data": without_secrets(f"{dataset.name} v{dataset.version}" if dataset else evaluation.data),
        "data_id": dataset.id if dataset else "",
        "split": evaluation.split,
        "rows": evaluation.rows,
        "beside": _label(store, evaluation.models[0]) if place else "",
        "unfinished": without_secrets(evaluation.reason),
        "figures": [_figure(one) for one in sorted(figures, key=lambda one: (order.get(one.metric, 99), one.metric))],
    }
    return {name: value for name, value in told.items() if value != ""}


def _figure(one: Measured) -> Info:
    """One figure, its 95 % interval, and the difference to what it was measured beside."""
    told: Info = {
        "metric": one.metric,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "rows": one.rows,
        "difference": one.difference,
        "difference_low": one.difference_low,
        "difference_high": one.difference_high,
        "p_value": one.p_value,
    }
    return {name: value for name, value in told.items() if value is not None}


def _label(store: Store, model: str) -> str:
    """How the model is called on a card: a base by its name, a run by its name, a folder by its own."""
    kind, sign, name = model.partition(":")
    if sign and kind in ("base", "path"):
        return without_secrets(name.rstrip("/").rsplit("/", 1)[-1] if kind == "path" else name)
    run = store.runs.get(model)
    return without_secrets(run.name if run else model)
