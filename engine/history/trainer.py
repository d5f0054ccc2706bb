"""`trainer_state.json`, which the Trainer of transformers (and those of TRL) leaves in every checkpoint.

Read piece by piece: a long run's history is not held as a whole, and a file that breaks off gives what it has. What
lies beside it is read as far as it is text; `training_args.bin` and optimiser states are pickles, and are never opened.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from engine.history.items import At, Damage, Facts, FoundRun, Item, Row, whole_step
from engine.history.tensorboard import read_tensorboard
from store.records import Status

STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_READ = 1 << 20
_LONGEST_ENTRY = 16 << 20
_MOST_TIMES = 500_000
_HISTORY = re.compile(r'"log_history"\s*:\s*\[')
_FACT = re.compile(r'"(\w+)"\s*:\s*(-?\d[\d.eE+-]*|"(?:[^"\\]|\\.)*"|true|false)')
_SETTINGS = ("num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps", "max_steps")
_NEXT_ENTRY = re.compile(r"\}\s*,\s*(?=\{)")
_BASE_MODEL = re.compile(r"^base_model:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
_DATASETS = re.compile(r"^datasets:\s*\n((?:\s*-\s*\S+\s*\n)+)", re.MULTILINE)


def newest_state(folder: Path) -> Path | None:
    """The state of the last checkpoint in a Trainer's output folder, or of the folder itself. Raises `OSError`."""
    found: list[tuple[int, Path]] = []
    for path in folder.iterdir():
        match = _CHECKPOINT.fullmatch(path.name)
        if match and path.is_dir() and not path.is_symlink() and _is_file(path / STATE):
            found.append((int(match[1]), path / STATE))
    own = folder / STATE
    if _is_file(own):
        found.append((_int(_facts(_read_end(own)).get("global_step")) or 0, own))
    return max(found, key=lambda one: one[0])[1] if found else None


def find_trainer(state: Path, size: int, stamp: str, events: FoundRun | None = None) -> FoundRun:
    """The run whose newest state is `state`; `events` are event files that it reported to."""
    folder = state.parent.parent if _CHECKPOINT.fullmatch(state.parent.name) else state.parent
    return FoundRun(
        source="trainer",
        source_id=f"trainer:{folder.resolve()}",  # nothing in the file is the run's own
        name=folder.resolve().name,
        path=folder,
        files=(state, *(events.files if events else ())),
        stamp=stamp,
        size=size,
        created=events.created if events else None,
    )


def read_trainer(run: FoundRun, at: At) -> Iterator[Item]:
    """The last checkpoint's history, at the times of the event files beside it, and what these have beyond."""
    state = run.files[0]
    try:
        times = _Times(run)
        yield Facts(config=times.config | _beside(state))
        with state.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8", errors="replace") as file:
            head, rest = "", file.read(_READ)
            while not (match := _HISTORY.search(rest)):
                more = file.read(_READ)
                if not more or len(rest) > _LONGEST_ENTRY:
                    yield Damage(f"{state.name} has no history of what was logged")
                    return
                rest += more
            head, rest = rest[: match.start()], rest[match.end() :]
            facts = _facts(head)
            tail = ""
            last = 0
            for entry in _entries(file, rest):
                if isinstance(entry, str):
                    tail = entry
                elif isinstance(entry, Damage):
                    yield Damage(f"{state.name}: {entry.message}")
                else:
                    said = entry.pop("step", None)
                    step = whole_step(said)
                    last = last if step is None else max(last, step)
                    if "train_runtime" in entry:
                        facts["finished"] = True
                    yield Row(entry, said, times.of(step))
                    at(min(run.size, raw.tell()))
            facts |= _facts(tail)
    except OSError as error:
        yield Damage(f"{state.name} cannot be read: {error.strerror or error}")
        return
    yield from times.beyond()
    yield _outcome(facts, max(last, times.last))


def _outcome(facts: dict[str, Any], last: int) -> Facts:
    total, step = _int(facts.get("max_steps")), _int(facts.get("global_step")) or 0
    step = max(step, last)
    config = {name: facts[name] for name in _SETTINGS if facts.get(name) not in (None, "")}
    if facts.get("finished") or (total and step >= total):
        return Facts(status=Status.SUCCEEDED, config=config, total_steps=total)
    reason = f"its last checkpoint is at step {step}" + (f" of {total}" if total else "")
    return Facts(status=Status.STOPPED, reason=reason, config=config, total_steps=total)


