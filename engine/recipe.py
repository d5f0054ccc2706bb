"""The recipe: one frozen object that describes a run, whole.

It is TOML on disk, a form on the screen, flags on the command line and columns in a filter. Field names are those of
TRL, PEFT and Transformers, so that what people know from there holds here.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine.errors import BadInput
from engine.toml import parse_toml, read_toml

Auto = Literal["auto"]
Length = Annotated[int, Field(ge=8, le=1 << 20)]
Count = Annotated[int, Field(ge=1, le=4096)]


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

    chat_template: str | None = _field(
        None, Group.MODEL, "for a model without one: chatml, instruction, alpaca, llama-3, or a Jinja file"
    )
    continue_from: str | None = _field(
        None,
        Group.MODEL,
        "run whose adapter this one goes on from: its name or id; `NAME@300` takes its checkpoint of step 300",
    )

    dataset: str = _field("", Group.DATA, "dataset to train on: its name or id", min_length=1)
    max_length: Length | Auto = _field("auto", Group.DATA, "longest sequence, in tokens; what is longer is cut")
    packing: bool | Auto = _field(
        "auto", Group.DATA, "put several short conversations into one sequence of max_length tokens, kept apart"
    )
    padding_free: bool | Auto = _field(
        "auto", Group.DATA, "put the rows of a batch one behind the other instead of padding them, kept apart"
    )
    train_sampling_strategy: Literal["auto", "random", "group_by_length"] = _field(
        "auto", Group.DATA, "order of the rows; rows of like length together need less padding"
    )
    assistant_only_loss: bool = _field(True, Group.DATA, "learn from the assistant's turns alone")

    method: Literal["qlora", "lora", "lora8bit", "dora", "full"] = _field(
        "qlora",
        Group.METHOD,
        "qlora: adapter on a 4-bit base; lora8bit: on an 8-bit one; lora: adapter; dora: adapter with magnitudes; "
        "full: all weights",
    )
    objective: Literal["sft", "dpo"] = _field(
        "sft", Group.METHOD, "sft: learn the answers; dpo: prefer the chosen answer of a pair to the rejected one"
    )
    beta: float = _field(0.1, Group.METHOD, "dpo: how strongly it is held to the base model", gt=0, le=10)
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
    optim: Literal["auto", "adamw_torch", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = _field(
        "auto", Group.TRAINING, "optimiser"
    )
    effective_batch_size: int = _field(
        16, Group.TRAINING, "rows to one optimiser step, where the batch or the accumulation is auto", ge=1, le=1 << 20
    )
    per_device_train_batch_size: Count | Auto = _field(
        "auto", Group.TRAINING, "rows at once on a device; sequences, where they are packed"
    )
    gradient_accumulation_steps: Count | Auto = _field("auto", Group.TRAINING, "batches to one optimiser step")
    gradient_checkpointing: bool | Auto = _field(
        "auto", Group.TRAINING, "less memory for activations, about a third slower"
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = _field("auto", Group.TRAINING, "number format of the compute")
    attn_implementation: str = _field(
        "auto", Group.TRAINING, "attention: sdpa, eager, flash_attention_2, or a kernel's name on the hub", min_length=1
    )
    use_liger_kernel: bool | Auto = _field("auto", Group.TRAINING, "fused kernels of Liger, on a GPU")
    seed: int = _field(42, Group.TRAINING, "same seed, same run", ge=0, le=2**32 - 1)

    logging_steps: int = _field(1, Group.EVALUATION, "steps between two points of the training loss", ge=1)
    eval_steps: int | Auto = _field(
        "auto", Group.EVALUATION, "steps between evaluations on the validation rows; auto is ten to a run"
    )
    per_device_eval_batch_size: int = _field(4, Group.EVALUATION, "validation rows at once on a device", ge=1, le=4096)
    rehearse: bool = _field(
        True, Group.EVALUATION, "try the longest batch, an evaluation, a save and a load before the first step"
    )
    save_total_limit: int = _field(2, Group.EVALUATION, "checkpoints kept beside the best", ge=1)
    early_stopping_patience: int = _field(
        3, Group.EVALUATION, "evaluations without gain before the run stops; 0 never stops", ge=0
    )
    early_stopping_threshold: float = _field(0.0, Group.EVALUATION, "gain in loss that counts as a gain", ge=0.0)
    sample_prompts: tuple[str, ...] = _field(
        (), Group.EVALUATION, "prompts answered at each evaluation; empty takes three validation rows"
    )
    sample_max_new_tokens: int = _field(64, Group.EVALUATION, "longest answer to a sample prompt", ge=1, le=8192)

    report_to: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = _field(
        (), Group.EVALUATION, "who else is told the metrics: tensorboard, trackio, wandb"
    )

    devices: int | Auto | tuple[int, ...] = _field("auto", Group.HARDWARE, "how many GPUs, on each node; or which ones")
    distributed: Literal["auto", "ddp", "fsdp"] = _field(
        "auto", Group.HARDWARE, "several devices: ddp has the model on each; fsdp shares it out"
    )
    cost_per_hour: float = _field(0.0, Group.HARDWARE, "price of one device for an hour, in your currency", ge=0)
    backend: Literal["local", "slurm"] = _field("local", Group.HARDWARE, "where the run is started")
    nodes: int = _field(1, Group.HARDWARE, "machines, under Slurm", ge=1, le=1024)
    slurm_partition: str | None = _field(None, Group.HARDWARE, "Slurm: partition to run in")
    slurm_account: str | None = _field(None, Group.HARDWARE, "Slurm: account to charge")
    slurm_time: str | None = _field(None, Group.HARDWARE, "Slurm: time limit, as 30 (minutes), 12:00:00 or 1-12:00:00")
    slurm_options: tuple[str, ...] = _field((), Group.HARDWARE, "Slurm: more options of sbatch, as --constraint=a100")

    @field_validator("slurm_time", mode="before")
    @classmethod
    def _minutes(cls, value: Any) -> Any:
        """Slurm's shortest form of a time is a number, which TOML and `--set` read as one."""
        return str(value) if type(value) is int else value

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if isinstance(self.eval_steps, int) and self.eval_steps < 1:
            raise ValueError("eval_steps: must be at least 1, or auto")
        if isinstance(self.devices, int) and self.devices < 1:
            raise ValueError("devices: must be at least 1, or auto")
        if isinstance(self.devices, tuple) and (not self.devices or len(set(self.devices)) < len(self.devices)):
            raise ValueError("devices: must name each device once")
        return self

    @property
    def device_count(self) -> int:
        """Processes that train: devices of a node times nodes. `auto` is one device."""
        devices = 1 if self.devices == "auto" else self.devices if isinstance(self.devices, int) else len(self.devices)
        return devices * self.nodes

    @property
    def batches_per_step(self) -> int:
        """Rows (sequences, where they are packed) that decide one optimiser step, over all devices."""
        batch, times = self.per_device_train_batch_size, self.gradient_accumulation_steps
        if batch == "auto" or times == "auto":
            return self.effective_batch_size
        return batch * times * self.device_count

    def to_toml(self) -> str:
        """The recipe as TOML; fields that are `None` are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


PLAIN: dict[str, Any] = {
    "max_length": 1024,
    "packing": False,
    "padding_free": False,
    "train_sampling_strategy": "random",
    "optim": "adamw_torch",
    "gradient_checkpointing": False,
    "attn_implementation": "sdpa",
    "use_liger_kernel": False,
}
"""What stands for `auto` where no planner has looked; batch, accumulation and precision follow in `without_auto`."""

_PLAIN_BATCH = 4


def without_auto(recipe: Recipe) -> Recipe:
    """The recipe with a plain, safe choice wherever it still says `auto`. Evaluation steps, precision and devices stay.

    A launched run's recipe was resolved by the planner; this is for one that is started by hand.
    """
    changes: dict[str, Any] = {name: value for name, value in PLAIN.items() if getattr(recipe, name) == "auto"}
    batch, times = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps
    share = max(1, recipe.effective_batch_size // recipe.device_count)
    if batch == "auto":
        batch = min(_PLAIN_BATCH, share) if times == "auto" else max(1, share // int(times))
    if times == "auto":
        times = max(1, share // int(batch))
    changes |= {"per_device_train_batch_size": batch, "gradient_accumulation_steps": times}
    return recipe.model_copy(update=changes)


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
        return read_toml(path)
    except FileNotFoundError as error:
        raise BadInput(
            f"There is no recipe at {path}.", fix="`finetui presets show conservative` prints one to start from."
        ) from error
    except (OSError, ValueError) as error:
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
        return parse_toml(f"value = {raw}")["value"]
    except ValueError:
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
