"""What people have: files, folders and patterns of JSONL, JSON, CSV, TSV, Parquet and plain text, read row by row."""

from engine.datasets.sources.opening import MAX_LINE_BYTES
from engine.datasets.sources.raw import RawRow, parse_json
from engine.datasets.sources.source import Source, open_source

__all__ = ["MAX_LINE_BYTES", "RawRow", "Source", "open_source", "parse_json"]
