"""Why a run fails: a closed list of reasons, and what to change for each. No torch: both sides import it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.recipe import Recipe


class FailureCode(StrEnum):
    """`code` of an `end` event with the status `failed` and of the alert before it; or what its processes left behind.

    The last ones no worker can say of itself: `engine.runs.recognise` tells them from the exit record and the log.
    """

    CUDA_OUT_OF_MEMORY = "cuda_out_of_memory"
    """A GPU's memory ran out."""
    HOST_OUT_OF_MEMORY = "host_out_of_memory"
    """The machine's memory ran out: the worker noticed, or the kernel killed it."""
    REHEARSAL_MEMORY = "rehearsal_memory"
    """The rehearsal's longest batch did not fit, so training never began."""
    LOSS_NOT_FINITE = "loss_not_finite"
    """The training loss became NaN or infinite and stayed so."""
    NOTHING_TO_LEARN = "nothing_to_learn"
    """No token of the dataset carries loss."""
    NO_CHAT_TEMPLATE = "no_chat_template"
    """Conversations, and a model without a template to write them by."""
    NO_GENERATION_BLOCK = "no_generation_block"
    """The template does not mark what the assistant says."""
    TEMPLATE_REFUSES = "template_refuses"
    """The template raises an error for a row."""
    DATASET_MISSING = "dataset_missing"
    """The dataset's folder is gone or damaged."""
    NO_ROWS = "no_rows"
    """The training split is empty."""
    NO_ANSWERS = "no_answers"
    """No row has an assistant's turn that is wanted."""
    MIXED_ROWS = "mixed_rows"
    """Conversations and plain text in one dataset."""
    PACKED_STAGES = "packed_stages"
    """Packing would mix the stages of a staged dataset."""
    MODEL = "model"
    """The base model or the adapter to go on from cannot be loaded."""
    NEEDS_REMOTE_CODE = "needs_remote_code"
    """The model brings code of its own, which was not allowed."""
    PICKLED_WEIGHTS = "pickled_weights"
    """The model has no safetensors weights."""
    HUB_UNREACHABLE = "hub_unreachable"
    """The model is not on this machine, and the hub does not answer."""
    GATED = "gated"
    """The hub wants a token or an accepted licence."""
    DISK_FULL = "disk_full"
    """A checkpoint or a cache could not be written."""
    DEVICE_LOST = "device_lost"
    """The GPU vanished or its driver failed."""
    LIBRARY = "library"
    """A package is missing, or has a version that does not fit."""
    RECIPE = "recipe"
    """The recipe cannot be read, or asks for what the libraries refuse."""
    INPUTS = "inputs"
    """`inputs.json` is missing or damaged."""
    UNKNOWN = "unknown"
    """None of these: the log has the traceback."""

    KILLED = "killed"
    """A signal from outside ended the worker."""
    CRASHED = "crashed"
    """Native code crashed: a segmentation fault, an abort, a bus error."""
    CANNOT_START = "cannot_start"
    """The worker's program could not be run at all."""
    SILENT = "silent"
    """The worker ended in good order without saying how."""
    VANISHED = "vanished"
    """Its processes are gone, and nobody recorded their end."""
    RESTARTED = "restarted"
    """The machine was restarted under it."""
    NEVER_STARTED = "never_started"
    """Its supervisor never came to life."""
    OUT_OF_REACH = "out_of_reach"
    """It runs on another machine, of which nothing is heard."""
    TIME_LIMIT = "time_limit"
    """The cluster's time limit ended it."""
    NODE_FAILED = "node_failed"
    """The cluster's node failed under it."""
    PREEMPTED = "preempted"
    """The cluster gave its node to another job."""
    STOPPED = "stopped"
    """Its user stopped it, killed it, or took it out of the line."""


MEMORY = frozenset({FailureCode.CUDA_OUT_OF_MEMORY, FailureCode.HOST_OUT_OF_MEMORY, FailureCode.REHEARSAL_MEMORY})
"""Failures that end when the run needs less memory."""

SHORTEST = 256
"""`max_length` is not halved below this to save memory, in tokens: answers would be cut off."""

HIGHEST_RATE = 1e-3
"""The learning rate after a broken loss is a quarter of what it was, and no more than this."""


@dataclass(frozen=True)
class Remedy:
    """What to do about a failure. `changes` are recipe fields with which the run can be launched again."""

    fix: str
    changes: dict[str, Any] = field(default_factory=dict)


def remedy(code: FailureCode, recipe: Recipe | None) -> Remedy:
    """What helps against `code`. `recipe` is that of the run; without one there is nothing to change."""
    if code in MEMORY:
        return less_memory(recipe, host=code is FailureCode.HOST_OUT_OF_MEMORY) if recipe else Remedy(_SMALLER)
    changes = _changes(code, recipe) if recipe is not None else {}
    return Remedy(_WORDS[code], changes)


