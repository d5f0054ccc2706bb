"""Base models: what is on this machine, and whether it can be trained. Looks at files only."""

import json
import math
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.runs.rundir import read_json

Kind = Literal["starter", "folder", "hub"]

STARTER = "starter"
_MAX_HEADER_BYTES = 100 << 20
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_NOT_GENERATIVE = re.compile(
    r"For(MaskedLM|\w+Classification|QuestionAnswering|MultipleChoice)$|(?<!LM)(Bert|Roberta)Model$"
)
_QUANT_STATE = re.compile(r"\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.\w+|SCB|weight_format)$")
_GENERATION = re.compile(r"\{%-?\s*generation\b")


@dataclass(frozen=True)
class ModelInfo:
    """A base model. `path` is what the libraries load: a folder, or the name on the hub."""

    name: str
    kind: Kind
    path: str
    ready: bool
    """Whether its files are on this machine, whole."""
    parameters: int | None = None
    size_bytes: int | None = None
    """Of the weights on disk."""
    architecture: str | None = None
    has_template: bool = False
    """Whether a chat template comes with it."""
    has_generation_block: bool = False
    """Whether that template marks the assistant's turns, which `assistant_only_loss` needs."""
    quantised: str | None = None
    """How the weights on disk are quantised, e.g. `bitsandbytes 4-bit`."""
    own_code: bool = False
    """Whether its config names code that comes with it (`auto_map`)."""
    model_type: str = ""
    """The architecture's name in its config, e.g. `qwen2`."""
    problem: str | None = None


def list_models(home: Home) -> list[ModelInfo]:
    """The starter, the folders under the home's `models/`, and what is in the Hugging Face cache."""
    found = [_starter(home)]
    if home.models.is_dir():
        folders = sorted(path for path in home.models.iterdir() if path.is_dir() and path != home.starter)
        found += [_inspect(path, path.name, "folder") for path in folders if not path.name.startswith(".")]
    cached = sorted(hub_cache().glob("models--*"), key=lambda path: path.name.lower())
    return found + [_cached(path.name.removeprefix("models--").replace("--", "/", 1)) for path in cached]


def resolve_model(text: str, home: Home) -> ModelInfo:
    """The model that `text` names: `starter`, a folder, a folder's name under the home, or a name on the hub.

    A hub model that is not in the cache has `ready` False. Raises `BadInput` for a folder that is not a model,
    `NotFound` for a name that is nothing.
    """
    text = text.strip()
    if text == STARTER:
        return _starter(home)
    path = _as_path(text)
    if path and not path.exists() and re.fullmatch(r"\w[\w.-]*", text) and (home.models / text).is_dir():
        path = home.models / text
    if path and path.exists():
        info = _inspect(path.absolute(), text, "folder")
        if info.problem:
            raise BadInput(
                f"{path} is not a model that finetui can train.",
                why=f"It {info.problem}.",
                fix="A model folder has config.json, a tokenizer and its weights as .safetensors.",
            )
        return info
    if path and (_HUB_NAME.fullmatch(text) or _snapshot(text)):
        return _cached(text)
    names = [info.name for info in list_models(home)]
    near = get_close_matches(text, names, n=3, cutoff=0.5)
    raise NotFound(
        f"There is no model {text[:100]!r}." if text else "No model is named.",
        why=f"Near it: {', '.join(near)}." if near else "",
        fix="Give `starter`, a model folder, or a name on the hub such as Qwen/Qwen2.5-1.5B-Instruct.",
    )


def hub_cache() -> Path:
    """Where the Hugging Face libraries keep downloaded models, by their own variables."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(name):
            return Path(value).expanduser()
    if value := os.environ.get("HF_HOME"):
        return Path(value).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def hub_is_off() -> str | None:
    """The variable that forbids asking the hub, or `None`."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")), None)


def _as_path(text: str) -> Path | None:
    """`text` as a path with `~` resolved, or `None` for what no file can be called."""
    if not text or "\0" in text or max(len(part.encode()) for part in text.split("/")) > 200 or len(text) > 4000:
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of somebody who is not there
        return None


def _starter(home: Home) -> ModelInfo:
    if not (home.starter / "config.json").exists():
        return ModelInfo(STARTER, "starter", str(home.starter), ready=False)
    return _inspect(home.starter, STARTER, "starter")


def _cached(name: str) -> ModelInfo:
    snapshot = _snapshot(name)
    if snapshot is None:
        off = hub_is_off()
        problem = f"is not in the cache, and {off} keeps finetui from downloading it" if off else None
        return ModelInfo(name, "hub", name, ready=False, problem=problem)
    return replace(_inspect(snapshot, name, "hub"), path=name)


