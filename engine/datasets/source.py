"""The old name of `engine.datasets.sources`, until all who read rows have moved."""

from collections.abc import Iterator
from pathlib import Path

from engine.datasets.sources import MAX_LINE_BYTES, RawRow, json_kind, open_source, parse_json

__all__ = ["MAX_LINE_BYTES", "RawRow", "json_kind", "parse_json", "read_rows"]


def read_rows(path: Path) -> Iterator[RawRow]:
    """The rows of `path`."""
    yield from open_source(path).rows()
