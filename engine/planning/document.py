"""A plan as a JSON document: what `finetui estimate --json` prints, and what a run keeps of it."""

from dataclasses import asdict
from typing import Any

from engine.planning.records import Estimate, MemoryParts, RunPlan

PARTS = ("weights", "adapter", "optimizer", "gradients", "activations", "logits", "overhead")


def memory_document(memory: MemoryParts | None) -> dict[str, int] | None:
    """Bytes by part, and their `total`; `None` where they are not known."""
    if memory is None:
        return None
    return {name: getattr(memory, name) for name in PARTS} | {"total": memory.total}


def estimate_document(estimate: Estimate) -> dict[str, Any]:
    """What a run takes. `needs_bytes` is the total with what earlier runs on the device taught."""
    return {
        "memory_bytes": memory_document(estimate.memory),
        "unknown": estimate.unknown,
        "device": estimate.device.name,
        "device_title": estimate.device.title,
        "device_bytes": estimate.device.total_bytes,
        "free_bytes": estimate.free_bytes,
        "needs_bytes": estimate.needs_bytes,
        "fits": estimate.fits,
        "calibrated": estimate.calibrated,
        "suggestions": [asdict(one) for one in estimate.suggestions],
        "time_s": estimate.time_s,
        "time_spread_s": estimate.time_spread_s,
        "cost": estimate.cost,
        "tokens_per_s": estimate.tokens_per_s,
        "speed_source": estimate.speed_source,
    }


def plan_document(plan: RunPlan) -> dict[str, Any]:
    """An estimate, and under `plan` what was decided, why, and how much there is to train on."""
    decided = plan.recipe.model_dump(mode="json")
    return estimate_document(plan.estimate) | {
        "plan": {
            "decided": {name: decided[name] for name in plan.reasons if name in decided},
            "reasons": plan.reasons,
            "total_steps": plan.total_steps,
            "rows": plan.rows,
            "sequences": plan.sequences,
            "tokens": plan.tokens,
            "trained_tokens": plan.trained_tokens,
            "longest_tokens": plan.longest_tokens,
            "tokens_known": plan.tokens_known,
        }
    }
