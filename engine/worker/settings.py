"""A recipe as the settings of TRL and PEFT."""

import torch
from peft import LoraConfig
from trl import SFTConfig

from engine.recipe import Recipe
from engine.runs.rundir import RunDir


def trainer_settings(
    recipe: Recipe, run: RunDir, *, precision: str, answers_only: bool, evaluates: bool, resumes: bool
) -> SFTConfig:
    """The trainer's settings. Saving, naming and rotating checkpoints is the run's own business.

    `answers_only` limits the loss to what the assistant says.
    """
    return SFTConfig(
        output_dir=str(run.checkpoints),
        num_train_epochs=recipe.num_train_epochs,
        max_steps=recipe.max_steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type,
        warmup_steps=recipe.warmup_ratio,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim=recipe.optim,
        per_device_train_batch_size=recipe.per_device_train_batch_size,
        per_device_eval_batch_size=recipe.per_device_eval_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        seed=recipe.seed,
        max_length=recipe.max_length,
        packing=recipe.packing,
        eval_packing=False,
        assistant_only_loss=answers_only,
        logging_steps=recipe.logging_steps,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if evaluates else "no",
        eval_on_start=evaluates and not resumes,
        metric_for_best_model="eval_loss" if evaluates else None,
        greater_is_better=False,
        save_strategy="steps",
        save_total_limit=None,
        report_to="none",
        disable_tqdm=True,
        dataset_num_proc=None,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def adapter_settings(recipe: Recipe) -> LoraConfig | None:
    """The adapter's settings, or `None` where the whole model is trained."""
    if recipe.method == "full":
        return None
    return LoraConfig(
        r=recipe.lora_r,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=recipe.target_modules if isinstance(recipe.target_modules, str) else list(recipe.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
