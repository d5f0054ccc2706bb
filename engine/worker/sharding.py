"""A model shared out over several GPUs (FSDP), as Transformers, accelerate and bitsandbytes want it.

Each GPU holds a part of the weights, gathers one layer at a time, and has the optimiser's state of its own part alone.
https://huggingface.co/docs/bitsandbytes/fsdp_qlora
"""

from typing import Any

import torch

from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode
from engine.worker.distributed import world_size
from engine.worker.refusal import Refusal


def is_sharded(recipe: Recipe) -> bool:
    """Whether the processes share one copy of the model instead of having one each."""
    return recipe.distributed == "fsdp" and world_size() > 1


def sharding_settings(recipe: Recipe) -> dict[str, Any]:
    """What the trainer's settings say of it; empty where the model is not shared out.

    Raises `Refusal` where there is no GPU: accelerate shares models out between GPUs only.
    """
    if not is_sharded(recipe):
        return {}
    if not torch.cuda.is_available():
        raise Refusal(
            'distributed = "fsdp" needs GPUs: on processors a model cannot be shared out.',
            code=FailureCode.RECIPE,
            fix='Set distributed = "ddp".',
            changes={"distributed": "ddp"},
        )
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "reshard_after_forward": True,
            # Quantised weights are quantised where they are loaded, and cannot be handed out by process 0.
            "cpu_ram_efficient_loading": False,
            # The adapter is saved whole, as any other run's.
            "state_dict_type": "FULL_STATE_DICT",
            "activation_checkpointing": recipe.gradient_checkpointing is True,
        },
        # That of the line above takes its place: both together gather each layer twice.
        "gradient_checkpointing": False,
    }


def quantised_storage(recipe: Recipe, dtype: torch.dtype) -> torch.dtype:
    """The type under which 4-bit weights are kept: shared out, they must look like the floats around them."""
    return dtype if is_sharded(recipe) else torch.uint8
