"""A dataset version's rows on disk: one Parquet file in row groups of about a thousand. Writing it."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.datasets.metadata import metadata_json
from engine.datasets.reader import TURNS, rows_of
from engine.datasets.rows import Row, Turn, content_bytes, content_hash, hash_of

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


class _File:
    """The file while it is written: in a thread, so that compressing one group and gathering the next go on at once."""

    def __init__(self, path: Path, compression: str) -> None:
        import pyarrow.parquet as pq

        # texts that differ from row to row are not worth a dictionary
        repeating = [f"{name}.list.element.{field}" for name in TURNS for field in ("role", "calls")]
        self._writer = pq.ParquetWriter(
            path,
            schema(),
            compression=compression,
            use_dictionary=[*repeating, "split", "tools"],
            write_statistics=False,
        )
        self._thread = ThreadPoolExecutor(1)
        self._at_work: Future[None] | None = None

    def write(self, table: Any) -> None:
        """Write a table as soon as the one before it is on disk. Raises what went wrong with that one."""
        self._wait()
        self._at_work = self._thread.submit(self._writer.write_table, table, row_group_size=GROUP_ROWS)

    def _wait(self) -> None:
        if self._at_work is not None:
            at_work, self._at_work = self._at_work, None
            at_work.result()

    def close(self, *, failed: bool) -> None:
        """End the file; one that `failed` is left as it is."""
        try:
            if not failed:
                self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()


class RowBuffer:
    """Rows that are gathered to be a row group, column by column."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._turns: dict[str, list[Sequence[Turn]]] = {name: [] for name in TURNS}
        self._columns: dict[str, list[Any]] = {name: [] for name in ("split", "metadata", "label", "tools", "hash")}
        self._chars = 0

    def add(
        self,
        messages: Sequence[Turn],
        metadata: str,
        *,
        split: str = "",
        chosen: Sequence[Turn] = (),
        rejected: Sequence[Turn] = (),
        label: bool | None = None,
        tools: str = "",
    ) -> bool:
        """Add one row; `metadata` is JSON. Returns whether there is a row group now."""
        content = content_bytes(messages, chosen, rejected, label, tools)
        turns, columns = self._turns, self._columns
        turns["messages"].append(messages)
        turns["chosen"].append(chosen)
        turns["rejected"].append(rejected)
        columns["split"].append(split)
        columns["metadata"].append(metadata)
        columns["label"].append(label)
        columns["tools"].append(tools)
        columns["hash"].append(hash_of(content))
        self._chars += len(content) + len(metadata)
        return len(columns["split"]) >= GROUP_ROWS or self._chars >= GROUP_CHARS

    def take(self) -> Any:
        """What has been gathered, as an Arrow table, or `None` for nothing; the buffer is empty then."""
        import pyarrow as pa

        if not self._columns["split"]:
            return None
        kinds = schema()
        arrays = [
            _turn_array(self._turns[field.name], field.type)
            if field.name in TURNS
            else pa.array(self._columns[field.name], field.type)
            for field in kinds
        ]
        self._start()
        return pa.Table.from_arrays(arrays, schema=kinds)


class RowWriter:
    """Writes rows, a row group at a time. Use as a context manager.

    A file that is only a step to another is quicker written without `compression`.
    """

    def __init__(self, path: Path, *, compression: str = "zstd") -> None:
        self._file = _File(path, compression)
        self._rows = RowBuffer()

    def write_row(self, row: Row) -> None:
        """Add one row as it is; its index is not kept."""
        full = self._rows.add(
            row.messages,
            metadata_json(row.metadata),
            split=row.split,
            chosen=row.chosen,
            rejected=row.rejected,
            label=row.label,
            tools=row.tools,
        )
        if full:
            self._flush()

    def write_table(self, table: Any) -> None:
        """Add the rows of a table as `RowBuffer` gives it."""
        self._flush()
        self._file.write(table)

    def _flush(self) -> None:
        table = self._rows.take()
        if table is not None:
            self._file.write(table)

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = kind is not None
        try:
            if not failed:
                self._flush()
        except BaseException:
            failed = True
            raise
        finally:
            self._file.close(failed=failed)


def _turn_array(rows: Sequence[Sequence[Turn]], kind: Any) -> Any:
    """A column of lists of turns."""
    import pyarrow as pa

    turns = [turn for row in rows for turn in row]
    texts = ([turn.role for turn in turns], [turn.content for turn in turns], [turn.calls for turn in turns])
    columns = [pa.array(values, pa.string()) for values in texts]
    offsets = pa.array([0, *accumulate(map(len, rows))], pa.int32())
    return pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays(columns, fields=list(kind.value_type)), type=kind
    )


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

    target_file = _File(target, "zstd")
    failed = True
    try:
        with pq.ParquetFile(source, memory_map=True) as file:
            kept = _Kept(rows, [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
            held: list[Any] = []
            done = 0
            for group in range(file.num_row_groups):
                wanted = kept.within(group)
                if wanted is None or len(wanted):
                    table = _whole(file.read_row_group(group))
                    held.append(table if wanted is None else table.take(pa.array(wanted)))
                # small leftovers of many groups are joined: a row group a row would be slow to read
                enough = rows is None or sum(one.num_rows for one in held) >= GROUP_ROWS or _size(held) >= GROUP_CHARS
                if held and (enough or group == file.num_row_groups - 1):
                    table = pa.concat_tables(held)
                    if splits is not None:
                        table = _with_splits(table, splits[done : done + table.num_rows])
                    target_file.write(table)
                    done += table.num_rows
                    held = []
                if progress:
                    progress((group + 1) / file.num_row_groups)
        failed = False
    finally:
        target_file.close(failed=failed)


def _size(tables: Sequence[Any]) -> int:
    return sum(table.nbytes for table in tables)


def _with_splits(table: Any, splits: Sequence[str]) -> Any:
    import pyarrow as pa

    return table.set_column(table.schema.get_field_index("split"), "split", pa.array(splits, pa.string()))


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

    rows = rows_of(table, 0)
    plain = {
        "split": [row.split for row in rows],
        "metadata": table["metadata"].to_pylist(),
        "label": [row.label for row in rows],
        "tools": [row.tools for row in rows],
        "hash": [content_hash(row) for row in rows],
    }
    arrays = [
        _turn_array([getattr(row, field.name) for row in rows], field.type)
        if field.name in TURNS
        else pa.array(plain[field.name], field.type)
        for field in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)