def _snapshot(name: str) -> Path | None:
    """The folder of the newest cached revision: `main` where that is known, else the last one downloaded."""
    repository = hub_cache() / f"models--{name.replace('/', '--')}"
    try:
        main = repository / "snapshots" / (repository / "refs" / "main").read_text(encoding="ascii").strip()
        if main.is_dir():
            return main
    except (OSError, ValueError):
        pass
    snapshots = [path for path in (repository / "snapshots").glob("*") if path.is_dir()]
    return max(snapshots, key=lambda path: path.stat().st_mtime, default=None)


class _NotAModel(Exception):
    """Why a folder is no model, as the end of a sentence that starts with `It`."""


def _inspect(folder: Path, name: str, kind: Kind) -> ModelInfo:
    architecture = quantised = None
    try:
        config = _config(folder)
        names = config.get("architectures")
        architecture = str(names[0] if isinstance(names, list) and names else config["model_type"])
        quantised = _quantisation(config)
        if _NOT_GENERATIVE.search(architecture):
            raise _NotAModel(f"is a {architecture}, which does not write text")
        if not any((folder / file).exists() for file in _TOKENIZERS):
            raise _NotAModel("has no tokenizer")
        weights = _weight_files(folder)
        parameters = sum(_count_parameters(path) for path in weights)
        size = sum(path.stat().st_size for path in weights)
    except (_NotAModel, OSError) as error:
        problem = str(error) if isinstance(error, _NotAModel) else f"cannot be read ({error.strerror or error})"
        return ModelInfo(
            name, kind, str(folder), ready=False, architecture=architecture, quantised=quantised, problem=problem
        )
    templates = list(_templates(folder))
    return ModelInfo(
        name,
        kind,
        str(folder),
        ready=True,
        parameters=parameters,
        size_bytes=size,
        architecture=architecture,
        has_template=bool(templates),
        has_generation_block=any(_GENERATION.search(template) for template in templates),
        quantised=quantised,
        own_code="auto_map" in config,
        model_type=config["model_type"],
    )


def _config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise _NotAModel("is a file, not a folder")
    if not (folder / "config.json").exists():
        if (folder / "adapter_config.json").exists():
            raise _NotAModel("is an adapter; name the base model it was trained on")
        raise _NotAModel("has no config.json")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise _NotAModel("has a config.json that cannot be read")
    if not isinstance(config.get("model_type"), str):
        raise _NotAModel("has a config.json without model_type")
    return config


def _quantisation(config: dict[str, Any]) -> str | None:
    how = config.get("quantization_config")
    if not isinstance(how, dict):
        return None
    method = str(how.get("quant_method", "quantised"))
    bits = 4 if how.get("load_in_4bit") else 8 if how.get("load_in_8bit") else how.get("bits")
    return f"{method} {bits}-bit" if bits else method


def _weight_files(folder: Path) -> list[Path]:
    """The weights' files. Raises `_NotAModel` where some are missing, or where they are pickled."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        content = read_json(index)
        places = content.get("weight_map") if isinstance(content, dict) else None
        if not isinstance(places, dict) or not places:
            raise _NotAModel(f"has a {index.name} that cannot be read")
        files = [folder / name for name in sorted({str(place) for place in places.values()})]
        missing = [path.name for path in files if not path.exists()]
        if missing:
            raise _NotAModel(f"lacks {len(missing)} of its {len(files)} weight files, {missing[0]} among them")
        return files
    files = sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("adapter_"))
    if files:
        return files
    if any(path for pattern in _PICKLED for path in folder.glob(pattern)):
        raise _NotAModel(
            "has its weights only as pickled files (.bin, .pt), which can run any code when they are loaded; "
            "convert them to .safetensors"
        )
    raise _NotAModel("has no weights (.safetensors)")


def _count_parameters(path: Path) -> int:
    """Elements of all tensors in a safetensors file, by its header; two to a byte where they are packed 4-bit."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
            raise _NotAModel(f"has weights that are no safetensors file ({path.name})")
        header_bytes = file.read(length)
    try:
        header = json.loads(header_bytes)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        if 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0) != size:
            raise _NotAModel(f"has weights that are cut short ({path.name}); copy or download them again")
        packed = {name.partition(".quant_state.")[0] for name in tensors if ".quant_state." in name}
        return sum(
            math.prod(entry["shape"]) * (2 if name in packed else 1)
            for name, entry in tensors.items()
            if not _QUANT_STATE.search(name)
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _NotAModel(f"has weights whose header cannot be read ({path.name})") from error


def _templates(folder: Path) -> Iterator[str]:
    """The chat templates that come with a model, wherever its makers put them."""
    for path in (folder / "chat_template.jinja", *sorted((folder / "additional_chat_templates").glob("*.jinja"))):
        if path.exists():
            yield path.read_text(encoding="utf-8", errors="replace")
    for file in ("tokenizer_config.json", "chat_template.json"):
        content = read_json(folder / file)
        template = content.get("chat_template") if isinstance(content, dict) else None
        if isinstance(template, str):
            yield template
        elif isinstance(template, list):
            yield from (str(item["template"]) for item in template if isinstance(item, dict) and "template" in item)
