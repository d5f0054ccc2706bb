"""What each kind of export writes, from the adapter to its place on the disk.

Copying an adapter imports no torch: it is done at once.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.export.commands import commands_for, context_of
from engine.export.spec import GGUF_KINDS, MERGED_KINDS, Result, Spec, Uploaded, listing
from engine.private import share
from engine.runs.rundir import read_json, write_json
from engine.worker.export.card import write_card
from engine.worker.export.push import upload

if TYPE_CHECKING:
    from engine.worker.export.gguf_file import GgufFile
    from engine.worker.export.merge import Merged

_LEFT_OUT = ("optimizer.pt", "training_args.bin", "rng_state.pth", "scheduler.pt", "trainer_state.json")
"""Files that only training needs; some of them are pickled."""


def export(spec: Spec, step: Callable[[str, float], None]) -> Result:
    """Do what the spec says and put it in its place. Raises `FinetuiError` and `OSError`; nothing is left then.

    `step` hears what is being done, and the share that is done.
    """
    staging = Path(spec.staging)
    merged: Merged | None = None
    written: GgufFile | None = None
    notes: list[str] = []
    if spec.kind in MERGED_KINDS:
        from engine.worker.export.whole import write_whole

        merged, written, notes = write_whole(spec, staging, step)
    else:
        step("copying", 0.2)
        source = Path(spec.source.adapter or spec.source.base)
        shutil.copytree(source, staging, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        write_card(spec, staging, None)
        if spec.kind == "hub":
            _name_base(spec, staging / "adapter_config.json")
    share(staging)
    _flush(staging)
    step("putting it in its place", 0.98)
    place = put(staging, Path(spec.dest), overwrite=spec.overwrite)
    uploaded: Uploaded | None = None
    if spec.repo:
        step(f"pushing to {spec.repo}" if spec.push else "looking what would be pushed", 0.99)
        uploaded = upload(spec, place)
    files = listing(place)
    return Result(
        spec.kind,
        str(place),
        sum(size for _, size in files),
        files,
        dtype=spec.type if spec.kind in GGUF_KINDS else merged.dtype if merged else "",
        base_weights=merged.base_weights if merged else "",
        merged=merged.merged if merged else None,
        saved=merged.saved if merged else None,
        trained=merged.trained if merged else None,
        gguf=written.fields() if written else {},
        uploaded=uploaded,
        commands=tuple(commands_for(spec, place, context_of(place))),
        notes=tuple(notes),
    )


def put(staging: Path, place: Path, *, overwrite: bool) -> Path:
    """Rename `staging` to `place`, over what is there where that is wanted. Raises `OSError` where it is not."""
    if place.exists() and not overwrite:
        raise FileExistsError(17, "it has appeared meanwhile", str(place))
    if place.exists():
        old = staging.with_name(f"{staging.name}.old")
        place.rename(old)
        staging.rename(place)
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    else:
        staging.rename(place)
    return place


def _name_base(spec: Spec, config: Path) -> None:
    """On the hub an adapter names its base as others know it, not by a folder of this machine."""
    told = read_json(config)
    if isinstance(told, dict) and Path(str(told.get("base_model_name_or_path") or "")).is_absolute():
        write_json(config, told | {"base_model_name_or_path": Path(spec.source.base_name).name})


def _flush(path: Path) -> None:
    """Have the system write it to the disk: what is renamed into place is to be whole after a power cut."""
    for file in [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
