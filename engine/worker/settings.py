"""A recipe as the settings of TRL and PEFT."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from trl import DPOConfig, SFTConfig

from engine.recipe import Recipe
from engine.runs.rundir import RunDir
from engine.worker.sharding import sharding_settings

UNPAGED = {"paged_adamw_8bit": "adamw_8bit", "paged_adamw_32bit": "adamw_torch"}
"""What stands for an optimiser that moves its state to the host's memory, where that is the only memory there is."""


def answer_settings(
    recipe: Recipe, run: RunDir, name: str, *, precision: str, answers_only: bool, evaluates: bool, resumes: bool
) -> SFTConfig:
    """The settings of a trainer that learns answers. `answers_only` limits the loss to what the assistant says.

    Rows laid end to end without packing have no `max_length` here: TRL refuses one; `RunTrainer` cuts them.
    """
    return SFTConfig(
        **_settings(recipe, run, name, precision=precision, evaluates=evaluates, resumes=resumes),
        max_length=recipe.max_length if unpacked_limit(recipe) is None else None,
        packing=recipe.packing,
        packing_strategy="bfd",
        padding_free=recipe.padding_free,
        eval_packing=False,
        assistant_only_loss=answers_only,
    )


def preference_settings(
    recipe: Recipe, run: RunDir, name: str, *, precision: str, evaluates: bool, resumes: bool
) -> DPOConfig:
    """The settings of a trainer that learns to prefer one answer to another."""
    return DPOConfig(
        **_settings(recipe, run, name, precision=precision, evaluates=evaluates, resumes=resumes),
        max_length=recipe.max_length,
        beta=recipe.beta,
    )


def unpacked_limit(recipe: Recipe) -> int | None:
    """The longest row, in tokens, where rows are laid end to end as the batch has them; `None` where TRL sees to it."""
    if recipe.padding_free is True and not recipe.packing and isinstance(recipe.max_length, int):
        return recipe.max_length
    return None


def _settings(
    recipe: Recipe, run: RunDir, name: str, *, precision: str, evaluates: bool, resumes: bool
) -> dict[str, Any]:
    """What all trainers are told. Saving, naming and rotating checkpoints is the run's own business."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(run.checkpoints),
        "run_name": name,
        "num_train_epochs": recipe.num_train_epochs,
        "max_steps": recipe.max_steps,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.lr_scheduler_type,
        "warmup_steps": recipe.warmup_ratio,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "optim": recipe.optim if gpu else UNPAGED.get(recipe.optim, recipe.optim),
        "per_device_train_batch_size": recipe.per_device_train_batch_size,
        "per_device_eval_batch_size": recipe.per_device_eval_batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation_steps,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "use_liger_kernel": recipe.use_liger_kernel,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": not gpu,
        "seed": recipe.seed,
        "logging_steps": recipe.logging_steps,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if evaluates else "no",
        "eval_on_start": evaluates and not resumes,
        "metric_for_best_model": "eval_loss" if evaluates else None,
        "greater_is_better": False,
        "save_strategy": "steps",
        "save_total_limit": None,
        "report_to": list(recipe.report_to) or "none",
        "project": "finetui",
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
        **sharding_settings(recipe),
        "dataset_num_proc": None,
        "dataloader_pin_memory": gpu,
    }


def adapter_settings(recipe: Recipe, *, targets: str | list[str], transposed: bool) -> LoraConfig:
    """A new adapter's settings. `transposed` says that the layers keep their weights as (in, out), as GPT-2's do."""
    return LoraConfig(
        r=recipe.lora_r,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=targets,
        use_dora=recipe.method == "dora",
        fan_in_fan_out=transposed,
        bias="none",
        task_type="CAUSAL_LM",
    )


def continued_settings(adapter: Path, recipe: Recipe) -> LoraConfig:
    """The settings of the adapter in a folder, to be trained on: dropout is the recipe's, the rest stays."""
    config = LoraConfig.from_pretrained(str(adapter))
    config.lora_dropout = recipe.lora_dropout
    config.inference_mode = False
    return config
