"""W&B's offline files: `run-ID.wandb`, records in a log of blocks.

Field numbers are those of `wandb/proto/wandb_internal.proto` of wandb 0.31, which adds fields to those before it and
gives no number another meaning.
"""

import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from engine.history.items import (
    Alert,
    At,
    Damage,
    Facts,
    FoundRun,
    Item,
    Machine,
    Part,
    Row,
    Skipped,
    Words,
    whole_step,
)
from engine.history.log_blocks import MAGIC, read_records
from engine.history.loose_json import loads
from engine.history.wire import Malformed, double, fields_of, message, text, whole, zigzag
from store.records import Status

HISTORY, OUTPUT, CONFIG, STATS, ALERT, METRIC, OUTPUT_RAW, RUN, EXIT = 2, 4, 5, 7, 10, 12, 13, 17, 18
_WITHOUT_HISTORY = frozenset({1, 3, 6, 8, 9, 11, 16, 19, 20, 21, 22, 23, 24, 25, 26, 27, 100, 200})
"""Fields of a record that are known, and hold nothing that is shown here."""
_FIRST_RECORDS = 50
"""The run's own record is among so many first ones."""


def is_wandb(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC[:4]) or (path.suffix == ".wandb" and path.name.startswith("run-"))


def find_wandb(path: Path, size: int, stamp: str) -> FoundRun:
    """The run in a file. Raises `OSError`."""
    run_id, project, entity, facts = path.stem.removeprefix("run-"), "", "", Facts()
    for count, record in enumerate(read_records(path)):
        if count > _FIRST_RECORDS:
            break
        if isinstance(record, Damage):
            continue
        try:
            body = dict(fields_of(record[1])).get(RUN)
            if body is None:
                continue
            known = dict(fields_of(message(body)))
            run_id = text(known.get(1, b"")) or run_id
            entity, project = text(known.get(2, b"")), text(known.get(3, b""))
            facts = _run(message(body))
        except Malformed:
            pass
        break
    return FoundRun(
        source="wandb",
        source_id=f"wandb:{entity}/{project}/{run_id}",
        name=facts.name or run_id,
        path=path,
        files=(path,),
        stamp=stamp,
        size=size,
        created=facts.started,
    )


def read_wandb(run: FoundRun, at: At) -> Iterator[Item]:
    """The run's items, of all files that it was written to in turn."""
    before = 0
    for number, path in enumerate(run.files):
        if number:
            yield Part()
        reading = _Reading()
        try:
            for record in read_records(path):
                if isinstance(record, Damage):
                    yield Damage(f"{path.name}: {record.message}")
                    continue
                try:
                    yield from reading.record(record[1])
                except Malformed as error:
                    yield Damage(f"{path.name}: the record before byte {record[0]:,} is damaged: {error}")
                at(before + record[0])
            before += path.stat().st_size
        except OSError as error:
            yield Damage(f"{path.name} cannot be read: {error.strerror or error}")
        if not reading.exited:
            yield Facts(status=Status.LOST, reason="its file ends before the run does")


