"""What can be done about a finding, as far as this run allows it."""

from collections.abc import Mapping
from typing import Any

from engine.insight.diagnosis.curves import Curves
from engine.insight.diagnosis.records import Act


def stop(curves: Curves) -> tuple[Act, ...]:
    """End a live run and keep its best checkpoint."""
    if not curves.live:
        return ()
    kept = curves.best_step or (curves.checkpoints[-1] if curves.checkpoints else None)
    offer = "stop" if kept is None else f"stop and keep step {kept:,}"
    what = "saves what it has" if kept is None else f"keeps the adapter of step {kept:,}"
    if curves.recipe.get("method") == "full" and kept is not None:
        what = f"keeps the model of step {kept:,}"
    return (Act("stop", offer, from_step=kept, question=f"Stop this run now? It {what}."),)


def branch(curves: Curves, before: int, changes: Mapping[str, Any], words: str) -> tuple[Act, ...]:
    """A new run from the best checkpoint up to the step `before`; from the start where there is none to go on from."""
    usable = [step for step in curves.checkpoints if 0 < step <= before]
    if not usable or curves.recipe.get("method") == "full":
        return retrain(curves, changes, words)
    step = curves.best_step if curves.best_step in usable else usable[-1]
    question = f"Stop this run, and start a new one from its step {step:,}?" if curves.live else ""
    offer = f"branch from step {step:,} with {words}"
    return (Act("branch", offer, {**changes, **_rest(curves, step)}, step, question),)


def retrain(curves: Curves, changes: Mapping[str, Any], words: str) -> tuple[Act, ...]:
    """A new run from the start."""
    if not changes:
        return ()
    question = "Stop this run, and start anew?" if curves.live else ""
    return (Act("retrain", f"train again with {words}", dict(changes), None, question),)


def data(offer: str) -> tuple[Act, ...]:
    """A look at the dataset."""
    return (Act("data", offer),)


def resume(curves: Curves) -> tuple[Act, ...]:
    """The same run goes on."""
    if curves.live or curves.status == "succeeded":
        return ()
    return (Act("resume", "resume"),)


def scaled_rate(curves: Curves, by: float) -> tuple[dict[str, Any], str]:
    """The learning rate times `by`, as a change and in words; nothing where the rate is not known."""
    rate = _number(curves.recipe.get("learning_rate"))
    if not rate:
        return {}, ""
    scaled = float(f"{min(100.0, rate * by):.2g}")
    words = {0.5: "half the learning rate", 0.1: "a tenth of the learning rate", 10: "ten times the learning rate"}
    return {"learning_rate": scaled}, f"{words.get(by, 'the learning rate')} ({scaled:g})"


def gentler(curves: Curves) -> tuple[dict[str, Any], str]:
    """More dropout and a lower rank; with full training, weight decay instead. As changes and in words."""
    recipe = curves.recipe
    if recipe.get("method") == "full":
        if (_number(recipe.get("weight_decay")) or 0.0) >= 0.1:
            return {}, ""
        return {"weight_decay": 0.1}, "weight decay 0.1"
    changes: dict[str, Any] = {}
    words = []
    dropout = _number(recipe.get("lora_dropout"))
    if dropout is not None and dropout < 0.2:
        changes["lora_dropout"] = 0.1 if dropout < 0.1 else 0.2
        words.append(f"dropout {changes['lora_dropout']:g}")
    rank, alpha = _number(recipe.get("lora_r")), _number(recipe.get("lora_alpha"))
    if rank and rank > 8:
        lower = max(8, int(rank) // 2)
        changes["lora_r"] = lower
        if alpha:
            changes["lora_alpha"] = max(1, round(alpha * lower / rank))
        words.append(f"rank {lower}")
    return changes, " and ".join(words)


def _rest(curves: Curves, step: int) -> dict[str, Any]:
    """How long a run is that goes on from `step`: what was left of this one, at least a tenth."""
    total = curves.total_steps
    if not total or step >= total:
        return {}
    left = max(0.1, 1 - step / total)
    steps, epochs = _number(curves.recipe.get("max_steps")), _number(curves.recipe.get("num_train_epochs"))
    if steps and steps > 0:
        return {"max_steps": max(1, round(steps * left))}
    return {"num_train_epochs": float(f"{epochs * left:.3g}")} if epochs else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
