"""What an export will do and need, found out before it starts: sources, names, disk, memory."""

import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from engine.errors import BadInput
from engine.export.spec import (
    GGUF_FAMILIES,
    GGUF_KINDS,
    GGUF_TYPES,
    KINDS,
    MERGED_KINDS,
    MERGED_TYPES,
    BaseWeights,
    Kind,
    Source,
    Spec,
)
from engine.figures import fmt_bytes
from engine.home import Home
from engine.inference.panes import panes_for
from engine.models import ModelInfo, resolve_model
from engine.runs.rundir import RunDir, read_json
from store.records import Run

USUAL_TYPE: dict[str, str] = {"gguf": "f16", "ollama": "q8_0"}
BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32}
"""Bytes a number takes."""
SPARE_BYTES = 64 << 20
"""Room for tokenizer, cards and what else is small."""
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class Machine:
    """What is free here. `memory_bytes` is `None` where that is not known."""

    disk_bytes: Callable[[Path], int]
    memory_bytes: int | None

    @classmethod
    def here(cls) -> "Machine":
        import psutil

        return cls(lambda folder: shutil.disk_usage(folder).free, int(psutil.virtual_memory().available))


@dataclass(frozen=True)
class ExportPlan:
    """An export that can be started."""

    spec: Spec
    parameters: int | None
    """Of the base model."""
    disk_bytes: int
    """What is needed on the disk while it is written; what stays is `dest_bytes`."""
    dest_bytes: int
    disk_free_bytes: int
    memory_bytes: int
    """What merging needs; 0 where nothing is merged."""


def plan_export(
    home: Home,
    run: Run,
    kind: str,
    dest: Path,
    *,
    type: str = "",
    base_weights: BaseWeights = "trained",
    repo: str = "",
    push: bool = False,
    private: bool = True,
    overwrite: bool = False,
    machine: Machine | None = None,
) -> ExportPlan:
    """Everything that an export of `run` needs. Raises `BadInput` for what cannot be done, with what to do instead."""
    if kind not in KINDS:
        raise BadInput(f"There is no export {kind!r}.", fix=f"Choose one of {', '.join(KINDS)}.")
    chosen: Kind = kind
    number_type = _type(chosen, type)
    source = _source(home, run)
    _check_repo(chosen, repo, push)
    place = _place(chosen, dest.expanduser().absolute(), model_name(run.name), number_type, overwrite=overwrite)
    base = _base(home, source) if chosen in MERGED_KINDS else None
    _check_software(chosen, base)
    identity = f"e{secrets.token_hex(5)}"
    spec = Spec(
        identity,
        chosen,
        source,
        model_name(run.name),
        str(place),
        str(place.with_name(f".{place.name[:200]}.part-{identity}")),
        type=number_type,
        base_weights=base_weights,
        repo=repo,
        push=push,
        private=private,
        overwrite=overwrite,
    )
    return _measured(spec, base, machine or Machine.here())