def _entries(file: Any, rest: str) -> Iterator[dict[str, Any] | Damage | str]:
    """The entries of the list that `rest` begins within, then what follows it as text."""
    decoder = json.JSONDecoder()
    at, ended = 0, False
    while True:
        while at < len(rest) and rest[at] in " \t\r\n,":
            at += 1
        if at < len(rest) and rest[at] == "]":
            yield rest[at + 1 :] + file.read(_READ)
            return
        try:
            entry, at = decoder.raw_decode(rest, at)
        except (ValueError, RecursionError):
            if not ended and len(rest) - at < _LONGEST_ENTRY:
                more = file.read(_READ)
                ended = not more
                rest, at = rest[at:] + more, 0
                if more:
                    continue
            following = _NEXT_ENTRY.search(rest, at)
            if following is None:
                yield Damage("it breaks off, or what follows is damaged")
                return
            yield Damage(f"an entry of the history is damaged: {rest[at : at + 40]!r}")
            at = following.end()
            continue
        if isinstance(entry, dict):
            yield entry
        else:
            yield Damage(f"an entry of the history is no object: {str(entry)[:40]!r}")
        if at > _READ:
            rest, at = rest[at:], 0


class _Times:
    """When steps were done, as event files beside the state tell, and what these have beyond its last step."""

    def __init__(self, run: FoundRun) -> None:
        self._beyond: list[Row] = []
        self._at: dict[int, float] = {}
        self.last = 0
        self.config: dict[str, Any] = {}
        """The settings that the Trainer has left in the event files."""
        state, files = run.files[0], run.files[1:]
        self._modified = state.stat().st_mtime
        if not files:
            return
        saved = _int(_facts(_read_end(state)).get("global_step")) or 0
        before = 0
        for item in read_tensorboard(replace(run, files=files), lambda _read: None):
            if isinstance(item, Facts):
                self.config |= item.config
            if not isinstance(item, Row) or not isinstance(item.step, int) or item.t is None:
                continue
            if item.step < before:  # started again from there: what came after it counts no more
                self._beyond = [row for row in self._beyond if row.step < item.step]
                self._at = {step: t for step, t in self._at.items() if step < item.step}
            before = item.step
            if item.step > saved:
                self._beyond.append(item)
            elif len(self._at) < _MOST_TIMES:
                self._at.setdefault(item.step, item.t)

    def of(self, step: int | None) -> float | None:
        """When the step was logged; else, where nothing tells, when the file was written."""
        found = self._at.get(step) if step is not None else None
        return found if found is not None or self._at else self._modified

    def beyond(self) -> Iterator[Item]:
        """What was reported after the last checkpoint."""
        for row in self._beyond:
            self.last = max(self.last, row.step)
            yield row


def _beside(state: Path) -> dict[str, Any]:
    """Settings in the files beside a state: those of the adapter and of the model, and the model card's."""
    found: dict[str, Any] = {}
    for folder in dict.fromkeys((state.parent, state.parent.parent)):
        adapter = _json_of(folder / "adapter_config.json")
        if adapter and not found.get("lora_r"):
            found |= {f"peft_config.{name}": value for name, value in adapter.items()}
            found["base_model_name_or_path"] = adapter.get("base_model_name_or_path")
        model = _json_of(folder / "config.json")
        for name in ("_name_or_path", "model_type", "quantization_config"):
            if model.get(name):
                found.setdefault(name, model[name])
        card = _text_of(folder / "README.md")
        if match := _BASE_MODEL.search(card):
            found.setdefault("base_model", match[1])
        if match := _DATASETS.search(card):
            found.setdefault("dataset", ", ".join(line.strip(" -") for line in match[1].splitlines() if line.strip()))
        if folder != state.parent or not _CHECKPOINT.fullmatch(folder.name):
            break
    return {name: value for name, value in found.items() if value is not None}


def _facts(words: str) -> dict[str, Any]:
    """What the state says outside of its history, be it whole or not."""
    found: dict[str, Any] = {}
    for name, value in _FACT.findall(words):
        try:
            found[name] = json.loads(value)
        except ValueError:
            continue
    return found


def _int(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) and value > 0 else None


def _read_end(path: Path) -> str:
    """The first and the last of a file: what is not history is there."""
    with path.open("rb") as file:
        head = file.read(4096)
        size = file.seek(0, 2)
        file.seek(max(len(head), size - 4096))
        return (head + file.read(4096)).decode("utf-8", "replace")


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _text_of(path: Path, most: int = 1 << 20) -> str:
    try:
        if not _is_file(path):
            return ""
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(most)
    except OSError:
        return ""


def _json_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text_of(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