def less_memory(recipe: Recipe, *, host: bool = False) -> Remedy:
    """The least costly change that lowers the peak: the batch first, then time, then quality.

    `host`: of the machine's memory instead of the GPU's, where paged optimisers keep their pages.
    """
    if host and recipe.optim.startswith("paged_"):
        changes: dict[str, Any] = {"optim": "adamw_8bit"}
        return Remedy(f"Set {_listed(changes)}: its state stays on the GPU instead of the machine's memory.", changes)
    batch, times = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps
    if isinstance(batch, int) and batch > 1:
        half = batch // 2
        changes = {"per_device_train_batch_size": half}
        if isinstance(times, int):
            changes["gradient_accumulation_steps"] = -(-batch * times // half)
        return Remedy(f"Set {_listed(changes)}: smaller batches, the same number of rows to a step.", changes)
    if recipe.gradient_checkpointing is not True:
        changes = {"gradient_checkpointing": True}
        return Remedy(f"Set {_listed(changes)}: much less memory, about a third slower.", changes)
    if recipe.method == "full" and not host and not recipe.optim.endswith("_8bit"):
        changes = {"optim": "adamw_8bit"}
        return Remedy(f"Set {_listed(changes)}: the optimiser keeps a byte where it kept four.", changes)
    if recipe.method != "qlora":
        changes = {"method": "qlora"}
        return Remedy(f"Set {_listed(changes)}: the base model takes a quarter of the memory.", changes)
    if isinstance(recipe.max_length, int) and recipe.max_length >= 2 * SHORTEST:
        changes = {"max_length": recipe.max_length // 2}
        return Remedy(f"Set {_listed(changes)}: what is longer is cut.", changes)
    return Remedy(_SMALLER)


def _changes(code: FailureCode, recipe: Recipe) -> dict[str, Any]:
    match code:
        case FailureCode.LOSS_NOT_FINITE:
            return {"learning_rate": min(HIGHEST_RATE, float(f"{recipe.learning_rate / 4:.3g}"))}
        case FailureCode.NO_GENERATION_BLOCK:
            return {"assistant_only_loss": False}
        case FailureCode.NO_CHAT_TEMPLATE:
            return {"chat_template": "chatml"}
        case FailureCode.PACKED_STAGES:
            return {"packing": False}
        case FailureCode.NOTHING_TO_LEARN if recipe.max_length != "auto":
            return {"max_length": "auto"}
        case FailureCode.DISK_FULL if recipe.save_total_limit > 1:
            return {"save_total_limit": 1}
    return {}


def _listed(changes: dict[str, Any]) -> str:
    return " and ".join(f"{name} = {str(value).lower()}" for name, value in changes.items())


_SMALLER = "Choose a smaller base model, or free memory that others use."

_WORDS = {
    FailureCode.LOSS_NOT_FINITE: "Launch it again with a lower learning rate; the last good checkpoint is kept.",
    FailureCode.NOTHING_TO_LEARN: "Raise max_length, or look at the rows: each needs an assistant's turn.",
    FailureCode.NO_CHAT_TEMPLATE: "Choose a chat model (its name often ends in -Instruct or -Chat), or set "
    "chat_template.",
    FailureCode.NO_GENERATION_BLOCK: "Set assistant_only_loss = false to learn from whole conversations, or add the "
    "block to the template.",
    FailureCode.TEMPLATE_REFUSES: "Change or drop the row, or choose another model or template.",
    FailureCode.DATASET_MISSING: "Import the dataset again and launch anew.",
    FailureCode.NO_ROWS: "Split the dataset anew with a share for training, or choose another.",
    FailureCode.NO_ANSWERS: "Choose a dataset with answers.",
    FailureCode.MIXED_ROWS: "Mix datasets of one kind only.",
    FailureCode.PACKED_STAGES: "Set packing = false, or mix the datasets instead of staging them.",
    FailureCode.MODEL: "Check the model's name, or that its files are whole.",
    FailureCode.NEEDS_REMOTE_CODE: "Read the model's code, then set trust_remote_code = true if you trust it.",
    FailureCode.PICKLED_WEIGHTS: "Get the safetensors version of the model.",
    FailureCode.HUB_UNREACHABLE: "Copy the model's folder to this machine and name that folder, or try again with a "
    "network.",
    FailureCode.GATED: "Ask for access on the model's page, then run `hf auth login`.",
    FailureCode.DISK_FULL: "Free some space, then resume: the last committed checkpoint is whole.",
    FailureCode.DEVICE_LOST: "Look at the device (`nvidia-smi`, `dmesg`), then resume from the last checkpoint.",
    FailureCode.LIBRARY: "Install what is missing: `finetui doctor` says what and how.",
    FailureCode.RECIPE: "Change the recipe and launch anew.",
    FailureCode.INPUTS: "Launch the run anew.",
    FailureCode.UNKNOWN: "Look at the run's log; resume once the cause is gone.",
    FailureCode.KILLED: "Resume: it goes on from its last checkpoint.",
    FailureCode.CRASHED: "Resume: it goes on from its last checkpoint. If it crashes again, look at the end of the log "
    "and at `finetui doctor`.",
    FailureCode.CANNOT_START: "Look at the end of the log and at `finetui doctor`, then resume.",
    FailureCode.SILENT: "Resume: it goes on from its last checkpoint; the end of the log may say more.",
    FailureCode.VANISHED: "Resume: it goes on from its last checkpoint.",
    FailureCode.RESTARTED: "Resume: it goes on from its last checkpoint.",
    FailureCode.NEVER_STARTED: "Resume: it starts anew. Look at free memory and the limit on processes (`ulimit -u`).",
    FailureCode.OUT_OF_REACH: "Look at that machine; resume once nothing of the run is at work there.",
    FailureCode.TIME_LIMIT: "Resume: it goes on from its last checkpoint. A larger slurm_time needs a new run.",
    FailureCode.NODE_FAILED: "Resume: it goes on from its last checkpoint, on another node.",
    FailureCode.PREEMPTED: "Resume: it goes on from its last checkpoint.",
    FailureCode.STOPPED: "Resume: it goes on from its last checkpoint.",
}
