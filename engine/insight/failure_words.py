"""The words for failures, and which of them ask for what. `engine.insight.failures` puts them together."""

from collections.abc import Mapping
from typing import Any

from engine.runs.failure_codes import FailureCode

_BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")

TITLES = {
    FailureCode.CUDA_OUT_OF_MEMORY: "CUDA out of memory",
    FailureCode.HOST_OUT_OF_MEMORY: "The machine's memory ran out",
    FailureCode.REHEARSAL_MEMORY: "The longest batch does not fit into memory",
    FailureCode.LOSS_NOT_FINITE: "The loss is no number any more",
    FailureCode.NOTHING_TO_LEARN: "No token would be trained",
    FailureCode.NO_CHAT_TEMPLATE: "The model has no chat template",
    FailureCode.NO_GENERATION_BLOCK: "The template does not mark the answers",
    FailureCode.TEMPLATE_REFUSES: "The chat template refuses a row",
    FailureCode.DATASET_MISSING: "The dataset is gone",
    FailureCode.NO_ROWS: "The dataset has no training rows",
    FailureCode.NO_ANSWERS: "The dataset has no answers",
    FailureCode.MIXED_ROWS: "The dataset mixes conversations and plain text",
    FailureCode.PACKED_STAGES: "Stages cannot be packed",
    FailureCode.MODEL: "The model cannot be loaded",
    FailureCode.NEEDS_REMOTE_CODE: "The model brings code of its own",
    FailureCode.PICKLED_WEIGHTS: "The model has no safetensors weights",
    FailureCode.HUB_UNREACHABLE: "The hub does not answer",
    FailureCode.GATED: "The hub does not give the model out",
    FailureCode.DISK_FULL: "The disk is full",
    FailureCode.DEVICE_LOST: "The GPU is lost",
    FailureCode.LIBRARY: "A package is missing or does not fit",
    FailureCode.RECIPE: "The recipe cannot be trained",
    FailureCode.INPUTS: "The run's folder is damaged",
    FailureCode.UNKNOWN: "The worker failed",
    FailureCode.KILLED: "Killed from outside",
    FailureCode.CRASHED: "The worker crashed",
    FailureCode.CANNOT_START: "The worker could not be started",
    FailureCode.SILENT: "The worker ended without a word",
    FailureCode.VANISHED: "Its process is gone without a record",
    FailureCode.RESTARTED: "The machine was restarted",
    FailureCode.NEVER_STARTED: "Its process never started",
    FailureCode.OUT_OF_REACH: "Its machine is not heard of",
    FailureCode.TIME_LIMIT: "The cluster's time limit was reached",
    FailureCode.NODE_FAILED: "The cluster's node failed",
    FailureCode.PREEMPTED: "The cluster took its node away",
    FailureCode.STOPPED: "Stopped",
}
"""What happened, in a few words."""

EDIT = frozenset(
    {
        FailureCode.TEMPLATE_REFUSES,
        FailureCode.DATASET_MISSING,
        FailureCode.NO_ROWS,
        FailureCode.NO_ANSWERS,
        FailureCode.MIXED_ROWS,
        FailureCode.MODEL,
        FailureCode.PICKLED_WEIGHTS,
        FailureCode.RECIPE,
    }
)
"""Only the user knows which other dataset or model it is to be."""

RESUME = frozenset(
    {
        FailureCode.HUB_UNREACHABLE,
        FailureCode.GATED,
        FailureCode.DISK_FULL,
        FailureCode.DEVICE_LOST,
        FailureCode.LIBRARY,
        FailureCode.UNKNOWN,
        FailureCode.KILLED,
        FailureCode.CRASHED,
        FailureCode.CANNOT_START,
        FailureCode.SILENT,
        FailureCode.VANISHED,
        FailureCode.RESTARTED,
        FailureCode.NEVER_STARTED,
        FailureCode.OUT_OF_REACH,
        FailureCode.TIME_LIMIT,
        FailureCode.NODE_FAILED,
        FailureCode.PREEMPTED,
        FailureCode.STOPPED,
    }
)
"""Nothing is wrong with the recipe: the run goes on once the cause is gone."""


def change_words(changes: Mapping[str, Any]) -> str:
    """Recipe fields in a few words: `batch 2 × 8 and checkpointing`."""
    words = []
    batch, times = changes.get("per_device_train_batch_size"), changes.get("gradient_accumulation_steps")
    if batch is not None:
        words.append(f"batch {batch}" + (f" × {times}" if times is not None else ""))
    for name, value in changes.items():
        if name == "gradient_checkpointing" and value is True:
            words.append("checkpointing")
        elif name not in _BATCH or (batch is None and times is not None):
            words.append(f"{name} {_short(value)}")
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
