"""Checkpoints that count: saved whole, marked last, kept by rule; and the adapter that a run leaves."""

import json
import os
import shutil
import zipfile
from pathlib import Path

from engine.runs.rundir import COMMITTED, RunDir, checkpoint_name, checkpoint_step

TRAINING_STATE = (
    "optimizer*",
    "scheduler.pt",
    "scaler.pt",
    "rng_state*.pth",
    "trainer_state.json",
    "training_args.bin",
    "pytorch_model_fsdp*",
    COMMITTED,
)
"""What a checkpoint holds to resume from, and what an adapter has no use for."""

_ADAPTER_IN_THE_MAKING = ".adapter."
_ADAPTER_BEFORE = ".adapter-before"
"""What an earlier attempt left, while this one's takes its place."""


def commit(run: RunDir, saved: Path, step: int) -> Path:
    """Make the folder `saved` the committed checkpoint of `step`: flushed, renamed, marked. Returns its path."""
    for file in (*saved.rglob("*"), saved):  # folders too: they hold the names
        _flush(file)
    final = run.checkpoints / checkpoint_name(step)
    if final.exists():
        shutil.rmtree(final)
    saved.replace(final)
    marker = final / COMMITTED
    marker.write_text(f"{step}\n", encoding="ascii")
    _flush(marker)
    _flush(final)
    _flush(run.checkpoints)
    return final


def rotate(run: RunDir, *, keep: int, best_step: int | None) -> None:
    """Delete all committed checkpoints but the `keep` latest and the best one."""
    committed = run.committed_checkpoints()
    for folder in committed[: max(0, len(committed) - keep)]:
        if checkpoint_step(folder) != best_step:
            discard(folder)


def discard(folder: Path) -> None:
    """Delete a checkpoint, its marker first: killed meanwhile, it is none."""
    (folder / COMMITTED).unlink()
    shutil.rmtree(folder)


def best_or_latest(run: RunDir, best_step: int) -> Path | None:
    """The committed checkpoint of the best step, else the latest; `None` where there is none yet."""
    committed = run.committed_checkpoints()
    best = [folder for folder in committed if checkpoint_step(folder) == best_step]
    return next(iter(best or committed[-1:]), None)


def drop_unfinished(run: RunDir) -> None:
    """Delete what a killed worker left half-saved: checkpoints, an adapter, a rehearsal."""
    if run.checkpoints.is_dir():
        for folder in run.checkpoints.iterdir():
            if folder.is_dir() and not (folder / COMMITTED).exists():
                shutil.rmtree(folder)
    before = run.path / _ADAPTER_BEFORE
    if before.exists() and not run.adapter.exists():
        before.rename(run.adapter)
    for folder in (*run.path.glob(f"{_ADAPTER_IN_THE_MAKING}*"), before, rehearsal_folder(run)):
        shutil.rmtree(folder, ignore_errors=True)


def rehearsal_folder(run: RunDir) -> Path:
    """Where a rehearsal saves; it is gone when the rehearsal is over."""
    return run.path / ".rehearsal"


def latest_whole(run: RunDir) -> tuple[Path | None, list[Path]]:
    """The committed checkpoint to resume from, and those after it whose files are damaged."""
    damaged: list[Path] = []
    for folder in reversed(run.committed_checkpoints()):
        if _is_whole(folder):
            return folder, damaged
        damaged.append(folder)
    return None, damaged


def _is_whole(folder: Path) -> bool:
    """Whether the files have the lengths and the frames that they say; their contents are not read."""
    try:
        json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        states = [folder / "optimizer.pt", folder / "scheduler.pt", *folder.glob("rng_state*.pth")]
        return all(map(_whole_weights, folder.glob("*.safetensors"))) and all(
            zipfile.is_zipfile(file) for file in states if file.exists()
        )
    except (OSError, ValueError):
        return False


def _whole_weights(file: Path) -> bool:
    """A safetensors file: its length, eight bytes; its header; the tensors, to the last byte that the header names."""
    with file.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        if size > file.stat().st_size:
            return False
        header = json.loads(handle.read(size))
    ends = (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    return file.stat().st_size == 8 + size + max(ends, default=0)


def publish(run: RunDir, checkpoint: Path, card: str) -> None:
    """Make `adapter/` from a checkpoint's weights, with its model card: it appears whole."""
    temporary = run.path / f"{_ADAPTER_IN_THE_MAKING}{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(checkpoint, temporary, ignore=shutil.ignore_patterns(*TRAINING_STATE))
    (temporary / "README.md").write_text(card, encoding="utf-8")
    for file in (*temporary.rglob("*"), temporary):
        _flush(file)
    before = run.path / _ADAPTER_BEFORE
    shutil.rmtree(before, ignore_errors=True)
    if run.adapter.exists():
        run.adapter.rename(before)
    temporary.replace(run.adapter)
    _flush(run.path)
    shutil.rmtree(before, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