def model_name(name: str) -> str:
    """A run's name as files, Ollama and servers take it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:80] or "model"


def _type(kind: Kind, wanted: str) -> str:
    wanted = wanted.strip().lower()
    allowed = GGUF_TYPES if kind in GGUF_KINDS else MERGED_TYPES if kind in MERGED_KINDS else ()
    if not wanted:
        return USUAL_TYPE.get(kind, "")
    if wanted not in allowed:
        raise BadInput(
            f"There is no type {wanted!r} for {kind}.",
            why="" if allowed else "Its files are copied as they are.",
            fix=f"Choose one of {', '.join(allowed)}." if allowed else "Leave --type out.",
        )
    return wanted


def _source(home: Home, run: Run) -> Source:
    """Raises `BadInput` for a run without an adapter."""
    if run.source:
        raise BadInput(
            f"{run.name} cannot be exported.", why=f"It was imported ({run.source}): its weights are not here."
        )
    pane = panes_for([run], None, home)[1]
    inputs = read_json(RunDir(Path(run.dir)).inputs)
    model = inputs.get("model") if isinstance(inputs, dict) else None
    named = str(model.get("name") or "") if isinstance(model, dict) else ""
    return Source(
        run.name,
        pane.model,
        named or pane.model,
        pane.revision,
        run.method,
        str(pane.adapter) if pane.adapter is not None else None,
        pane.trust_remote_code,
    )


def _check_repo(kind: Kind, repo: str, push: bool) -> None:
    if repo and not _REPO.fullmatch(repo):
        raise BadInput(f"{repo!r} is no name on the hub.", fix="Name it OWNER/NAME.")
    if kind == "hub" and not repo:
        raise BadInput("Where on the hub?", fix="Name it with --repo OWNER/NAME.")
    if push and not repo:
        raise BadInput("Nothing says where to push to.", fix="Name it with --repo OWNER/NAME.")


def _place(kind: Kind, dest: Path, name: str, number_type: str, *, overwrite: bool) -> Path:
    """Where it is to be. Raises `BadInput` where something is there, or nothing can be."""
    if kind == "gguf" and dest.is_dir():
        dest = dest / f"{name}-{number_type}.gguf"
    if kind == "gguf" and dest.suffix != ".gguf":
        raise BadInput(
            f"{dest.name} is no name for a GGUF file.", fix="End it in .gguf, or name a folder that is there."
        )
    if dest.exists() and not (dest.is_dir() and not any(dest.iterdir())):
        if not overwrite:
            raise BadInput(f"{dest} is there already.", fix="Name another place, or add --overwrite to replace it.")
        if dest.is_dir() != (kind != "gguf"):
            raise BadInput(f"{dest} is not what an earlier export left.", fix="Name another place.")
        if dest.is_dir() and not _is_export(dest):
            raise BadInput(
                f"{dest} is not replaced.",
                why="It is a folder that does not look like a model or an adapter.",
                fix="Name another place, or remove it yourself.",
            )
    return dest


def _standing(folder: Path) -> Path:
    """The nearest folder above that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _is_export(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json", "Modelfile"))


def _base(home: Home, source: Source) -> ModelInfo:
    """What is known of the base's files. Raises `BadInput` where they are not here, or are no base to merge into."""
    without = "--to adapter does without it."
    try:
        info = resolve_model(source.base, home)
    except BadInput as error:
        raise BadInput(
            f"The base model of {source.label} is gone.", why=error.what, fix=f"Put it back there. {without}"
        ) from error
    if not info.ready:
        raise BadInput(
            f"The base model of {source.label} is not on this machine.",
            why=f"{info.name} {info.problem or 'is not in the cache'}.",
            fix=f"Download it: hf download {info.name}. {without}",
        )
    if info.quantised and source.adapter is not None and source.method not in ("qlora", "lora8bit"):
        raise BadInput(
            f"{source.label} cannot be merged.",
            why=f"Its base's own weights are quantised ({info.quantised}), so there are none to merge into.",
            fix=without,
        )
    return info


def _check_software(kind: Kind, base: ModelInfo | None) -> None:
    if kind in MERGED_KINDS and (find_spec("torch") is None or find_spec("transformers") is None):
        raise BadInput(
            f"{kind} cannot be made here.",
            why="The training side (torch, transformers, peft) is not installed.",
            fix="Install it with: pip install 'finetui[train]'",
        )
    if kind not in GGUF_KINDS:
        return
    if find_spec("gguf") is None:
        raise BadInput("GGUF cannot be written here.", why="gguf is not installed.", fix="pip install gguf")
    if base is not None and base.model_type and base.model_type not in GGUF_FAMILIES:
        raise BadInput(
            f"A {base.model_type} model cannot be written as GGUF here.",
            why=f"finetui writes {', '.join(GGUF_FAMILIES.values())}.",
            fix="Export it as merged, and convert that folder with llama.cpp's own script.",
        )


def _measured(spec: Spec, base: ModelInfo | None, machine: Machine) -> ExportPlan:
    """Raises `BadInput` where disk or memory are too small."""
    dest = Path(spec.dest)
    parameters = base.parameters if base is not None else None
    size = base.size_bytes if base is not None and base.size_bytes else 0
    own = size / parameters if size and parameters else BYTES["bf16"]
    quantised = base is not None and base.quantised is not None
    merged = int((parameters or 0) * (BYTES["bf16"] if quantised else own))
    copied = sum(
        path.stat().st_size for path in Path(spec.source.adapter or spec.source.base).rglob("*") if path.is_file()
    )
    if spec.kind in GGUF_KINDS:
        stays = int((parameters or 0) * BYTES[spec.type])
        between = int((parameters or 0) * BYTES["f32"]) if spec.type == "f32" else merged
    elif spec.kind in MERGED_KINDS:
        stays, between = int((parameters or 0) * BYTES[spec.type]) if spec.type else merged, 0
    else:
        stays, between = copied, 0
    needed = stays + between + SPARE_BYTES
    free = machine.disk_bytes(_standing(dest.parent))
    if free < needed:
        raise BadInput(
            f"There is not enough room at {dest.parent}.",
            why=f"It needs {fmt_bytes(needed)}, and {fmt_bytes(free)} are free.",
            fix="Free some, or name a place on another disk."
            + (" A smaller --type needs less." if spec.kind in GGUF_KINDS else ""),
        )
    memory = int((parameters or 0) * BYTES["f32"] * 1.15) if spec.kind in MERGED_KINDS else 0
    if machine.memory_bytes is not None and machine.memory_bytes < memory:
        raise BadInput(
            f"{spec.source.label} cannot be merged here.",
            why=f"In float32 it needs {fmt_bytes(memory)} of memory, and {fmt_bytes(machine.memory_bytes)} are free.",
            fix="End other programs, or merge on a machine with more memory. --to adapter needs none.",
        )
    return ExportPlan(replace(spec), parameters, needed, stays, free, memory)
