"""The recipe: one frozen object that describes a run, whole.

It is TOML on disk, a form on the screen, flags on the command line and columns in a filter. Field names are those of
TRL, PEFT and Transformers, so that what people know from there holds here.
"""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import BadInput

Auto = Literal["auto"]


class Group(StrEnum):
    """Sections of the form and of the reference, in order."""

    MODEL = "model"
    DATA = "data"
    METHOD = "method"
    TRAINING = "training"
    EVALUATION = "evaluation"
    HARDWARE = "hardware"


def _field(default: Any, group: Group, help_text: str, **limits: Any) -> Any:
    return Field(default, description=help_text, json_schema_extra={"group": group.value}, **limits)


class Recipe(BaseModel):
    """Everything that decides what a run does. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    model: str = _field("starter", Group.MODEL, "base model: `starter`, a model folder, or a hub name", min_length=1)
    revision: str | None = _field(None, Group.MODEL, "hub branch, tag or commit of the base model")
    trust_remote_code: bool = _field(False, Group.MODEL, "run code that comes with the model; recorded with the run")

    dataset: str = _field("", Group.DATA, "dataset to train on: its name or id", min_length=1)
    max_length: int = _field(1024, Group.DATA, "longest sequence, in tokens; what is longer is cut", ge=8, le=1 << 20)
    packing: bool = _field(False, Group.DATA, "put several short conversations into one sequence, kept apart")
    assistant_only_loss: bool = _field(True, Group.DATA, "learn from the assistant's turns alone")

    method: Literal["qlora", "lora", "full"] = _field(
        "qlora", Group.METHOD, "qlora: adapter on a 4-bit base; lora: adapter; full: all weights"
    )
    lora_r: int = _field(16, Group.METHOD, "rank of the adapter; 8 to 64 is usual", ge=1, le=1024)
    lora_alpha: int = _field(32, Group.METHOD, "scale of the adapter; usually twice the rank", ge=1, le=4096)
    lora_dropout: float = _field(0.05, Group.METHOD, "dropout on the adapter's input", ge=0.0, lt=1.0)
    target_modules: str | tuple[str, ...] = _field(
        "all-linear", Group.METHOD, "layers that get an adapter: `all-linear` or their names"
    )

    num_train_epochs: float = _field(3.0, Group.TRAINING, "passes over the training rows", gt=0, le=1000)
    max_steps: int = _field(-1, Group.TRAINING, "optimiser steps; -1 leaves it to the epochs", ge=-1)
    learning_rate: float = _field(
        2e-4, Group.TRAINING, "peak learning rate of the optimiser; 1e-4 to 3e-4 is usual for LoRA", gt=0, le=100
    )
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = _field(
        "cosine", Group.TRAINING, "how the learning rate falls"
    )
    warmup_ratio: float = _field(0.1, Group.TRAINING, "share of the steps in which it rises", ge=0.0, le=0.9)
    weight_decay: float = _field(0.0, Group.TRAINING, "pull of the weights towards zero", ge=0.0, le=10)
    max_grad_norm: float = _field(1.0, Group.TRAINING, "gradients longer than this are scaled down", gt=0)
    optim: Literal["adamw_torch", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = _field(
        "adamw_torch", Group.TRAINING, "optimiser"
    )
    per_device_train_batch_size: int = _field(4, Group.TRAINING, "rows at once on a device", ge=1, le=4096)
    gradient_accumulation_steps: int = _field(
        4, Group.TRAINING, "batches to one optimiser step; batch size times this is the effective batch", ge=1, le=4096
    )
    gradient_checkpointing: bool = _field(False, Group.TRAINING, "less memory for activations, about a third slower")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = _field("auto", Group.TRAINING, "number format of the compute")
    seed: int = _field(42, Group.TRAINING, "same seed, same run", ge=0, le=2**32 - 1)

    logging_steps: int = _field(1, Group.EVALUATION, "steps between two points of the training loss", ge=1)
    eval_steps: int | Auto = _field(
        "auto", Group.EVALUATION, "steps between evaluations on the validation rows; auto is ten to a run"
    )
    per_device_eval_batch_size: int = _field(4, Group.EVALUATION, "validation rows at once on a device", ge=1, le=4096)
    save_total_limit: int = _field(2, Group.EVALUATION, "checkpoints kept beside the best", ge=1)
    early_stopping_patience: int = _field(
        3, Group.EVALUATION, "evaluations without gain before the run stops; 0 never stops", ge=0
    )
    early_stopping_threshold: float = _field(0.0, Group.EVALUATION, "gain in loss that counts as a gain", ge=0.0)
    sample_prompts: tuple[str, ...] = _field(
        (), Group.EVALUATION, "prompts answered at each evaluation; empty takes three validation rows"
    )
    sample_max_new_tokens: int = _field(64, Group.EVALUATION, "longest answer to a sample prompt", ge=1, le=8192)

    devices: int | Auto = _field("auto", Group.HARDWARE, "how many GPUs")
    backend: Literal["local"] = _field("local", Group.HARDWARE, "where the run is started")

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if isinstance(self.eval_steps, int) and self.eval_steps < 1:
            raise ValueError("eval_steps: must be at least 1, or auto")
        if isinstance(self.devices, int) and self.devices < 1:
            raise ValueError("devices: must be at least 1, or auto")
        return self

    @property
    def effective_batch_size(self) -> int:
        """Rows that decide one optimiser step on one device."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    def to_toml(self) -> str:
        """The recipe as TOML; fields that are `None` are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def make_recipe(values: dict[str, Any]) -> Recipe:
    """A validated recipe. Raises `BadInput` that names every wrong field at once."""
    problems = recipe_problems(values)
    if problems:
        lines = "\n".join(f"  {name}: {text}" for name, text in problems.items())
        raise BadInput(
            "The recipe has a field that cannot work:"
            if len(problems) == 1
            else f"The recipe has {len(problems)} fields that cannot work:",
            why=lines,
            fix="Change them and try again; `finetui presets show quick-look` prints a recipe that works.",
        )
    return Recipe.model_validate(values)


def recipe_problems(values: dict[str, Any]) -> dict[str, str]:
    """What is wrong with `values`, by field name; empty when a recipe can be made of them."""
    try:
        Recipe.model_validate(values)
    except ValidationError as error:
        found: dict[str, str] = {}
        for item in error.errors():
            place = [part for part in item["loc"] if isinstance(part, str) and part in Recipe.model_fields]
            name = place[0] if place else ".".join(str(part) for part in item["loc"])
            text = item["msg"].removeprefix("Value error, ")
            if not name:
                name, _, text = text.partition(": ")
            if item["type"] == "extra_forbidden":
                text = "is not a field of the recipe" + _nearest(name)
            elif item["type"] == "string_too_short":
                text = "is missing"
            else:
                text = f"{text[:1].lower()}{text[1:]} (got {item['input']!r})" if place else text
            found.setdefault(name, text)
        return found
    return {}


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, Recipe.model_fields, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def load_recipe_values(path: Path) -> dict[str, Any]:
    """The fields a TOML file sets, not validated yet. Raises `BadInput` for a file that is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(
            f"There is no recipe at {path}.", fix="`finetui presets show conservative` prints one to start from."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} cannot be read as a recipe.", why=str(error), fix="A recipe is a TOML file.") from error


def parse_setting(text: str) -> tuple[str, Any]:
    """`key=value` of `--set`, the value read as TOML where it is TOML, else as a string.

    Raises `BadInput` where there is no `=`.
    """
    key, sign, raw = text.partition("=")
    key = key.strip()
    if not sign or not key:
        raise BadInput(f"--set takes key=value, not {text!r}.", fix="For example --set lora_r=32.")
    return SHORT_NAMES.get(key, key), parse_value(raw.strip())


def parse_value(raw: str) -> Any:
    """`raw` as a TOML value (`2e-4`, `true`, `["a"]`), else the text itself."""
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


SHORT_NAMES = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "lora_rank": "lora_r",
    "rank": "lora_r",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
}
"""Names people type, and the field each means."""
