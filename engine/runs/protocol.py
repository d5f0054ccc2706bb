"""The event log of a run: one JSON object a line, appended by one writer, read by anybody.

`{"v": 1, "seq": n, "t": unix seconds, "attempt": k, "kind": ..., ...}`. `docs/events.md` lists what each kind
carries. Standard library only: the worker, the supervisor and the control side all use it.
"""

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1

KINDS = frozenset(
    {
        "state",
        "plan",
        "rehearsal",
        "metrics",
        "system",
        "sample",
        "evaluation",
        "checkpoint",
        "alert",
        "heartbeat",
        "end",
    }
)

Event = dict[str, Any]

TELL_EVERY_S = 60.0
"""Time between two alerts for events that could not be written."""

END_FOR_S = 600.0
"""How long a worker gives a full disk to take the last word of an attempt: training is over by then."""


class EventWriter:
    """Appends events to a run's log. The file has one writer at a time; its threads may share it.

    A write that fails (disk full) is dropped, counted in `dropped` and said once on stderr: telemetry never stops
    training. Once the log can be written again, an alert says how many events it lacks. The `end` alone is tried again
    for `end_for_s` seconds: without it a run that succeeded cannot be told from one that failed. A torn last line, left
    by a killed writer or a full disk, is closed with a newline first, so that it cannot swallow the next event.
    """

    def __init__(
        self, path: Path, attempt: int, *, clock: Callable[[], float] = time.time, end_for_s: float = 0.0
    ) -> None:
        self.dropped = 0
        self.attempt = attempt
        self._clock = clock
        self._lock = threading.Lock()
        self._seq = _last_seq(path) + 1
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._torn = not _ends_with_newline(path)
        self._untold = 0
        self._told = -TELL_EVERY_S
        self._end_for_s = end_for_s

    def write(self, kind: str, **fields: Any) -> None:
        """Append one event of `kind`. Never raises for what the disk does; `ValueError` for an unknown kind."""
        if kind not in KINDS:
            raise ValueError(f"unknown event kind {kind!r}")
        give_up = time.monotonic() + (self._end_for_s if kind == "end" else 0.0)
        with self._lock:
            while not self._try(kind, fields) and time.monotonic() < give_up:
                time.sleep(1.0)

    def _try(self, kind: str, fields: dict[str, Any]) -> bool:
        try:
            self._tell_dropped(at_once=kind == "end")
            self._append(kind, fields)
        except OSError as error:
            if not self.dropped:
                with suppress(OSError):  # what is printed goes to a file, too
                    sys.stderr.write(f"finetui: the event log cannot be written ({error}); training goes on\n")
            self.dropped += 1
            self._untold += kind != "end"
            return False
        return True

    def _tell_dropped(self, *, at_once: bool) -> None:
        """An alert for the events that the log lacks: every minute at most, for a disk that is full again and again."""
        if not self._untold or (time.monotonic() - self._told < TELL_EVERY_S and not at_once):
            return
        events = "1 event" if self._untold == 1 else f"{self._untold:,} events"
        alert = {
            "level": "warning",
            "code": "events_dropped",
            "message": f"{events} of the run could not be written: the disk was full, or failed. Training went on.",
            "fix": "Free some space: old checkpoints are the largest. Points that are missing stay so.",
        }
        self._append("alert", alert)
        self._untold, self._told = 0, time.monotonic()

    def _append(self, kind: str, fields: dict[str, Any]) -> None:
        head = {"v": VERSION, "seq": self._seq, "t": round(self._clock(), 3), "attempt": self.attempt, "kind": kind}
        text = json.dumps(head | _finite(fields), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        line = b"\n" * self._torn + text.encode("utf-8", "replace") + b"\n"
        written = os.write(self._fd, line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(f"only {written} of {len(line)} bytes written")
        self._seq += 1

    def close(self) -> None:
        os.close(self._fd)


@dataclass(frozen=True)
class Problem:
    """A whole line that is no event: its byte offset and what is wrong with it."""

    offset: int
    message: str


@dataclass(frozen=True)
class Chunk:
    """What was read: events in order, the offset to go on from, and the lines that were no events.

    `starts` has the byte offset of each event's line.
    """

    events: list[Event]
    offset: int
    problems: list[Problem]
    starts: list[int] = field(default_factory=list)


def read_events(path: Path, offset: int = 0, limit_bytes: int = 64 << 20) -> Chunk:
    """Whole lines of the log from byte `offset`, at most about `limit_bytes` of them.

    A last line without its newline is left for the next call. A missing file reads as an empty one.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(limit_bytes)
            if data and b"\n" not in data:
                data += file.readline() if len(data) == limit_bytes else b""
    except FileNotFoundError:
        return Chunk([], offset, [])
    lines = data.split(b"\n")
    lines.pop()  # what follows the last newline
    chunk = Chunk([], offset + sum(map(len, lines)) + len(lines), [])
    position = offset
    for first in range(0, len(lines), _BLOCK):
        block = lines[first : first + _BLOCK]
        for line, value in zip(block, _parse(block), strict=True):
            if isinstance(value, dict):
                problem = _problem_of(value)
            elif isinstance(value, Exception):
                problem = f"damaged line: {value}"
            else:
                problem = "" if value is _BLANK else "damaged line: not an object"
            if problem:
                chunk.problems.append(Problem(position, problem))
            elif value is not _BLANK:
                chunk.events.append(value)
                chunk.starts.append(position)
            position += len(line) + 1
    return chunk


def number(value: Any) -> float:
    """A number as the log holds it: non-finite ones are the strings `nan`, `inf` and `-inf`."""
    return float(value)


_BLOCK = 500
"""Lines that are parsed at once."""

_BLANK = object()


def _parse(lines: list[bytes]) -> list[Any]:
    """The value of each line, the exception that it raised, or `_BLANK`.

    Lines are parsed as one JSON array, in which the names of the metrics are made once: half as long as one by one.
    """
    try:
        values = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        values = []
    return values if len(values) == len(lines) else [_parse_one(line) for line in lines]


def _parse_one(line: bytes) -> Any:
    if not line.strip():
        return _BLANK
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return error


def _problem_of(event: Event) -> str:
    """What is wrong with the fields that every event has, or nothing."""
    for name in ("v", "seq", "t", "attempt", "kind"):
        if name not in event:
            return f"damaged line: no {name}"
    v, seq, t, attempt = event["v"], event["seq"], event["t"], event["attempt"]
    if type(v) is not int or v < 1:
        return f"damaged line: v is {_short(v)}"
    if v > VERSION:
        return f"written by a newer finetui (protocol {v})"
    if type(seq) is not int or not 0 <= seq < 1 << 62:
        return f"damaged line: seq is {_short(seq)}"
    if type(attempt) is not int or not 1 <= attempt < 1 << 31:
        return f"damaged line: attempt is {_short(attempt)}"
    if type(t) not in (float, int) or not -1e15 < t < 1e15:
        return f"damaged line: t is {_short(t)}"
    if type(event["kind"]) is not str:
        return f"damaged line: kind is {_short(event['kind'])}"
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _finite(value: Any) -> Any:
    """`value` with NaN and infinities as strings, so that every line is strict JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return True
        file.seek(size - 1)
        return file.read(1) == b"\n"


def _last_seq(path: Path) -> int:
    """The highest `seq` near the end of the log, or -1 for a log with none."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return -1
    window = 1 << 16
    while True:
        chunk = read_events(path, max(0, size - window), window + 1)
        if chunk.events:
            return max(int(event["seq"]) for event in chunk.events)
        if window >= size:
            return -1
        window *= 8
