"""Models that are measured: as people name them, as the store keeps them, and as the worker loads them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.inference.panes import Pane, panes_for
from engine.models import resolve_model
from engine.registry.finding import find, find_registered, pane_of
from engine.runs.resolve import find_run
from engine.suites.seating import BASE, panes_of
from store import Store
from store.records import Run

PATH = "path:"
"""Before the folder of a merged or downloaded model."""


def named(store: Store, home: Home, text: str) -> str:
    """The model that somebody means: `base:NAME`, `path:FOLDER`, a registered `NAME@2`, or a run by id or name.

    Raises `NotFound`, `BadInput`.
    """
    text = text.strip()
    if text.startswith(BASE):
        resolve_model(text.removeprefix(BASE), home)
        return text
    if text.startswith(PATH):
        folder = Path(text.removeprefix(PATH)).expanduser().absolute()
        resolve_model(str(folder), home)
        return f"{PATH}{folder}"
    if "@" in text and (version := find(home, store, text)) is not None:
        return f"{version.name}@{version.version}"
    return find_run(store, text).id


def runs_of(store: Store, models: Sequence[str]) -> list[Run]:
    """The runs among these models that are still there."""
    return store.runs.some([model for model in models if not model.startswith((BASE, PATH))])


def base_for(store: Store, models: Sequence[str]) -> str:
    """What these models are compared with unless something else is said: the base of the first that has one."""
    runs = {run.id: run.model for run in runs_of(store, models)}
    bases = (runs.get(model) or _registered_base(store, model) for model in models)
    return next((f"{BASE}{base}" for base in bases if base), "")


def _registered_base(store: Store, model: str) -> str:
    name, _, number = model.partition("@")
    version = store.registry.get(name, int(number)) if number.isdecimal() else None
    return version.base if version is not None and not model.startswith((BASE, PATH)) else ""


def with_first(models: Sequence[str], against: str) -> tuple[str, ...]:
    """The models without repeats, what they are compared with first."""
    return tuple(dict.fromkeys([*([against] if against else []), *models]))


def seated(store: Store, home: Home, models: Sequence[str]) -> list[Pane]:
    """What is loaded for each model. Raises `NotFound` for what is gone, `BadInput` for a run without an adapter."""
    kept = {model for model in models if _registered_base(store, model)}
    beside = [model for model in models if not model.startswith(PATH) and model not in kept]
    panes = dict(zip(beside, panes_of(store, home, beside), strict=True))
    for model in models:
        if model in kept:
            panes[model] = pane_of(home, find_registered(home, store, model))
        elif model.startswith(PATH):
            folder = Path(model.removeprefix(PATH))
            if not folder.is_dir():
                raise NotFound(f"The model folder {folder} is gone.", fix="Evaluate anew, with models that are there.")
            panes[model] = panes_for([], str(folder), home)[0]
    return [panes[model] for model in models]


def worker_models(panes: Sequence[Pane], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The `models` of `spec.json`."""
    return [
        {
            "label": label,
            "base": pane.model,
            "revision": pane.revision,
            "method": "qlora" if pane.quantised else "lora",
            "precision": pane.precision,
            "adapter": str(pane.adapter) if pane.adapter else None,
        }
        for pane, label in zip(panes, labels, strict=True)
    ]


def labels(store: Store, models: Sequence[str]) -> list[str]:
    """The models' names, each once; a run that is gone by its id."""
    known = {run.id: run.name for run in runs_of(store, models)}
    found: list[str] = []
    for model in models:
        name = known.get(model, "") or model.removeprefix(BASE)
        if model.startswith(PATH):
            name = Path(model.removeprefix(PATH)).name
        if model.startswith(BASE) or name in found:
            name = f"{name} (base)" if model.startswith(BASE) else f"{name} ({model[:8]})"
        found.append(name)
    return found


def require_models(models: Sequence[str]) -> None:
    """Raises `BadInput` where nothing is to be measured."""
    if not models:
        raise BadInput("No model is to be evaluated.", fix="Name a run, base:NAME, or path:FOLDER.")
