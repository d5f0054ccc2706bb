"""An evaluation's folder, as the process that measures has it: what is asked, what was answered, how far it is.

`spec.json` and `rows.jsonl` are read; `answers.jsonl`, `progress.json` and `end.json` are written. No torch.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.runs.failure_codes import FailureCode
from engine.runs.rundir import read_json, write_json
from engine.worker.refusal import Refusal
from engine.worker.rows import Sampling

TELL_S = 0.5
"""How often `progress.json` is written."""


@dataclass(frozen=True)
class Subject:
    """A model that is measured: a base as it is loaded, and the `adapter` on it, if any. `place` is its number."""

    place: int
    label: str
    base: str
    revision: str | None
    method: str
    precision: str
    adapter: Path | None

    @property
    def loaded(self) -> tuple[str, str | None, str, str]:
        """Equal for models that stand on one loaded base."""
        return self.base, self.revision, self.method, self.precision

    @property
    def name(self) -> str | None:
        """What its adapter is called beside the others."""
        return f"model{self.place}" if self.adapter is not None else None


@dataclass(frozen=True)
class Item:
    """One row: `messages` up to the question; what is `expected`, or several `choices`, where there are any.

    A question whose last role is `text` is plain text to go on from. Without any message `expected` is plain text that
    is read whole.
    """

    row: int
    messages: tuple[dict[str, Any], ...]
    expected: str | None
    choices: tuple[str, ...] | None


@dataclass(frozen=True)
class Spec:
    """What is to be done, from `spec.json`."""

    subjects: tuple[Subject, ...]
    sampling: Sampling
    max_new_tokens: int
    batch_rows: int
    generate: bool
    score: bool
    trust_remote_code: bool
    max_length: int | None


def read_spec(folder: Path) -> Spec:
    """Raises `Refusal` where `spec.json` is missing or says something else."""
    found: Any = read_json(folder / "spec.json")
    try:
        sampling = found["sampling"]
        return Spec(
            tuple(_subject(place, model) for place, model in enumerate(found["models"])),
            Sampling(
                float(sampling.get("temperature") or 0.0),
                float(1.0 if sampling.get("top_p") is None else sampling["top_p"]),
                int(sampling.get("top_k") or 0),
                int(sampling.get("seed") or 0),
            ),
            max(1, int(sampling.get("max_new_tokens") or 256)),
            max(1, int(found.get("batch_rows") or 16)),
            bool(found.get("generate", True)),
            bool(found.get("score", True)),
            bool(found.get("trust_remote_code", False)),
            int(found["max_length"]) if found.get("max_length") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder / "spec.json", error) from error


def _subject(place: int, model: dict[str, Any]) -> Subject:
    adapter = model.get("adapter")
    return Subject(
        place,
        str(model.get("label") or model["base"]),
        str(model["base"]),
        str(model["revision"]) if model.get("revision") else None,
        str(model.get("method") or "lora"),
        str(model.get("precision") or "auto"),
        Path(adapter) if adapter else None,
    )


def read_items(folder: Path) -> list[Item]:
    """The rows. Raises `Refusal` where `rows.jsonl` is missing or damaged."""
    path = folder / "rows.jsonl"
    items = []
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                choices = row.get("choices")
                items.append(
                    Item(
                        int(row["row"]),
                        tuple(row["messages"]),
                        row.get("expected"),
                        tuple(str(choice) for choice in choices) if choices else None,
                    )
                )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from error
    return items


def _damaged(path: Path, error: Exception) -> Refusal:
    return Refusal(
        f"{path} is missing or damaged: {type(error).__name__}: {error}",
        code=FailureCode.INPUTS,
        fix="Begin the evaluation anew.",
    )


class AnswerLog:
    """`answers.jsonl`: lines are added, whole, by one process at a time. `done` has the (row, model) that are there."""

    def __init__(self, folder: Path) -> None:
        """Raises `Refusal` while another process writes it."""
        self._file = (folder / "answers.jsonl").open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise Refusal(
                f"Another process measures {folder.name} already.",
                code=FailureCode.INPUTS,
                fix="Wait for it to end, or stop it first.",
            ) from error
        self.done = {(int(line["row"]), int(line["model"])) for line in self._whole_lines()}

    def add(self, lines: Iterable[dict[str, Any]]) -> None:
        """Add lines; they are on the disk when this returns."""
        lines = list(lines)
        self._file.write(b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done.update((line["row"], line["model"]) for line in lines)

    def close(self) -> None:
        self._file.close()

    def _whole_lines(self) -> Iterator[dict[str, Any]]:
        """The lines there are. What a process that was killed has left of one is cut off."""
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                self._file.truncate(whole)
                break
            whole += len(line)
            with suppress(ValueError, KeyError, TypeError):
                value = json.loads(line)
                int(value["row"]), int(value["model"])
                yield value
        self._file.seek(0, os.SEEK_END)


class Progress:
    """`progress.json`, written twice a second by a thread of its own: loading a model or a long answer is not silence.

    `on_tick` is called there each time.
    """

    def __init__(self, folder: Path, total: int, done: int, on_tick: Callable[[], None] = lambda: None) -> None:
        self._path = folder / "progress.json"
        self._said: dict[str, Any] = {"done": done, "total": total, "doing": "starting", "model": ""}
        self._began = time.time()
        self._on_tick = on_tick
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._write()
        self._thread.start()

    def say(self, doing: str, model: str = "") -> None:
        """What is being done, and of which model where it is of one."""
        self._said |= {"doing": doing, "model": model}

    def add(self, lines: int) -> None:
        """So many lines more are done."""
        self._said |= {"done": self._said["done"] + lines}

    def close(self) -> None:
        """Write the last of it."""
        self._ended.set()
        self._thread.join()
        self._write()

    def _run(self) -> None:
        while not self._ended.wait(TELL_S):
            self._on_tick()
            with suppress(OSError):  # a full disk does not end an evaluation that may write nothing for a while
                self._write()

    def _write(self) -> None:
        with self._lock:
            write_json(self._path, self._said | {"t": time.time(), "began": self._began})


def begin(folder: Path) -> None:
    """What an earlier process said of its end is over."""
    (folder / "end.json").unlink(missing_ok=True)


def end(folder: Path, reason: str, code: str) -> None:
    """Say how it ended: both are empty where everything was measured; `code` is `stopped` or a `FailureCode`."""
    write_json(folder / "end.json", {"t": time.time(), "reason": reason, "code": code})
