"""What a data file comes to: its id and the figures of its card, read from the columns without decoding the rows."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.datasets.reader import TURNS

SPLITS = ("train", "validation", "test")


def dataset_id(path: Path, name: str) -> str:
    """The version's id: equal for the same rows, splits and metadata under the same name."""
    digest = hashlib.sha256(name.encode())
    for table in _tables(path, ["hash", "split", "metadata"]):
        for column in ("hash", "split", "metadata"):
            values = table[column].to_pylist()
            digest.update(b"".join(values) if column == "hash" else "\0".join(values).encode())
    return f"d{digest.hexdigest()[:10]}"


def figures(path: Path) -> dict[str, Any]:
    """Rows, splits {name: rows}, roles {role: turns}, turns and chars a row {mean, max}."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = turns = chars = most_turns = most_chars = 0
    splits: Counter[str] = Counter()
    roles: Counter[str] = Counter()
    for table in _tables(path, [*TURNS, "split"]):
        rows += table.num_rows
        splits.update(table["split"].to_pylist())
        counts = pa.array([0] * table.num_rows, pa.int64())
        lengths = pa.array([0] * table.num_rows, pa.int64())
        for name in TURNS:
            column = table[name].combine_chunks()
            items = column.flatten()
            if not len(items):
                continue
            for item in pc.value_counts(items.field("role")).to_pylist():
                roles[item["values"]] += item["counts"]
            counts = pc.add(counts, pc.list_value_length(column).cast(pa.int64()))
            sizes = pa.ListArray.from_arrays(column.offsets, pc.utf8_length(column.values.field("content")))
            lengths = pc.add(lengths, _sums(sizes, table.num_rows))
        turns += pc.sum(counts).as_py()
        chars += pc.sum(lengths).as_py()
        most_turns = max(most_turns, pc.max(counts).as_py())
        most_chars = max(most_chars, pc.max(lengths).as_py())
    named = [*SPLITS, *sorted(splits.keys() - set(SPLITS))]
    return {
        "rows": rows,
        "splits": {name: splits[name] for name in named if splits[name]},
        "roles": dict(roles),
        "turns": {"mean": round(turns / max(1, rows), 2), "max": most_turns},
        "chars": {"mean": round(chars / max(1, rows), 1), "max": most_chars},
    }


def _sums(lists: Any, rows: int) -> Any:
    """The sum of each list, from running totals at the lists' ends."""
    import pyarrow as pa
    import pyarrow.compute as pc

    totals = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lists.values.cast(pa.int64()))])
    ends = totals.take(lists.offsets)
    return pc.subtract(ends.slice(1, rows), ends.slice(0, rows))


def _tables(path: Path, columns: list[str]) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)
