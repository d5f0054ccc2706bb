"""What to run with what was exported, as it can be typed."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from engine.export.spec import Spec
from engine.runs.rundir import read_json

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The limits that vLLM takes."""


def commands_for(spec: Spec, place: Path, context: int | None) -> Iterator[str]:
    """Command lines for what lies at `place`; `context` is the model's, in tokens."""
    where = shlex.quote(str(place))
    name = shlex.quote(spec.name)
    if spec.kind in ("merged", "vllm"):
        yield vllm_command(where, name, context)
    elif spec.kind == "gguf":
        yield f"llama-cli -m {where} -cnv"
        yield f"llama-server -m {where} --port 8080"
    elif spec.kind == "ollama":
        yield f"cd {where} && ollama create {name} -f Modelfile"
        yield f"ollama run {name}"
    elif spec.source.adapter is not None:
        yield from _with_lora(spec, place, where, name)
    if spec.repo and not spec.push:
        yield f"hf upload {shlex.quote(spec.repo)} {where}"


def vllm_command(folder: str, name: str, context: int | None) -> str:
    """Serve a whole model: folder and name as a shell takes them."""
    limit = f" --max-model-len {context}" if context else ""
    return f"vllm serve {folder} --served-model-name {name}{limit}"


def vllm_script(name: str, context: int | None) -> str:
    """A script beside the weights that serves them, wherever the folder is taken."""
    command = vllm_command('"$(cd "$(dirname "$0")" && pwd)"', name, context)
    about = "# Serves this folder with vLLM, on port 8000 of this machine alone."
    return f'#!/bin/sh\n{about}\n{command} --host 127.0.0.1 "$@"\n'


def _with_lora(spec: Spec, place: Path, where: str, name: str) -> Iterator[str]:
    """vLLM serves plain LoRA beside its base."""
    try:
        config = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
        rank = int(config["r"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if config.get("use_dora") or rank > _RANKS[-1]:
        return
    limit = next(one for one in _RANKS if one >= rank)
    base = shlex.quote(spec.source.base)
    base += f" --revision {shlex.quote(spec.source.revision)}" if spec.source.revision else ""
    yield f"vllm serve {base} --enable-lora --max-lora-rank {limit} --lora-modules {name}={where}"


def context_of(folder: Path) -> int | None:
    """Tokens of context of a model folder; `None` for what is none."""
    config = read_json(folder / "config.json")
    found = config.get("max_position_embeddings") if isinstance(config, dict) else None
    return found if isinstance(found, int) else None