class _Reading:
    """What has to be known of earlier records to understand the next."""

    def __init__(self) -> None:
        self.exited = False
        self._started: float | None = None
        self._t: float | None = None
        self._exact: dict[str, str] = {}
        self._globs: list[tuple[str, str]] = []
        self._axes: dict[str, str] = {}
        """The metric that says the step of another, by name; empty for W&B's own count."""
        self._axis_names: set[str] = set()
        self._steps: dict[str, int] = {}

    def record(self, data: bytes) -> Iterator[Item]:
        for number, value in fields_of(data):
            if number == HISTORY:
                yield from self._history(message(value))
            elif number == STATS:
                yield from self._stats(message(value))
            elif number == CONFIG:
                yield Facts(config=_updates(message(value)))
            elif number == RUN:
                facts = _run(message(value))
                self._started = facts.started
                yield facts
            elif number == METRIC:
                self._metric(message(value))
            elif number in (OUTPUT, OUTPUT_RAW):
                known = dict(fields_of(message(value)))
                if line := text(known.get(3, b"")):
                    yield Words(line)
            elif number == ALERT:
                known = dict(fields_of(message(value)))
                yield Alert(text(known.get(3, b"")), text(known.get(1, b"")), text(known.get(2, b"")), self._t)
            elif number == EXIT:
                yield self._exit(message(value))
            elif number not in _WITHOUT_HISTORY:
                yield Skipped("records of a kind that is not known")

    def _history(self, data: bytes) -> Iterator[Item]:
        values: dict[str, Any] = {}
        step: int | None = None
        for number, value in fields_of(data):
            if number == 1:
                path, figure = _item(message(value))
                if path:
                    _put(values, path, figure)
            elif number == 2:
                step = whole(dict(fields_of(message(value))).get(1, 0))
        own = values.pop("_step", None)
        step = step if step is not None else own
        t = _seconds(values.pop("_timestamp", None))
        runtime = _seconds(values.pop("_runtime", None))
        if t is None and runtime is not None and self._started is not None:
            t = self._started + runtime
        self._t = t if t is not None else self._t
        said = set()
        for name in self._axis_names & values.keys():
            if (place := whole_step(values[name])) is not None:
                self._steps[name] = place
                said.add(name)
        by_step: dict[Any, dict[str, Any]] = {}
        for name, value in values.items():
            if name in said or name.startswith("_"):
                continue
            axis = self._axes.get(name)
            if axis is None:
                axis = self._axes[name] = self._axis_of(name)
            by_step.setdefault(self._steps.get(axis, step) if axis else step, {})[name] = value
        for at_step, some in by_step.items():
            yield Row(some, at_step, t)

    def _stats(self, data: bytes) -> Iterator[Item]:
        values: dict[str, Any] = {}
        t = None
        for number, value in fields_of(data):
            if number == 2:
                t = _timestamp(message(value))
            elif number == 3:
                path, figure = _item(message(value))
                values[".".join(path)] = figure
        self._t = t if t is not None else self._t
        yield Machine(values, t)

    def _metric(self, data: bytes) -> None:
        known = dict(fields_of(data))
        name, glob, axis = (text(known.get(number, b"")) for number in (1, 2, 4))
        if not axis:
            return
        if name:
            self._exact[name] = axis
        elif glob:
            self._globs.append((glob, axis))
        self._axis_names.add(axis)
        self._axes.clear()

    def _axis_of(self, name: str) -> str:
        if name in self._exact:
            return self._exact[name]
        return next((axis for glob, axis in self._globs if fnmatch.fnmatchcase(name, glob)), "")

    def _exit(self, data: bytes) -> Facts:
        self.exited = True
        known = dict(fields_of(data))
        code, runtime = whole(known.get(1, 0)), whole(known.get(2, 0))
        ended = self._t
        if self._started is not None and runtime:
            ended = max(ended or 0.0, self._started + runtime)
        if code:
            return Facts(status=Status.FAILED, reason=f"its program ended with exit code {code}", ended=ended)
        return Facts(status=Status.SUCCEEDED, ended=ended)


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a value that may be nested; what was there and is not nested gives way."""
    for name in path[:-1]:
        inner = values.get(name)
        if not isinstance(inner, dict):
            inner = values[name] = {}
        values = inner
    values[path[-1]] = value


def _item(data: bytes) -> tuple[list[str], Any]:
    """Where an item of a history, of the settings or of the machine's figures belongs, and its value."""
    value: Any = None
    path: list[str] = []
    if (plain := _plain_item(data)) is not None:
        return plain
    for number, raw in fields_of(data):
        if number == 16:
            value = _json(raw)
        elif number in (1, 2):  # `key`, or the parts of `nested_key`
            path.append(text(raw))
        elif number == 5:
            value = zigzag(raw)
        elif number == 6:
            value = double(raw)
        elif number == 4:
            value = bool(raw)
        elif number == 7:
            value = text(raw)
        elif number == 8:
            value = _json(raw)
    return path, value


def _plain_item(data: bytes) -> tuple[list[str], Any] | None:
    """The same of an item with one name and one value in JSON, as almost all are, in a third of the time.

    `None` for every other item.
    """
    try:
        at = 2 + data[1]
        if (
            data[0] in (10, 18)  # `key` or `nested_key`, and then `value_json`, each of less than 128 bytes
            and data[1] < 128
            and data[at] == 130
            and data[at + 1] == 1
            and data[at + 2] < 128
            and at + 3 + data[at + 2] == len(data)
        ):
            return [data[2:at].decode("utf-8", "replace")], orjson.loads(data[at + 3 :])
    except (IndexError, orjson.JSONDecodeError):
        pass
    return None


def _json(raw: int | bytes) -> Any:
    try:
        return loads(message(raw))
    except ValueError:
        raise Malformed("a value is no JSON") from None


def _updates(data: bytes) -> dict[str, Any]:
    """Settings that were set or changed. W&B's own are left out."""
    found: dict[str, Any] = {}
    for number, value in fields_of(data):
        if number == 1:
            path, setting = _item(message(value))
            if path and path[0] != "_wandb":
                _put(found, path, setting)
    return found


def _run(data: bytes) -> Facts:
    facts = Facts()
    config: dict[str, Any] = {}
    tags: list[str] = []
    for number, value in fields_of(data):
        if number == 4:
            config |= _updates(message(value))
        elif number == 8:
            facts.name = text(value)
        elif number == 9:
            facts.notes = text(value)
        elif number == 10:
            tags.append(text(value))
        elif number == 17:
            facts.started = _timestamp(message(value))
        elif number in (3, 6, 7):
            config.setdefault({3: "project", 6: "group", 7: "job_type"}[number], text(value))
    facts.config, facts.tags = config, tuple(tags)
    return facts


def _timestamp(data: bytes) -> float | None:
    known = dict(fields_of(data))
    seconds = whole(known.get(1, 0)) + whole(known.get(2, 0)) / 1e9
    return seconds or None


def _seconds(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and abs(value) < 1e12 else None
