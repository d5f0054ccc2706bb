"""A dataset version's rows on disk: one Parquet file in row groups of about a thousand. Writing it."""

import json
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.datasets.reader import TURNS, rows_of
from engine.datasets.rows import Row, Turn, content_hash

GROUP_ROWS = 1_000
GROUP_CHARS = 16 << 20
"""A row group is closed at either: memory stays bounded whatever the rows are."""


def schema() -> Any:
    """Columns of `data.parquet`. `calls` and `tools` are JSON or empty, `hash` is `content_hash`."""
    import pyarrow as pa

    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("calls", pa.string())]))
    return pa.schema(
        [
            ("messages", turns),
            ("split", pa.string()),
            ("metadata", pa.string()),
            ("chosen", turns),
            ("rejected", turns),
            ("label", pa.bool_()),
            ("tools", pa.string()),
            ("hash", pa.binary(16)),
        ]
    )


class RowWriter:
    """Writes rows, a row group at a time. Use as a context manager."""

    def __init__(self, path: Path, *, compression: str = "zstd") -> None:
        import pyarrow.parquet as pq

        self._schema = schema()
        self._writer = pq.ParquetWriter(path, self._schema, compression=compression)
        self._start()

    def _start(self) -> None:
        self._turns = {name: _TurnBuffer() for name in TURNS}
        self._columns: dict[str, list[Any]] = {name: [] for name in ("split", "metadata", "label", "tools", "hash")}
        self._chars = 0

    def write(
        self,
        messages: Sequence[Turn],
        metadata: str,
        *,
        split: str = "",
        chosen: Sequence[Turn] = (),
        rejected: Sequence[Turn] = (),
        label: bool | None = None,
        tools: str = "",
    ) -> None:
        """Add one row; `metadata` is JSON."""
        chars = self._turns["messages"].add(messages) + len(metadata) + len(tools)
        chars += self._turns["chosen"].add(chosen) + self._turns["rejected"].add(rejected)
        columns = self._columns
        columns["split"].append(split)
        columns["metadata"].append(metadata)
        columns["label"].append(label)
        columns["tools"].append(tools)
        columns["hash"].append(content_hash(messages, chosen, rejected, label, tools))
        self._chars += chars
        if len(columns["split"]) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
            self._flush()

    def write_row(self, row: Row) -> None:
        """Add one row as it is; its index is not kept."""
        self.write(
            row.messages,
            json.dumps(row.metadata),
            split=row.split,
            chosen=row.chosen,
            rejected=row.rejected,
            label=row.label,
            tools=row.tools,
        )

    def _flush(self) -> None:
        import pyarrow as pa

        if self._columns["split"]:
            arrays = [
                self._turns[field.name].array(field.type)
                if field.name in TURNS
                else pa.array(self._columns[field.name], field.type)
                for field in self._schema
            ]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._start()

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


class _TurnBuffer:
    """A column of lists of turns while it grows."""

    def __init__(self) -> None:
        self._roles: list[str] = []
        self._contents: list[str] = []
        self._calls: list[str] = []
        self._offsets = [0]

    def add(self, turns: Sequence[Turn]) -> int:
        """Add one row's turns; returns their characters."""
        chars = 0
        for turn in turns:
            self._roles.append(turn.role)
            self._contents.append(turn.content)
            self._calls.append(turn.calls)
            chars += len(turn.content) + len(turn.calls)
        self._offsets.append(len(self._roles))
        return chars

    def array(self, kind: Any) -> Any:
        import pyarrow as pa

        text = pa.string()
        columns = [pa.array(values, text) for values in (self._roles, self._contents, self._calls)]
        turns = pa.StructArray.from_arrays(columns, fields=list(kind.value_type))
        return pa.ListArray.from_arrays(pa.array(self._offsets, pa.int32()), turns, type=kind)


def rewrite(
    source: Path,
    target: Path,
    *,
    rows: Sequence[int] | None = None,
    splits: Sequence[str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Copy `source` to `target` without decoding its rows: those at `rows` (ascending, counted from 0), all by default.

    `splits` are the new splits of the rows that are copied, in their order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, schema(), compression="zstd") as writer:
        kept = _Kept(rows, [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
        held: list[Any] = []
        done = waiting = 0

        def write(tables: list[Any]) -> None:
            nonlocal done
            table = pa.concat_tables(tables)
            if splits is not None:
                part = pa.array(splits[done : done + table.num_rows], pa.string())
                table = table.set_column(table.schema.get_field_index("split"), "split", part)
            writer.write_table(table, row_group_size=GROUP_ROWS)
            done += table.num_rows

        for group in range(file.num_row_groups):
            wanted = kept.within(group)
            if wanted is None or len(wanted):
                table = _whole(file.read_row_group(group))
                held.append(table if wanted is None else table.take(pa.array(wanted)))
                waiting += held[-1].num_rows
            # small leftovers of many groups are joined: a row group a row would be slow to read
            if held and (rows is None or waiting >= GROUP_ROWS or sum(one.nbytes for one in held) >= GROUP_CHARS):
                write(held)
                held, waiting = [], 0
            if progress:
                progress((group + 1) / file.num_row_groups)
        if held:
            write(held)


class _Kept:
    """Which rows of each group are wanted."""

    def __init__(self, rows: Sequence[int] | None, sizes: Sequence[int]) -> None:
        self._rows = rows
        self._starts = [0, *accumulate(sizes)]
        self._at = 0

    def within(self, group: int) -> list[int] | None:
        """Places within the group, asked group by group; `None` for all of it."""
        if self._rows is None:
            return None
        start, end = self._starts[group], self._starts[group + 1]
        first = self._at
        while self._at < len(self._rows) and self._rows[self._at] < end:
            self._at += 1
        return [row - start for row in self._rows[first : self._at]]


def _whole(table: Any) -> Any:
    """`table` with every column of today's schema: earlier versions lack some."""
    wanted = schema()
    if table.schema.equals(wanted):
        return table
    import pyarrow as pa

    with_rows = rows_of(table, 0)
    buffers = {name: _TurnBuffer() for name in TURNS}
    for row in with_rows:
        for name in TURNS:
            buffers[name].add(getattr(row, name))
    plain = {
        "split": [row.split for row in with_rows],
        "metadata": table["metadata"].to_pylist(),
        "label": [row.label for row in with_rows],
        "tools": [row.tools for row in with_rows],
        "hash": [content_hash(row.messages, row.chosen, row.rejected, row.label, row.tools) for row in with_rows],
    }
    arrays = [
        buffers[field.name].array(field.type) if field.name in TURNS else pa.array(plain[field.name], field.type)
        for field in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)
