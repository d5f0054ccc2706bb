"""The run that another one goes on from: its adapter is the start, so both must have the same base and shape."""

from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import BadInput
from engine.home import Home
from engine.models import ModelInfo
from engine.recipe import Recipe
from engine.runs.resolve import find_run
from engine.runs.rundir import RunDir, read_json
from store import Store

SHAPE = ("lora_r", "lora_alpha", "target_modules")
"""Fields that an adapter has in itself: a run that goes on from it takes them over."""


@dataclass(frozen=True)
class Parent:
    """The run to go on from, and where its adapter lies."""

    id: str
    name: str
    adapter: str
    taken_over: dict[str, Any]
    """Recipe fields that differ from the adapter's, as the adapter has them."""

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "taken_over"}


def find_parent(home: Home, store: Store, recipe: Recipe, model: ModelInfo | None) -> Parent:
    """The run that `recipe.continue_from` names. Raises `BadInput` where its adapter is no start for this recipe."""
    run = find_run(store, recipe.continue_from or "")
    rundir = RunDir(home.runs / run.id)
    if run.method == "full":
        raise BadInput(
            f"{run.name} trained all weights, so it has no adapter to go on from.",
            fix=f"Take the model it made: model = {str(rundir.adapter)!r}, without continue_from.",
        )
    if recipe.method == "full":
        raise BadInput(
            f"All weights cannot be trained from the adapter of {run.name}.",
            fix=f"Set method = {run.method}, as {run.name} has it.",
        )
    if "dora" in (run.method, recipe.method) and run.method != recipe.method:
        raise BadInput(
            f"{run.name} has an adapter of the method {run.method}, which {recipe.method} cannot go on from.",
            fix=f"Set method = {run.method}.",
        )
    if not (rundir.adapter / "adapter_model.safetensors").is_file():
        raise BadInput(
            f"{run.name} has no adapter to go on from.",
            why=f"It is {run.status}; its adapter is saved as {rundir.adapter / 'adapter_model.safetensors'}.",
            fix="Resume it to its end, or go on from another run.",
        )
    if model is not None:
        _require_same_base(run.name, run.model, read_json(rundir.inputs) or {}, model)
    changes = {}
    for name in SHAPE:
        theirs = run.recipe.get(name)
        value = tuple(theirs) if isinstance(theirs, list) else theirs
        if value is not None and value != getattr(recipe, name):
            changes[name] = value
    return Parent(run.id, run.name, str(rundir.adapter), changes)


def _require_same_base(name: str, base: str, inputs: dict[str, Any], model: ModelInfo) -> None:
    theirs = inputs.get("model")
    path = theirs.get("path") if isinstance(theirs, dict) else None
    if base != model.name and path != model.path:
        raise BadInput(
            f"{name} was trained on {base}, and its adapter fits no other model.",
            why=f"The recipe's model is {model.name}.",
            fix=f"Set model = {base!r}, or leave continue_from out.",
        )
