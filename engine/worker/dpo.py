"""Learning to prefer one answer to another, by direct preference optimisation."""

import shutil
from pathlib import Path
from typing import Any

from trl import DPOTrainer

from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode
from engine.worker.refusal import Refusal
from engine.worker.trainer import RunTraining

REFERENCE = "ref"
"""TRL's name for the copy of an adapter that goes on from another: what the trained one is held to."""


class PreferenceTrainer(RunTraining, DPOTrainer):
    """Learns from pairs. What it is held to is the base with its adapter off, the adapter it goes on from, or, where
    the whole model is trained, a second copy of the base (`ref_model`)."""

    def _tidy(self, saved: Path) -> None:
        """The reference never changes and is loaded from where it came from."""
        shutil.rmtree(saved / REFERENCE, ignore_errors=True)


def check_preference(recipe: Recipe) -> None:
    """Raise `Refusal` for what pairs cannot be trained with."""
    asked = [name for name in ("packing", "padding_free") if getattr(recipe, name) is True]
    if asked:
        raise Refusal(
            f"objective: dpo compares two answers in one batch of rows, so {' and '.join(asked)} cannot be had.",
            code=FailureCode.RECIPE,
            fix=f"Set {' and '.join(f'{name} = false' for name in asked)}.",
        )


def reference_model(recipe: Recipe, load: Any) -> Any:
    """The model that full training is held to, by `load`; `None` where an adapter can be turned off instead."""
    return load() if recipe.method == "full" else None
