"""Early stopping that a resume does not forget: it goes on counting where the checkpoint stands."""

import json
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback
from transformers.trainer import TRAINER_STATE_NAME

from engine.recipe import Recipe


def early_stopping(recipe: Recipe, resume: Path | None) -> EarlyStoppingCallback:
    """The callback, with the evaluations without gain that `resume` has counted.

    transformers keeps them in the checkpoint, and restores them only together with what would end the training at once.
    """
    callback = EarlyStoppingCallback(recipe.early_stopping_patience, recipe.early_stopping_threshold)
    if resume is not None:
        callback.early_stopping_patience_counter = _counted(resume)
    return callback


def is_over(callback: EarlyStoppingCallback) -> bool:
    """Whether the run had stopped early by itself, and was killed before it said so."""
    return bool(callback.early_stopping_patience_counter >= callback.early_stopping_patience)


def _counted(checkpoint: Path) -> int:
    state: Any = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    kept = (state.get("stateful_callbacks") or {}).get(EarlyStoppingCallback.__name__) or {}
    one = kept[0] if isinstance(kept, list) else kept
    return int((one.get("attributes") or {}).get("early_stopping_patience_counter") or 0)
