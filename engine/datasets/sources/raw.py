"""A row as its file has it, and JSON with errors that say where."""

import json
import math
from typing import Any, NamedTuple

import orjson

from engine.datasets.rows import RowError, json_kind

_FIRST_BIG_DIGITS = b"0" * 19
_DIGITS_ONLY = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_BOM = "\ufeff"
_LINE_END = "\r\n"


class Unreadable(NamedTuple):
    """Stands in a `RawRow` for what could not be read of it: the field, if it is one alone, and what is wrong."""

    problem: str
    field: str = ""


class RawRow(NamedTuple):
    """A row as the file has it. `number` counts from 1 over all files of the source, `line` from 1 in its file.

    A row of a JSON array or of a Parquet file has no line; a row of several lines has its first.
    """

    number: int
    line: int | None
    data: Any
    """A line's bytes, not parsed yet; else the value, or `Unreadable`."""
    at: float
    """How much of the source had been read by then, 0 to 1."""
    split: str | None = None
    """`train`, `validation` or `test`, where the name of the file or its folder says so."""
    file: str = ""
    """The file's name in its folder, where the source has several files."""

    @property
    def place(self) -> str:
        """Where the row is, in a source of several files: `b.jsonl, line 3`; empty in a single file."""
        if not self.file:
            return ""
        return f"{self.file}, line {self.line}" if self.line else self.file

    def parse(self) -> dict[str, Any]:
        """The row's object. Raises `RowError` for what is none."""
        value = self.data
        if isinstance(value, bytes):
            value = parse_json(value)
        elif isinstance(value, Unreadable):
            raise RowError(value.field, value.problem)
        if not isinstance(value, dict):
            raise RowError("", f"is {json_kind(value)}, not an object with fields")
        return value


def parse_json(data: bytes) -> Any:
    """One JSON value. NaN and infinities, which JSON does not have, read as null. Raises `RowError`.

    orjson reads it, several times as fast as the standard decoder. What orjson refuses goes to that one: for NaN, for
    half characters (they are refused later, by field), for its messages. So does what has a number of 19 digits or
    more: orjson would round integers that do not fit into 64 bits.
    """
    if _FIRST_BIG_DIGITS not in data.translate(_DIGITS_ONLY):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    return _parse_slowly(data)


def _parse_slowly(data: bytes) -> Any:
    try:
        return DECODER.decode(data.decode("utf-8").lstrip(_BOM).rstrip(_LINE_END))
    except UnicodeDecodeError as error:
        raise RowError("", not_utf8(error)) from error
    except RecursionError as error:
        raise RowError("", "is nested too deeply") from error
    except ValueError as error:
        raise RowError("", f"is not JSON ({_reason(error)})") from error


def not_utf8(error: UnicodeDecodeError, before: int = 0) -> str:
    """The first byte that is wrong, and where, counted from 1; `before` bytes came before the ones decoded."""
    return f"is not UTF-8 (byte 0x{error.object[error.start]:02x} at position {before + error.start + 1})"


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


DECODER = json.JSONDecoder(parse_constant=lambda _name: None, parse_float=_finite)
"""The standard decoder, with null for what JSON has no number for."""


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        return f"{error.msg[:1].lower()}{error.msg[1:]} at {place}"
    return str(error)
