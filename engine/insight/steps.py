"""How long a run is, in steps: the arithmetic of the trainer, without torch. The form shows it, the worker obeys it."""

import math

from engine.recipe import Recipe, without_auto

EVALUATIONS_PER_RUN = 10
"""What `eval_steps = "auto"` aims at."""


def planned_steps(recipe: Recipe, train_rows: int) -> int:
    """Optimiser steps of the whole run on all its devices. Of rows not packed yet, the most that it can be."""
    if recipe.max_steps > 0:
        return recipe.max_steps
    plain = without_auto(recipe)
    batch, times = int(plain.per_device_train_batch_size), int(plain.gradient_accumulation_steps)
    batches = math.ceil(math.ceil(train_rows / recipe.device_count) / batch)
    steps_per_epoch = max(1, math.ceil(batches / times))
    return math.ceil(steps_per_epoch * recipe.num_train_epochs)


def planned_interval(recipe: Recipe, steps: int) -> int:
    """Steps between two evaluations of a run of `steps`."""
    if isinstance(recipe.eval_steps, int):
        return min(recipe.eval_steps, steps)
    return max(1, steps // EVALUATIONS_PER_RUN)
