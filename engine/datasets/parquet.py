"""A dataset version's rows on disk: one Parquet file in row groups of about a thousand, read by row number."""

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.datasets.rows import Row, Turn
from engine.errors import FinetuiError

GROUP_ROWS = 1_000
GROUP_CHARS = 16 << 20
"""A row group is closed at either: memory stays bounded whatever the rows are."""

_GROUPS_CACHED = 4


class RowWriter:
    """Writes rows that have no split yet, a row group at a time. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        turn = pa.struct([("role", pa.string()), ("content", pa.string())])
        self._schema = pa.schema([("messages", pa.list_(turn)), ("metadata", pa.string())])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._messages: list[list[dict[str, str]]] = []
        self._metadata: list[str] = []
        self._chars = 0

    def write(self, messages: Sequence[Turn], metadata: str) -> None:
        """Add one row; `metadata` is JSON."""
        self._messages.append([{"role": turn.role, "content": turn.content} for turn in messages])
        self._metadata.append(metadata)
        self._chars += sum(len(turn.content) for turn in messages) + len(metadata)
        if len(self._messages) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._messages:
            columns = {"messages": self._messages, "metadata": self._metadata}
            self._writer.write_table(pa.table(columns, schema=self._schema))
        self._messages, self._metadata, self._chars = [], [], 0

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def add_splits(source: Path, target: Path, splits: Sequence[str]) -> None:
    """Copy `source` to `target` with the column `split`, row group by row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow.insert(1, pa.field("split", pa.string()))
        done = 0
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                part = pa.array(splits[done : done + table.num_rows], pa.string())
                writer.write_table(table.add_column(1, "split", part))
                done += table.num_rows


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
        sizes = [layout.row_group(group).num_rows for group in range(layout.num_row_groups)]
        self._ends = list(accumulate(sizes))
        self._by_split: dict[str, Any] = {}
        self._groups: OrderedDict[int, Any] = OrderedDict()

    def count(self, split: str | None = None) -> int:
        with self._lock:
            return len(self._positions(split)) if split else self._total

    def rows(self, split: str | None, offset: int, limit: int) -> list[Row]:
        """At most `limit` rows from `offset` on, both counted within `split` where one is given."""
        with self._lock:
            if split:
                return self._take(self._positions(split).slice(max(0, offset), max(0, limit)).to_pylist())
            return self._take(range(max(0, offset), min(self._total, max(0, offset) + max(0, limit))))

    def search(self, text: str, split: str | None, limit: int) -> list[Row]:
        """The first `limit` rows with `text` in a turn, whatever the case."""
        import pyarrow.compute as pc

        found: list[int] = []
        with self._lock:
            for group, end in enumerate(self._ends):
                if len(found) >= limit:
                    break
                table = self._group(group)
                messages = table["messages"].combine_chunks()
                contents = messages.flatten().field("content")
                hits = pc.filter(
                    pc.list_parent_indices(messages), pc.match_substring(contents, text, ignore_case=True)
                ).unique()
                if split:
                    hits = pc.filter(hits, _is_split(table["split"].take(hits), split))
                found += [end - table.num_rows + hit for hit in hits.to_pylist()]
            return self._take(found[:limit])

    def close(self) -> None:
        with self._lock:
            self._file.close()

    @property
    def _total(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _positions(self, split: str) -> Any:
        """Row numbers of `split`, in order, as an Arrow array; found once."""
        import pyarrow.compute as pc

        if split not in self._by_split:
            column = self._file.read(columns=["split"])["split"]
            self._by_split[split] = pc.indices_nonzero(_is_split(column, split))
        return self._by_split[split]

    def _take(self, positions: Sequence[int]) -> list[Row]:
        rows = []
        for position in positions:
            group = bisect_right(self._ends, position)
            table = self._group(group)
            row = table.slice(position - (self._ends[group] - table.num_rows), 1).to_pylist()[0]
            turns = tuple(Turn(turn["role"], turn["content"]) for turn in row["messages"])
            rows.append(Row(position, row["split"], turns, json.loads(row["metadata"])))
        return rows

    def _group(self, group: int) -> Any:
        import pyarrow as pa

        if group in self._groups:
            self._groups.move_to_end(group)
        else:
            try:
                self._groups[group] = self._file.read_row_group(group)
            except (OSError, pa.ArrowInvalid) as error:
                raise self._damaged(error) from error
            if len(self._groups) > _GROUPS_CACHED:
                self._groups.popitem(last=False)
        return self._groups[group]

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
