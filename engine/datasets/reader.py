"""A dataset version's rows, read by their numbers: a million rows cost what is looked at."""

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from engine.datasets.rows import Row, Turn, content_hash
from engine.errors import FinetuiError

TURNS = ("messages", "chosen", "rejected")
"""Columns that hold lists of turns."""

_GROUPS_CACHED = 4


def rows_of(table: Any, start: int) -> list[Row]:
    """The rows of an Arrow table whose first has the index `start`."""
    count = table.num_rows
    names = set(table.column_names)
    turns = {name: _turns_of(table[name], count) if name in names else [()] * count for name in TURNS}
    labels = table["label"].to_pylist() if "label" in names else [None] * count
    tools = table["tools"].to_pylist() if "tools" in names else [""] * count
    columns = zip(
        table["split"].to_pylist(),
        turns["messages"],
        table["metadata"].to_pylist(),
        turns["chosen"],
        turns["rejected"],
        labels,
        tools,
        strict=True,
    )
    return [
        Row(start + place, split, messages, json.loads(metadata), chosen, rejected, label, offered or "")
        for place, (split, messages, metadata, chosen, rejected, label, offered) in enumerate(columns)
    ]


def _turns_of(column: Any, count: int) -> list[tuple[Turn, ...]]:
    array = column.combine_chunks()
    offsets = array.offsets.to_pylist()
    first, end = (offsets[0], offsets[-1]) if offsets else (0, 0)
    if first == end:
        return [()] * count
    items = array.values.slice(first, end - first)  # a part of a table has the values of all of it
    fields = {field.name for field in items.type}
    roles, contents = items.field("role").to_pylist(), items.field("content").to_pylist()
    calls = items.field("calls").to_pylist() if "calls" in fields else [""] * len(roles)
    return [
        tuple(Turn(roles[at], contents[at], calls[at] or "") for at in range(start - first, stop - first))
        for start, stop in pairwise(offsets)
    ]


class RowReader:
    """Random access to the rows of `data.parquet`. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Raises `FinetuiError` for a file that is missing or damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        self._lock = threading.Lock()
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged(error) from error
        layout = self._file.metadata
        self._ends = list(accumulate(layout.row_group(group).num_rows for group in range(layout.num_row_groups)))
        self._starts = {0, *self._ends}
        self._by_split: dict[str, Any] = {}
        self._groups: OrderedDict[int, Any] = OrderedDict()

    @property
    def total(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def groups(self) -> int:
        """How many row groups there are."""
        return len(self._ends)

    def count(self, split: str | None = None) -> int:
        with self._lock:
            return len(self._positions(split)) if split else self.total

    def rows(self, split: str | None, offset: int, limit: int) -> list[Row]:
        """At most `limit` rows from `offset` on, both counted within `split` where one is given."""
        with self._lock:
            if split:
                return self._take(self._positions(split).slice(max(0, offset), max(0, limit)).to_pylist())
            return self._take(range(max(0, offset), min(self.total, max(0, offset) + max(0, limit))))

    def take(self, indices: Iterable[int]) -> list[Row]:
        """The rows at `indices`, in their order. Raises `IndexError` for one that is not there."""
        with self._lock:
            return self._take(indices)

    def group_rows(self, group: int) -> list[Row]:
        """The rows of one row group; not kept."""
        with self._lock:
            return rows_of(self._read(group), self._start(group))

    def column(self, name: str) -> Any:
        """One column, whole, as an Arrow array; `None` where the file has none of that name."""
        with self._lock:
            if name not in self._file.schema_arrow.names:
                return None
            return self._file.read(columns=[name])[name].combine_chunks()

    def hashes(self) -> list[bytes]:
        """The content hash of every row."""
        column = self.column("hash")
        if column is not None:
            return [bytes(value) for value in column.to_pylist()]
        return [content_hash(row) for group in range(self.groups) for row in self.group_rows(group)]

    def matching(self, text: str) -> Iterator[tuple[list[int], int]]:
        """Rows with `text` in a turn, whatever the case: row group by row group, the indices and the rows seen."""
        for group, end in enumerate(self._ends):
            with self._lock:
                found = self._matches(group, text)
            yield found, end

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _matches(self, group: int, text: str) -> list[int]:
        import pyarrow as pa
        import pyarrow.compute as pc

        leaves = [name for name in TURNS if name in self._file.schema_arrow.names]
        table = self._read(group, [f"{name}.list.element.content" for name in leaves])
        found = []
        for name in leaves:
            turns = table[name].combine_chunks()
            hit = pc.match_substring(turns.flatten().field("content"), text, ignore_case=True)
            found.append(pc.filter(pc.list_parent_indices(turns), hit))
        rows = pc.unique(pa.concat_arrays([one.cast(pa.int64()) for one in found]))
        start = self._start(group)
        return sorted(start + row for row in rows.to_pylist())

    def _start(self, group: int) -> int:
        return self._ends[group - 1] if group else 0

    def _positions(self, split: str) -> Any:
        """Row numbers of `split`, in order, as an Arrow array; found once."""
        import pyarrow.compute as pc

        if split not in self._by_split:
            column = self._file.read(columns=["split"])["split"]
            self._by_split[split] = pc.indices_nonzero(_is_split(column, split))
        return self._by_split[split]

    def _take(self, indices: Iterable[int]) -> list[Row]:
        """Rows that follow each other are decoded together, and no others."""
        rows: list[Row] = []
        start = end = 0
        for index in indices:
            if not 0 <= index < self.total:
                raise IndexError(f"row {index} of {self.total}")
            if index != end or index in self._starts:
                rows += self._decoded(start, end)
                start = index
            end = index + 1
        return rows + self._decoded(start, end)

    def _decoded(self, start: int, end: int) -> list[Row]:
        """The rows from `start` to `end`, all of one group."""
        if start == end:
            return []
        group = bisect_right(self._ends, start)
        table = self._group(group).slice(start - self._start(group), end - start)
        return rows_of(table, start)

    def _group(self, group: int) -> Any:
        if group in self._groups:
            self._groups.move_to_end(group)
        else:
            self._groups[group] = self._read(group)
            if len(self._groups) > _GROUPS_CACHED:
                self._groups.popitem(last=False)
        return self._groups[group]

    def _read(self, group: int, columns: list[str] | None = None) -> Any:
        import pyarrow as pa

        try:
            return self._file.read_row_group(group, columns=columns)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FinetuiError:
        return FinetuiError(
            f"The rows of the dataset at {self._path} cannot be read.",
            why=str(error),
            fix="Remove the dataset and import its source again.",
        )


def _is_split(column: Any, split: str) -> Any:
    """Where `column` equals `split`. `pc.equal` would do, but making its scalar imports pandas, 0.3 s."""
    import pyarrow.compute as pc

    return pc.match_like(column, split)
