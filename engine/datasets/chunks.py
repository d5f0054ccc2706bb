"""A stretch of a source's rows, converted: what is done in another process when a large source is imported."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.datasets.metadata import metadata_json
from engine.datasets.parquet import GROUP_CHARS, GROUP_ROWS, RowBuffer
from engine.datasets.placeholders import Placeholders
from engine.datasets.reading import is_suite, problem_of, row_of, texts_of
from engine.datasets.rows import LISTED, RowError, RowProblem
from engine.datasets.shapes import Converter, Plan
from engine.datasets.split import TEST, TRAIN, group_key

if TYPE_CHECKING:
    from engine.datasets.conditions import RowFilter
    from engine.datasets.sources import RawRow


@dataclass(frozen=True)
class How:
    """How rows are converted: the plan, what is said first, and which rows are kept."""

    plan: Plan
    system: str | None = None
    kept: "RowFilter | None" = None


@dataclass
class Converted:
    """What rows came to, in their order. `tables` hold those that can be used and are kept."""

    tables: list[Any] = field(default_factory=list)
    groups: list[bytes] = field(default_factory=list)
    splits: set[str | None] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    placeholders: Counter[str] = field(default_factory=Counter)
    problems: list[RowProblem] = field(default_factory=list)
    """Of the first `LISTED` that cannot be used."""
    total: int = 0
    bad: int = 0
    filtered: int = 0
    at: float = 0.0
    """How much of the source had been read by its last row."""


@dataclass
class Stretch:
    """Rows that follow each other, of one file: plain lists, which are quickly sent to another process."""

    number: int
    """Of the first."""
    split: str | None
    file: str
    lines: list[int | None] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)
    at: float = 0.0
    """How much of the source had been read by the last."""

    def rows(self) -> "Iterator[RawRow]":
        from engine.datasets.sources import RawRow

        for place, (line, data) in enumerate(zip(self.lines, self.data, strict=True)):
            yield RawRow(self.number + place, line, data, self.at, self.split, self.file)


def stretches(rows: "Iterator[RawRow]") -> Iterator[Stretch]:
    """The rows in stretches that are a row group each, or what fits into memory several times."""
    held: Stretch | None = None
    size = 0
    for row in rows:
        full = held is not None and (len(held.data) >= GROUP_ROWS or size >= GROUP_CHARS)
        if held is None or full or row.file != held.file or row.split != held.split:
            if held is not None:
                yield held
            held, size = Stretch(row.number, row.split, row.file), 0
        held.lines.append(row.line)
        held.data.append(row.data)
        held.at = row.at
        size += _size(row.data)
    if held is not None:
        yield held


def convert_rows(stretch: Stretch, how: How) -> Converted:
    """Convert every row; those that cannot be used are counted and named."""
    done = Converted(total=len(stretch.data), at=stretch.at)
    convert = Converter(how.plan, how.system).convert
    suite = is_suite(how.plan)
    buffer, placeholders = RowBuffer(), Placeholders()
    for raw in stretch.rows():
        try:
            row = convert(raw.parse())
            metadata = metadata_json(row.metadata) if row.metadata else "{}"
        except RowError as error:
            done.bad += 1
            if len(done.problems) < LISTED:
                done.problems.append(problem_of(raw, error))
            continue
        split = TEST if suite else row.split or raw.split
        if how.kept is not None:
            whole = row_of(row, raw.number - 1, split or TRAIN, json.loads(metadata))
            if not how.kept.matches(whole):
                done.filtered += 1
                continue
        done.groups.append(group_key(row.messages))
        done.splits.add(split)
        if row.ignored:
            done.ignored |= row.ignored
        placeholders.add(texts_of(row))
        full = buffer.add(
            row.messages,
            metadata,
            split=split or TRAIN,
            chosen=row.chosen,
            rejected=row.rejected,
            label=row.label,
            tools=row.tools,
        )
        if full:
            done.tables.append(buffer.take())
    if (table := buffer.take()) is not None:
        done.tables.append(table)
    done.placeholders = placeholders.rows
    return done


def _size(value: Any) -> int:
    """About the bytes of a row's data."""
    if isinstance(value, (bytes, str)):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, (list, tuple)) else 8
