"""Reading a `.jsonl` or `.json` file, plain or gzipped, row by row.

What the file is follows from its content, not from its name: many `.json` files hold one object a line.
"""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.datasets.rows import RowError
from engine.errors import BadInput

MAX_LINE_BYTES = 64 << 20
MAX_DOCUMENT_BYTES = 1 << 30
"""A JSON array is read whole, so it has a limit; lines are streamed and have none."""

WRAPPERS = ("data", "rows")
_HEAD_BYTES = 1 << 16
_FORMATS = "finetui reads JSONL (one JSON object a line) and JSON (an array of objects), plain or gzipped, in UTF-8."
_DECODER = json.JSONDecoder(parse_constant=lambda _name: None)
_GZIP = b"\x1f\x8b"
_MAGIC = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "a database",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
}


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as the file has it. `number` and `line` count from 1; a row of an array has no line."""

    number: int
    line: int | None
    data: Any
    """The line's bytes (not parsed yet) where there is a line, `None` for one that is too long; else the value."""
    at: float
    """How much of the file had been read by then, 0 to 1."""

    def parse(self) -> dict[str, Any]:
        """The row's object. Raises `RowError` for what is none."""
        value = self.data
        if self.line is not None:
            if value is None:
                raise RowError("", f"is longer than {MAX_LINE_BYTES >> 20} MB")
            value = parse_json(value)
        if not isinstance(value, dict):
            raise RowError("", f"is {json_kind(value)}, not an object with fields")
        return value


def parse_json(data: bytes) -> Any:
    """One JSON value. NaN and infinities, which JSON does not have, read as null. Raises `RowError`."""
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise RowError("", f"is not UTF-8 (byte 0x{byte:02x} at position {error.start + 1})") from error
    except RecursionError as error:
        raise RowError("", "is nested too deeply") from error
    except ValueError as error:
        raise RowError("", f"is not JSON ({_reason(error)})") from error


def json_kind(value: Any) -> str:
    """What a value is, in JSON's words: `null`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def read_rows(path: Path) -> Iterator[RawRow]:
    """The rows of `path` in order; lines are streamed, an array is read whole. Blank lines are no rows.

    Raises `BadInput` for a file that is missing, empty, a folder, binary or not JSON.
    """
    with _opened(path) as (raw, stream, size):
        lines = _lines(stream, raw, size)
        first = next(lines, None)
        if first is None:
            raise _unusable(path, "is empty.", why=_FORMATS)
        second = next(lines, None)
        if _is_document(first, second):
            yield from _document_rows(path)
            return
        yield first
        if second is not None:
            yield second
            yield from lines


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO, int]]:
    """The file, the stream of its content after a byte order mark, and the file's size."""
    try:
        _check_is_file(path)
        with path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP
            raw.seek(0)
            stream = cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw), _HEAD_BYTES)) if zipped else raw
            head = stream.read(_HEAD_BYTES)
            _check_is_text(path, head)
            stream.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
            yield raw, stream, path.stat().st_size
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _unusable(
            path, "is damaged: it cannot be unpacked to its end.", why=str(error), fix="Download or pack it again."
        ) from error
    except OSError as error:
        raise _unusable(path, "cannot be read.", why=f"The system says: {error.strerror or error}.") from error


def _check_is_file(path: Path) -> None:
    if str(path).startswith("hub:"):
        raise BadInput("Datasets of the hub cannot be imported by name yet.", fix="Download the file and import that.")
    if path.is_dir():
        inside = sorted(item.name for item in path.iterdir() if ".json" in item.name)[:5]
        found = f"It holds {', '.join(inside)}." if inside else "It holds no .jsonl or .json file."
        raise _unusable(path, "is a folder.", why=found, fix="Name one file in it.")
    if not path.exists():
        raise _unusable(path, "does not exist.", fix="Check the path; it is relative to the folder you are in.")
    if not path.is_file():
        raise _unusable(path, "is not a file.", fix="Name a .jsonl or .json file.")


def _check_is_text(path: Path, head: bytes) -> None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _unusable(path, "is UTF-16 text.", why=_FORMATS, fix="Save it as UTF-8.")
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if kind is None and b"\0" in head and start[:1] not in b"{[":
        kind = "a binary file"
    if kind:
        raise _unusable(path, f"is {kind}.", why=_FORMATS, fix="Export its rows as JSONL and import that.")
    if start and start[:1] not in b"{[" and not _is_json(start.split(b"\n", 1)[0]):
        if path.suffix.lower() in (".csv", ".tsv"):
            raise _unusable(path, "is a table, not JSON.", why=_FORMATS, fix="Export its rows as JSONL.")
        shown = start.split(b"\n", 1)[0][:60].decode("utf-8", "replace").strip()
        raise _unusable(path, "is not JSON.", why=f"It starts with {shown!r}. {_FORMATS}")


def _lines(stream: BinaryIO, raw: BinaryIO, size: int) -> Iterator[RawRow]:
    number = line = 0
    while data := stream.readline(MAX_LINE_BYTES):
        line += 1
        whole = data.endswith(b"\n") or len(data) < MAX_LINE_BYTES
        while not whole:
            rest = stream.readline(MAX_LINE_BYTES)
            whole = rest.endswith(b"\n") or not rest
            data = b""
        if data and data.isspace():
            continue
        number += 1
        yield RawRow(number, line, data.rstrip(b"\r\n") or None, min(1.0, raw.tell() / max(1, size)))


def _is_document(first: RawRow, second: RawRow | None) -> bool:
    """Whether the file is one JSON value over all its lines, judged by its first two that are not blank."""
    start = (first.data or b"[").lstrip()[:1]
    if start not in b"{[":
        return False
    if not _is_json(first.data):
        goes_on = start == b"[" or (first.data or b"").rstrip()[-1:] in b"[{,:"
        return second is None or (goes_on and first.data is not None) or not _is_object(second.data)
    if second is not None:
        return False
    value = parse_json(first.data)
    return isinstance(value, list) or any(isinstance(value.get(key), list) for key in WRAPPERS)


def _document_rows(path: Path) -> Iterator[RawRow]:
    with _opened(path) as (_, stream, _size):
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _unusable(
            path,
            f"is one JSON value of more than {MAX_DOCUMENT_BYTES >> 30} GB, which has to be read whole.",
            fix="Write it as JSONL, one object a line: that is streamed, whatever its size.",
        )
    try:
        value = parse_json(data)
    except RowError as error:
        raise _unusable(path, f"{error.problem}.", why=_FORMATS, fix="Mend the file there.") from error
    if isinstance(value, dict):
        value = next((value[key] for key in WRAPPERS if isinstance(value.get(key), list)), [value])
    if not value:
        raise _unusable(path, "holds no rows.", why="Its list is empty.")
    for index, item in enumerate(value):
        yield RawRow(index + 1, None, item, (index + 1) / len(value))


def _is_json(data: bytes | None) -> bool:
    try:
        parse_json(data or b"")
    except RowError:
        return False
    return True


def _is_object(data: bytes | None) -> bool:
    return _is_json(data) and isinstance(parse_json(data or b""), dict)


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        return f"{error.msg[:1].lower()}{error.msg[1:]} at {place}"
    return str(error)


def _unusable(path: Path, what: str, *, why: str = "", fix: str = "") -> BadInput:
    return BadInput(f"{path} {what}", why=why, fix=fix or "Give a .jsonl or .json file with one conversation a row.")
