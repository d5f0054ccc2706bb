"""The run that another one goes on from: its adapter is the start, so both must have the same base and shape.

`continue_from = "support-3"` goes on from the adapter that the run left, `"support-3@300"` from its checkpoint of step
300, also while it is still at work.
"""

import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.home import Home
from engine.models import ModelInfo
from engine.recipe import Recipe
from engine.runs.resolve import find_run
from engine.runs.rundir import COMMITTED, RunDir, checkpoint_name, checkpoint_step, read_json
from store import Store
from store.records import Run

SHAPE = ("lora_r", "lora_alpha", "target_modules")
"""Fields that an adapter has in itself: a run that goes on from it takes them over."""

START = "start"
"""The folder of a run with its copy of the checkpoint that it starts from: the other run may delete its own."""

_WEIGHTS = "adapter_model.safetensors"
_COPIED = ("adapter_config.json", _WEIGHTS)


@dataclass(frozen=True)
class Parent:
    """The run to go on from, and where its adapter lies."""

    id: str
    name: str
    adapter: str
    taken_over: dict[str, Any]
    """Recipe fields that differ from the adapter's, as the adapter has them."""
    step: int | None = None
    """The step of the checkpoint to go on from; `None` for the adapter that the run left."""

    def to_json(self) -> dict[str, Any]:
        left_out = {"taken_over"} if self.step is not None else {"taken_over", "step"}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    def kept_in(self, rundir: RunDir, final: RunDir) -> "Parent":
        """Copy a checkpoint's adapter into `rundir`, which becomes `final`: nobody deletes it there. Raises OSError."""
        if self.step is None:
            return self
        start = rundir.path / START
        start.mkdir()
        for name in _COPIED:
            shutil.copy2(Path(self.adapter) / name, start / name)
        return replace(self, adapter=str(final.path / START))


def split_step(store: Store, text: str) -> tuple[str, int | None]:
    """The run that `RUN@STEP` names, and the step; a run that is itself called so comes first."""
    match = re.fullmatch(r"(.+)@(\d+)", text.strip())
    if match is None or any(run.name == text.strip() for run in store.runs.find(text.strip())):
        return text, None
    return match[1], int(match[2])


def find_parent(home: Home, store: Store, recipe: Recipe, model: ModelInfo | None) -> Parent:
    """The run that `recipe.continue_from` names. Raises `BadInput` where its adapter is no start for this recipe."""
    named, step = split_step(store, recipe.continue_from or "")
    run = find_run(store, named)
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
    adapter = rundir.adapter if step is None else _checkpoint(run, rundir, step)
    if not (adapter / _WEIGHTS).is_file():
        raise BadInput(
            f"{run.name} has no adapter to go on from.",
            why=f"It is {run.status}; its adapter is saved as {adapter / _WEIGHTS}.",
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
    return Parent(run.id, run.name, str(adapter), changes, step)


def _checkpoint(run: Run, rundir: RunDir, step: int) -> Path:
    """The folder of the committed checkpoint of `step`. Raises `BadInput` that names those there are."""
    folder = rundir.checkpoints / checkpoint_name(step)
    if (folder / COMMITTED).is_file():
        return folder
    there = ", ".join(f"{checkpoint_step(one):,}" for one in rundir.committed_checkpoints())
    raise BadInput(
        f"{run.name} has no checkpoint of step {step:,}.",
        why=f"It keeps those of {there}." if there else "It keeps none.",
        fix="Name one of them, or leave the step out to go on from the adapter that it left.",
    )


def _require_same_base(name: str, base: str, inputs: dict[str, Any], model: ModelInfo) -> None:
    theirs = inputs.get("model")
    path = theirs.get("path") if isinstance(theirs, dict) else None
    if base != model.name and path != model.path:
        raise BadInput(
            f"{name} was trained on {base}, and its adapter fits no other model.",
            why=f"The recipe's model is {model.name}.",
            fix=f"Set model = {base!r}, or leave continue_from out.",
        )
