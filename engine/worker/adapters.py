"""The adapters that stand on one loaded base model, and which of them can share a batch."""

import json
import re
from pathlib import Path
from typing import Any

from engine.runs.failure_codes import FailureCode
from engine.runs.rundir import read_json
from engine.worker.loading import LoadError
from engine.worker.rows import BASE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class AdapterShelf:
    """A base model with LoRA adapters by name. `model` is what generates; it changes as adapters come and go.

    Adapters are held in fp32 even where they were saved in bf16: every bf16 value is an fp32 value, so the weights are
    the same, and adapters of different formats in one batch do not round each other's input.
    """

    def __init__(self, base: Any, base_name: str, revision: str | None = None) -> None:
        self.model = base
        self.base_name = base_name
        self.revision = revision
        self._paths: dict[str, Path] = {}
        self._templates: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        return list(self._paths)

    def template(self, name: str) -> str | None:
        """The chat template that was saved with the adapter, by which its conversations are written."""
        return self._templates.get(name)

    def any_template(self) -> str | None:
        """The first of the adapters' templates: for a base model that has none of its own."""
        return next(iter(self._templates.values()), None)

    def load(self, name: str, folder: Path) -> None:
        """Put the adapter in `folder` on the base as `name`. Raises `LoadError`."""
        if not NAME.fullmatch(name) or name == BASE:
            raise LoadError(
                f"An adapter cannot be called {name!r}.", fix="Use letters, digits, - and _, up to 100, and not base."
            )
        if self._paths.get(name) == folder:
            return
        if name in self._paths:
            raise LoadError(
                f"There is another adapter called {name}.", f"It comes from {self._paths[name]}.", "Remove it first."
            )
        _check(folder)
        device = str(self.model.device)
        try:
            if not self._paths:
                from peft import PeftConfig, get_peft_model

                config = PeftConfig.from_pretrained(str(folder))
                config.inference_mode = True
                self.model = get_peft_model(self.model, config, adapter_name=name)
            self.model.load_adapter(str(folder), name, torch_device=device)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            self._drop(name)
            raise LoadError(
                f"The adapter {folder} does not fit {self.base_name}.",
                " ".join(str(error).split()[:60]) or type(error).__name__,
                "Use it with the base model that it was trained on.",
            ) from error
        self.model.eval()
        template = saved_template(folder)
        if template:
            self._templates[name] = template
        self._paths[name] = folder

    def remove(self, name: str) -> None:
        """Take the adapter off. Raises `KeyError` for a name that is not there."""
        del self._paths[name]
        self._templates.pop(name, None)
        self._drop(name)

    def _drop(self, name: str) -> None:
        """Remove what is left of `name`; the last adapter takes PEFT's wrapper with it, which needs an active one."""
        if name not in getattr(self.model, "peft_config", {}):
            return
        if self._paths:
            self.model.delete_adapter(name)
            self.model.set_adapter(next(iter(self._paths)))
        else:
            self.model = self.model.unload()


def _check(folder: Path) -> None:
    """Raises `LoadError` for an adapter that cannot be used beside others."""
    config = read_adapter(folder)
    for field, usual in (("bias", "none"), ("target_parameters", None), ("alora_invocation_tokens", None)):
        if config.get(field, usual) not in (usual, [], ()):
            raise LoadError(
                f"The adapter {folder} cannot stand beside others.",
                f"It was trained with {field} = {config[field]!r}, which changes the base model itself.",
                "Train it without that, or merge it into its base model.",
            )
    kind = config["peft_type"]
    if kind != "LORA":
        raise LoadError(f"{folder} is a {kind} adapter.", "The model server answers with LoRA and DoRA adapters.")


def saved_template(folder: Path) -> str | None:
    """The chat template in a folder with a tokenizer, where there is one."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, ValueError):
        config = read_json(folder / "tokenizer_config.json")
        template = config.get("chat_template") if isinstance(config, dict) else None
        return template if isinstance(template, str) else None


def read_adapter(folder: Path) -> dict[str, Any]:
    """What the adapter in `folder` says of itself. Raises `LoadError` for a folder without one, or a pickled one."""
    try:
        config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        config["peft_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(
            f"{folder} is not an adapter.",
            f"Its adapter_config.json cannot be read: {error}",
            "Give a folder with adapter_config.json and adapter_model.safetensors.",
        ) from error
    if not (folder / "adapter_model.safetensors").is_file():
        raise LoadError(
            f"{folder} has no adapter_model.safetensors.",
            "Pickled adapters can run code when they are read, so they are not.",
            "Save the adapter as safetensors.",
            FailureCode.PICKLED_WEIGHTS,
        )
    return config


def same_model(one: str, other: str) -> bool:
    """Whether two names, as recipes and adapters have them, mean one base model."""
    if one == other:
        return True
    first, second = Path(one), Path(other)
    return first.exists() and second.exists() and first.resolve() == second.resolve()
