"""A run's folder: its paths, and the small JSON files that appear whole or not at all.

Standard library only: shared by the control side, the supervisor and the worker.
"""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMITTED = "COMMITTED"
"""The marker that makes a checkpoint one. It is written last."""


@dataclass(frozen=True)
class RunDir:
    """`runs/<id>/`: the truth about a run."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def inputs(self) -> Path:
        """JSON: `id`, `name`, `tags`, `created`, `model`, `dataset` and how to start; see `docs/events.md`."""
        return self.path / "inputs.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def process(self) -> Path:
        return self.path / "process.json"

    @property
    def exit(self) -> Path:
        return self.path / "exit.json"

    @property
    def lock(self) -> Path:
        """The claim on the run, from before anybody can see it until its last process ends: `engine/runs/claim.py`."""
        return self.path / ".lock"

    @property
    def stop(self) -> Path:
        """Its being there asks the run to save a checkpoint and end: for workers that no signal reaches."""
        return self.path / "stop"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The best adapter (or, for `full`, the whole model): what chat and export use."""
        return self.path / "adapter"

    def committed_checkpoints(self) -> list[Path]:
        """Checkpoints that were saved to the end, oldest step first."""
        return sorted(
            (
                marker.parent
                for marker in self.checkpoints.glob(f"step-*/{COMMITTED}")
                if marker.parent.name.removeprefix("step-").isdecimal()
            ),
            key=lambda folder: checkpoint_step(folder),
        )


def checkpoint_name(step: int) -> str:
    return f"step-{step:06d}"


def checkpoint_step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` so that a reader sees the old file or the whole new one, even after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any | None:
    """The file's value, or `None` where there is no such file or it is no JSON. A pipe is not waited for."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None


def read_table(path: Path) -> dict[str, Any]:
    """The file's object; an empty one where there is no such file, or it holds something else."""
    value = read_json(path)
    return value if isinstance(value, dict) else {}
