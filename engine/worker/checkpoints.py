"""Checkpoints that count: saved whole, marked last, kept by rule; and the adapter that a run leaves."""

import os
import shutil
from pathlib import Path

from engine.runs.rundir import COMMITTED, RunDir, checkpoint_name, checkpoint_step

TRAINING_STATE = {
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "training_args.bin",
}
"""What a checkpoint holds to resume from, and what an adapter has no use for."""


def commit(run: RunDir, saved: Path, step: int) -> Path:
    """Make the folder `saved` the committed checkpoint of `step`: flushed, renamed, marked. Returns its path."""
    for file in saved.rglob("*"):
        if file.is_file():
            _flush(file)
    final = run.checkpoints / checkpoint_name(step)
    if final.exists():
        shutil.rmtree(final)
    saved.replace(final)
    marker = final / COMMITTED
    marker.write_text(f"{step}\n", encoding="ascii")
    _flush(marker)
    _flush(run.checkpoints)
    return final


def rotate(run: RunDir, *, keep: int, best_step: int | None) -> None:
    """Delete all committed checkpoints but the `keep` latest and the best one."""
    committed = run.committed_checkpoints()
    for folder in committed[: max(0, len(committed) - keep)]:
        if checkpoint_step(folder) != best_step:
            (folder / COMMITTED).unlink()
            shutil.rmtree(folder)


def drop_unfinished(run: RunDir) -> None:
    """Delete what a killed worker left half-saved."""
    if run.checkpoints.is_dir():
        for folder in run.checkpoints.iterdir():
            if folder.is_dir() and not (folder / COMMITTED).exists():
                shutil.rmtree(folder)


def publish(run: RunDir, checkpoint: Path, card: str) -> None:
    """Make `adapter/` from a checkpoint's weights, with its model card: it appears whole."""
    temporary = run.path / f".adapter.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(checkpoint, temporary, ignore=lambda _folder, names: {COMMITTED, *TRAINING_STATE} & set(names))
    (temporary / "README.md").write_text(card, encoding="utf-8")
    shutil.rmtree(run.adapter, ignore_errors=True)
    temporary.replace(run.adapter)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
