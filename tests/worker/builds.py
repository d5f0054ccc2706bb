"""Trainers as a run builds them, without the run around them."""

from pathlib import Path
from typing import Any

from engine.recipe import load_recipe_values, make_recipe, without_auto
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, read_json
from engine.worker.building import Built, Job, build


def built(run: RunDir, *, resume: Path | None = None) -> Built:
    """The trainer of the run in its folder; it evaluates and saves every `eval_steps`."""
    recipe = without_auto(make_recipe(load_recipe_values(run.recipe)))
    inputs = read_json(run.inputs)
    assert inputs is not None
    job = Job(run, recipe, inputs, EventWriter(run.events, 1), resume, "cpu", "fp32")
    found = build(job, lambda *_: None)
    found.trainer.args.eval_steps = found.trainer.args.save_steps = recipe.eval_steps
    return found


def train_losses(trainer: Any) -> dict[int, float]:
    """The training loss of each logged step."""
    return {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}


def eval_losses(trainer: Any) -> dict[int, float]:
    """The validation loss of each evaluation."""
    return {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
