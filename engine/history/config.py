"""The settings of others: flat, without secrets, and called as in a recipe where they mean the same.

A store keeps them as the run's recipe, so that they can be filtered and compared like those of finetui's own runs.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from engine.runs.fields import text
from engine.withheld import is_secret_name, without_secrets_as_it_is

MOST = 2_000
"""Settings that are kept of a run; a model's own config brings some two hundred."""
LONGEST = 4_000
"""Characters of a text or a list."""
_DEEPEST = 12

_RENAMED = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "lora_rank": "lora_r",
    "warmup": "warmup_ratio",
    "max_seq_length": "max_length",
    "model_max_length": "max_length",
}
_ADAPTER = re.compile(r"(?:peft_config|lora_config|lora|peft|adapter_config)(?:\.default)?\.(\w+)")
_OF_ADAPTER = {
    "r": "lora_r",
    "rank": "lora_r",
    "lora_alpha": "lora_alpha",
    "alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "dropout": "lora_dropout",
    "target_modules": "target_modules",
    "use_dora": "use_dora",
    "base_model_name_or_path": "base_model_name_or_path",
}
_MODELS = (
    "model_name_or_path",
    "base_model_name_or_path",
    "base_model",
    "base_model_name",
    "_name_or_path",
    "pretrained_model_name_or_path",
    "model.name_or_path",
    "model_name",
    "model_id",
    "model",
)
_DATASETS = (
    "dataset_name",
    "dataset",
    "dataset_id",
    "dataset_path",
    "train_dataset",
    "data_path",
    "train_file",
    "data",
)


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, nested ones as `a.b`, values that a store can hold. Secrets are not among them."""
    found: dict[str, Any] = {}
    for name, value in _walk(config, "", 0):
        if len(found) >= MOST:
            break
        if not is_secret_name(name):
            found.setdefault(_renamed(name), value)
    return found


def without_secret_settings(value: Any, depth: int = 0) -> Any:
    """JSON as it is, without what is called like a secret, and with the secrets in its texts made unreadable."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        kept = {name: inner for name, inner in value.items() if not is_secret_name(name)}
        return {name: without_secret_settings(inner, depth + 1) for name, inner in kept.items()}
    if isinstance(value, list):
        return [without_secret_settings(inner, depth + 1) for inner in value]
    return without_secrets_as_it_is(value) if isinstance(value, str) else value


def _walk(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and depth < _DEEPEST:
        for key, inner in value.items():
            key = text(key).replace("\0", "").strip()[:200]
            if key and not (depth == 0 and key.startswith("_") and key != "_name_or_path"):
                yield from _walk(inner, f"{name}.{key}" if name else key, depth + 1)
    elif name:
        yield name, _plain(value)


def _plain(value: Any) -> Any:
    """What JSON and a store can hold, secrets in it made unreadable."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 62 else float(min(max(value, -(1 << 1000)), 1 << 1000))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value[:200]]
    return without_secrets_as_it_is(text(value).replace("\0", "")[:LONGEST])


def _renamed(name: str) -> str:
    if (match := _ADAPTER.fullmatch(name)) and match[1] in _OF_ADAPTER:
        return _OF_ADAPTER[match[1]]
    return _RENAMED.get(name, name)


def parsed(value: str) -> Any:
    """A setting that was written down as text: numbers, truth and nothing as such."""
    word = value.strip()
    if word in ("True", "true", "False", "false"):
        return word.lower() == "true"
    if word in ("None", "null"):
        return None
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return value


def model_of(config: Mapping[str, Any]) -> str:
    """The model that the settings name, as it is called: a folder by its own name. Empty where none is named."""
    return _called(config, _MODELS)


def dataset_of(config: Mapping[str, Any]) -> str:
    """The data that the settings name."""
    return _called(config, _DATASETS)


def _called(config: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = config.get(name)
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
            value = ", ".join(value)
        if isinstance(value, str) and (value := value.strip()):
            is_path = value.startswith(("/", "~", "."))
            return " ".join((PurePath(value).name if is_path else value).split())[:200]
    return ""


def method_of(config: Mapping[str, Any]) -> str:
    """How it was trained, as a recipe calls it; empty where the settings do not say."""
    if "lora_r" not in config and "lora_alpha" not in config:
        return ""
    if config.get("use_dora") is True:
        return "dora"
    for where in ("", "quantization_config."):
        if config.get(f"{where}load_in_4bit") is True:
            return "qlora"
        if config.get(f"{where}load_in_8bit") is True:
            return "lora8bit"
    return "lora"
