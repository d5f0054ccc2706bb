"""The event log of a run: one JSON object a line, appended by one writer, read by anybody.

`{"v": 1, "seq": n, "t": unix seconds, "attempt": k, "kind": ..., ...}`. `docs/events.md` lists what each kind
carries. Standard library only: the worker, the supervisor and the control side all use it.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = 1

KINDS = frozenset(
    [
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
    ]
)

Event = dict[str, Any]


class EventWriter:
    """Appends events to a run's log. The file has one writer at a time.

    A write that fails (disk full) is dropped, counted in `dropped` and said once on stderr: telemetry never stops
    training. A torn last line left by a killed writer is closed with a newline first, so that it cannot swallow the
    next event.
    """

    def __init__(self, path: Path, attempt: int, *, clock: Callable[[], float] = time.time) -> None:
        self.dropped = 0
        self.attempt = attempt
        self._clock = clock
        self._seq = _last_seq(path) + 1
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if not _ends_with_newline(path):
            os.write(self._fd, b"\n")

    def write(self, kind: str, **fields: Any) -> None:
        """Append one event of `kind`. Never raises for what the disk does; `ValueError` for an unknown kind."""
        if kind not in KINDS:
            raise ValueError(f"unknown event kind {kind!r}")
        head = {"v": VERSION, "seq": self._seq, "t": round(self._clock(), 3), "attempt": self.attempt, "kind": kind}
        line = json.dumps(head | _finite(fields), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        data = line.encode("utf-8", "replace") + b"\n"
        try:
            written = os.write(self._fd, data)
            if written < len(data):
                os.write(self._fd, b"\n")
                raise OSError(f"only {written} of {len(data)} bytes written")
        except OSError as error:
            if not self.dropped:
                sys.stderr.write(f"finetui: the event log cannot be written ({error}); training goes on\n")
            self.dropped += 1
        else:
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
    """What was read: events in order, the offset to go on from, and the lines that were no events."""

    events: list[Event]
    offset: int
    problems: list[Problem]


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
    end = data.rfind(b"\n") + 1
    events: list[Event] = []
    problems: list[Problem] = []
    position = offset
    for line in data[:end].splitlines(keepends=True) if b"\r" not in data else _lines(data[:end]):
        if line.strip():
            try:
                event = json.loads(line)
                if event["v"] > VERSION:
                    problems.append(Problem(position, f"written by a newer finetui (protocol {event['v']})"))
                else:
                    _ = event["seq"] + event["attempt"] + event["t"], event["kind"]
                    events.append(event)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                problems.append(Problem(position, f"damaged line: {error}"))
        position += len(line)
    return Chunk(events, offset + end, problems)


def number(value: Any) -> float:
    """A number as the log holds it: non-finite ones are the strings `nan`, `inf` and `-inf`."""
    return float(value)


def _lines(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


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
