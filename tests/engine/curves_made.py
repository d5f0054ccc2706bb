"""Curves with the shape that a test wants: seeded noise around a line."""

import random
from collections.abc import Callable
from typing import Any

from engine.insight.diagnosis import Curves

RECIPE: dict[str, Any] = {
    "method": "lora",
    "learning_rate": 2e-4,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 4,
    "train_sampling_strategy": "random",
    "precision": "bf16",
}


def points(
    line: Callable[[float], float], count: int = 100, *, every: int = 1, noise: float = 0.0, seed: int = 1
) -> list[tuple[int, float]]:
    """`count` points of `line`, which is given the share of the way, from 0 to 1."""
    chance = random.Random(seed)
    return [(every * (at + 1), line(at / max(1, count - 1)) + chance.gauss(0, noise)) for at in range(count)]


def falling(start: float = 2.0, end: float = 1.0) -> Callable[[float], float]:
    """As losses fall: fast at first."""
    return lambda share: end + (start - end) * (1 - share) ** 2


def run(train: list[tuple[int, float]] | None = None, **fields: Any) -> Curves:
    """A run at work, half done, with these metrics: `train`, `eval`, and others by their names with `__` for `/`."""
    metrics = {"train/loss": train if train is not None else points(falling(), noise=0.03)}
    if "eval" in fields:
        metrics["eval/loss"] = fields.pop("eval")
    for name in [name for name in fields if "__" in name]:
        metrics[name.replace("__", "/")] = fields.pop(name)
    last = max((found[-1][0] for found in metrics.values() if found), default=0)
    known: dict[str, Any] = {
        "step": last,
        "total_steps": 2 * last,
        "status": "training",
        "recipe": RECIPE | fields.pop("recipe", {}),
        "epoch": 1.5,
        "train_rows": 400,
        "eval_rows": 40,
    }
    return Curves(metrics=metrics, **(known | fields))
