"""Parquet: read batch by batch, cells as JSON has them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.datasets.rows import RowError
from engine.datasets.sources.json_rows import Item
from engine.datasets.sources.opening import empty, opened, unusable
from engine.datasets.sources.raw import Unreadable, parse_json
from engine.errors import BadInput

BATCH_ROWS = 1_000
BATCH_BYTES = 32 << 20
"""What the rows of one batch should take, by what the file says of itself; long rows come fewer at a time."""

MAX_BATCH_BYTES = 1 << 30
"""What a batch may take at most: a file can be small and say the same long text in each row."""

LEAST_ROWS = 16
"""Fewer rows are not read at a time for what only could be."""

MAX_UNPACKED_BYTES = 16 << 30
"""How much of a `.parquet.gz` is unpacked, to a temporary file."""

_EXACT_DIGITS = 15

Reader = Callable[[Any], Any]


def parquet_rows(path: Path) -> Iterator[Item]:
    """The rows; dates are ISO text, decimals numbers where these hold them exactly, bytes a row's problem."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _seekable(path) as source:
        try:
            with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as file:
                total = file.metadata.num_rows
                _check(path, file)
                readers = _json_readers(file.schema_arrow)
                done = 0
                for batch in file.iter_batches(batch_size=_batch_rows(file), use_threads=False):
                    if batch.nbytes > MAX_BATCH_BYTES:
                        raise unusable(
                            path,
                            f"holds rows that are too long: {batch.num_rows:,} of them take {batch.nbytes >> 20:,} MB.",
                            fix="Write it with shorter rows, or as JSONL.",
                        )
                    for row in _values(batch, readers):
                        done += 1
                        yield None, row, done / total
        except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
            if isinstance(error, BadInput):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise unusable(
                path,
                "is a damaged Parquet file, or of a kind that cannot be read.",
                why=reason,
                fix="Download or write it again.",
            ) from error


@contextmanager
def _seekable(path: Path) -> Iterator[BinaryIO]:
    """The file itself, or an unpacked copy that is gone afterwards."""
    with opened(path) as stream:
        if not stream.zipped:
            stream.raw.seek(0)
            yield stream.raw
            return
        with tempfile.TemporaryFile(prefix="finetui-") as unpacked:
            stream.file.seek(0)
            _unpack(path, stream.file, unpacked)
            yield cast(BinaryIO, unpacked)


def _unpack(path: Path, packed: BinaryIO, unpacked: Any) -> None:
    left = MAX_UNPACKED_BYTES
    while data := packed.read(1 << 20):
        left -= len(data)
        if left < 0:
            limit = MAX_UNPACKED_BYTES >> 30
            raise unusable(path, f"unpacks to more than {limit} GB.", fix="Unpack it yourself and import the result.")
        unpacked.write(data)
    unpacked.seek(0)


def _check(path: Path, file: Any) -> None:
    names = file.schema_arrow.names
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise unusable(path, f"has more than one column {twice[:80]!r}.", fix="Give each column a name of its own.")
    if not file.metadata.num_rows:
        raise empty(path, "holds no rows.", "It is a Parquet file with columns only.")


def _batch_rows(file: Any) -> int:
    """How many rows make a batch: by their mean length, and by what they take if all say the longest text there can be.

    Such a text stands once in the file, in the dictionary of its column; no longer than all the group is. (What the
    file says of each column would be nearer, but asking for that ends the process where it is damaged.)
    """
    fewest = BATCH_ROWS
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        size = max(1, group.total_byte_size)
        fewest = min(fewest, max(1, BATCH_BYTES * group.num_rows // size), max(LEAST_ROWS, MAX_BATCH_BYTES // size))
    return fewest


def _json_readers(schema: Any) -> dict[str, Reader]:
    """How to read the columns that hold JSON, whole or in parts, as the hub's library writes mixed values."""
    found = {field.name: _json_reader(field.type) for field in schema}
    return {name: reader for name, reader in found.items() if reader}


def _json_reader(kind: Any) -> Reader | None:
    import pyarrow as pa

    if getattr(kind, "extension_name", "") == "arrow.json":
        return lambda value: value if value is None else parse_json(value.encode())
    if pa.types.is_struct(kind):
        parts = _json_readers(kind)
        if not parts:
            return None
        return lambda value: value and value | {name: read(value[name]) for name, read in parts.items()}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        part = _json_reader(kind.value_type)
        return (lambda value: value and [part(item) for item in value]) if part else None
    return None


def _values(batch: Any, readers: dict[str, Reader]) -> Iterator[dict[str, Any] | Unreadable]:
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):  # text that is not UTF-8, a time that Python has no word for: find the row
        for index in range(batch.num_rows):
            yield _alone(batch.slice(index, 1), readers)
        return
    for row in rows:
        yield _row(row, readers)


def _alone(batch: Any, readers: dict[str, Reader]) -> dict[str, Any] | Unreadable:
    row: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            return Unreadable(f"is not UTF-8 (byte 0x{error.object[error.start]:02x})", name)
        except (ValueError, OverflowError) as error:
            return Unreadable(f"cannot be read ({error})", name)
    return _row(row, readers)


def _row(row: dict[str, Any], readers: dict[str, Reader]) -> dict[str, Any] | Unreadable:
    for name, value in row.items():
        if name in readers or not (value is None or type(value) is str):
            try:
                row[name] = _json(readers[name](value) if name in readers else value)
            except TypeError as error:
                return Unreadable(str(error), name)
            except RowError as error:
                return Unreadable(error.problem, name)
            except RecursionError:
                return Unreadable("is nested too deeply", name)
    return row


def _json(value: Any) -> Any:
    """`value` in JSON's kinds. Raises `TypeError` with what is wrong."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if value - value == 0 else None  # NaN is how pandas says null
    if kind is dict:
        return {str(key): _json(item) for key, item in value.items()}
    if kind is list:
        if value and type(value[0]) is tuple:  # a map
            return {str(key): _json(item) for key, item in value}
        return [_json(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, (bytes, bytearray)):
        raise TypeError("holds bytes, such as those of an image, and only text can be learnt")
    return str(value)


def _number(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if value == value.to_integral_value():
        return int(value)
    return float(value) if len(value.as_tuple().digits) <= _EXACT_DIGITS else str(value)
