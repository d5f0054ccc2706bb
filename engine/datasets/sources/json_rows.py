"""JSON: one object a line, an array over the whole file, or one object (read whole, up to a limit)."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.datasets.rows import RowError
from engine.datasets.sources.array_rows import array_rows
from engine.datasets.sources.opening import FORMATS, Stream, empty, lines, opened, too_long, unusable
from engine.datasets.sources.raw import Unreadable, parse_json

MAX_DOCUMENT_BYTES = 1 << 30
"""An object that is the whole file is read whole, so it has a limit; lines and arrays are streamed and have none."""

WRAPPERS = ("data", "rows")
"""Fields that hold the rows of an object which is the whole file."""

_TOLD_LINES = 64

Item = tuple[int | None, Any, float]
"""A row of one file: its line, its data as in `RawRow`, and how much of the file had been read."""


def jsonl_rows(path: Path) -> Iterator[Item]:
    """One row a line; blank lines are no rows. Not parsed yet."""
    with opened(path) as stream:
        at = 0.0
        for line, data in lines(stream):
            if line % _TOLD_LINES == 1:  # asking the file costs more than a short line
                at = stream.at()
            if data is None:
                yield line, Unreadable(too_long()), at
            elif not data.isspace():
                yield line, data, at


def document_rows(path: Path) -> Iterator[Item]:
    """The objects of an array, of an object's `data` or `rows`, or one object alone."""
    with opened(path) as stream:
        if stream.head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            yield from array_rows(path)
            return
        data = stream.file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise unusable(
            path,
            f"is one JSON object of more than {MAX_DOCUMENT_BYTES >> 30} GB, which has to be read whole.",
            fix="Write it as JSONL, one object a line: that can have any size.",
        )
    try:
        value = parse_json(data)
    except RowError as error:
        raise unusable(path, f"{error.problem}.", why=FORMATS, fix="Mend the file there.") from error
    del data
    value = next((value[key] for key in WRAPPERS if isinstance(value.get(key), list)), [value])
    if not value:
        raise empty(path, "holds no rows.", "Its list is empty.")
    served = _is_served(value)
    for index, item in enumerate(value):
        yield None, item["row"] if served else item, (index + 1) / len(value)


def json_format(stream: Stream) -> str:
    """`json` where the stream is one value over all its lines, else `jsonl`, judged by two lines that are not blank."""
    start = stream.head.removeprefix(codecs.BOM_UTF8).strip()
    if start.startswith(b"[") and b"\n" not in start:  # one long line, which need not be read for this
        return "json"
    found = []
    for _line, data in lines(stream):
        if data is None or not data.isspace():
            found.append(data)
            if len(found) == 2:
                break
    return "json" if found and _is_document(found[0], found[1:]) else "jsonl"


def is_json(data: bytes | None) -> bool:
    """Whether `data` is one JSON value."""
    try:
        parse_json(data or b"")
    except RowError:
        return False
    return True


def _is_document(first: bytes | None, rest: list[bytes | None]) -> bool:
    start = (first or b"[").lstrip()[:1]
    if start not in b"{[":
        return False
    if not is_json(first):
        goes_on = start == b"[" or (first or b"").rstrip()[-1:] in b"[{,:"
        return not rest or (goes_on and first is not None) or not _is_object(rest[0])
    if rest:
        return False
    value = parse_json(first or b"")
    return isinstance(value, list) or any(isinstance(value.get(key), list) for key in WRAPPERS)


def _is_object(data: bytes | None) -> bool:
    return is_json(data) and isinstance(parse_json(data or b""), dict)


def _is_served(rows: list[Any]) -> bool:
    """Whether the rows are as the hub's dataset viewer serves them, each wrapped with its number."""
    keys = {"row_idx", "row"}
    return all(isinstance(row, dict) and row.keys() >= keys and isinstance(row["row"], dict) for row in rows)
