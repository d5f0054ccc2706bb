"""Parquet: every kind of column as JSON has it, a bad cell is its row's problem, memory stays bounded."""

import gzip
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.datasets.rows import RowError
from engine.datasets.sources import RawRow, open_source, parquet_rows
from engine.errors import BadInput


def written(tmp_path: Path, table: Any, name: str = "x.parquet", **options: Any) -> Path:
    path = tmp_path / name
    pq.write_table(table, path, **options)
    return path


def rows(path: Path) -> list[RawRow]:
    return list(open_source(path).rows())


def test_cells_are_as_json_has_them(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "ü", "tools": None}, {"role": "assistant", "content": None, "tools": ["f"]}]
    table = pa.table(
        {
            "messages": [messages, None],
            "big": pa.array([2**64 - 1, None], pa.uint64()),
            "score": [float("nan"), 0.5],
            "price": [Decimal("1.50"), Decimal("2.00")],
            "exact": [Decimal("1.2345678901234567890123"), None],
            "day": [date(2024, 1, 2), None],
            "at": [datetime(2024, 1, 2, 3, tzinfo=UTC), None],
            "clock": [time(3, 4), None],
            "took": [timedelta(seconds=90), None],
            "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "flag": [True, False],
            "list": pa.array([[[1], []], None], pa.large_list(pa.list_(pa.int8()))),
        }
    )
    first, second = rows(written(tmp_path, table))
    assert (first.number, first.line, second.number, second.at) == (1, None, 2, 1.0)
    assert first.parse() == {
        "messages": messages,
        "big": 2**64 - 1,
        "score": None,
        "price": 1.5,
        "exact": "1.2345678901234567890123",
        "day": "2024-01-02",
        "at": "2024-01-02T03:00:00+00:00",
        "clock": "03:04:00",
        "took": 90.0,
        "map": {"a": 1},
        "kind": "x",
        "flag": True,
        "list": [[1], []],
    }
    assert second.parse()["price"] == 2
    assert second.parse()["messages"] is None


def test_columns_of_json_are_parsed(tmp_path: Path) -> None:
    kind = pa.json_()
    storage = pa.array(['{"role": "user", "n": NaN}', None, "{"])
    whole = pa.ExtensionArray.from_storage(kind, storage)
    parts = pa.ListArray.from_arrays([0, 1, 1, 1], whole)
    inner = pa.StructArray.from_arrays([whole], fields=[pa.field("x", kind)])
    good, none, bad = rows(written(tmp_path, pa.table({"whole": whole, "parts": parts, "inner": inner})))
    value = {"role": "user", "n": None}
    assert good.parse() == {"whole": value, "parts": [value], "inner": {"x": value}}
    assert none.parse() == {"whole": None, "parts": [], "inner": {"x": None}}
    with pytest.raises(RowError, match="whole is not JSON"):
        bad.parse()


def test_a_bad_cell_is_its_rows_problem(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xe9b")]
    )
    images = [None, None, {"bytes": b"\x89PNG", "path": "a.png"}]
    good, latin, image = rows(written(tmp_path, pa.table({"text": texts, "image": images})))
    assert good.parse() == {"text": "a", "image": None}
    with pytest.raises(RowError, match=r"text is not UTF-8 \(byte 0xe9\)"):
        latin.parse()
    with pytest.raises(RowError, match="image holds bytes"):
        image.parse()


@pytest.mark.parametrize("compression", ["gzip", "zstd", "snappy", "none"])
def test_all_compressions_are_read(tmp_path: Path, compression: str) -> None:
    table = pa.table({"text": [f"row {index}" for index in range(2500)]})
    found = rows(written(tmp_path, table, compression=compression, row_group_size=700))
    assert [row.parse()["text"] for row in found] == table["text"].to_pylist()
    assert found[-1].number == 2500


def test_a_gzipped_file_is_unpacked_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = written(tmp_path, pa.table({"text": ["a", "b"]})).read_bytes()
    path = tmp_path / "y.parquet.gz"
    path.write_bytes(gzip.compress(plain))
    source = open_source(path)
    assert (source.format, source.name) == ("parquet", "y")
    assert [row.parse() for row in source.rows()] == [{"text": "a"}, {"text": "b"}]
    monkeypatch.setattr(parquet_rows, "MAX_UNPACKED_BYTES", 10)
    with pytest.raises(BadInput, match="unpacks to more than"):
        rows(path)


@pytest.mark.parametrize("cut", [slice(0, 60), slice(0, -1), slice(0, -200)])
def test_a_truncated_file_is_damaged(tmp_path: Path, cut: slice) -> None:
    path = written(tmp_path, pa.table({"text": ["a" * 100] * 100}))
    path.write_bytes(path.read_bytes()[cut])
    with pytest.raises(BadInput, match="is a damaged Parquet file") as error:
        rows(path)
    assert error.value.why
    assert error.value.fix


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"text": [f"{index} text" for index in range(9000)]}), compression="zstd")
    data = bytearray(path.read_bytes())
    data[2000:6000] = b"\xff" * 4000
    path.write_bytes(data)
    with pytest.raises(BadInput, match="damaged"):
        rows(path)


def test_what_holds_nothing_or_is_ambiguous_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no rows"):
        rows(written(tmp_path, pa.table({"text": pa.array([], pa.string())})))
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(BadInput, match="more than one column 'text'"):
        rows(written(tmp_path, twice))
    (tmp_path / "z.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(BadInput, match="is not a Parquet file"):
        rows(tmp_path / "z.parquet")


def test_long_rows_come_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, pa.table({"text": [str(index) * 10_000 for index in range(300)]}), use_dictionary=False)
    sizes = []
    read = pq.ParquetFile.iter_batches

    def watched(self: Any, batch_size: int, **options: Any) -> Any:
        sizes.append(batch_size)
        return read(self, batch_size=batch_size, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 100_000)
    lengths = [len(row.parse()["text"]) for row in open_source(path).rows()]
    assert lengths == [10_000] * 10 + [20_000] * 90 + [30_000] * 200
    assert len(sizes) == 1
    assert sizes[0] < 10


def test_the_same_long_text_in_each_row_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, pa.table({"text": ["x" * 200_000] * 200}))  # a dictionary of one
    assert path.stat().st_size < 500_000
    monkeypatch.setattr(parquet_rows, "MAX_BATCH_BYTES", 6 << 20)
    before = pa.total_allocated_bytes()
    source = open_source(path).rows()
    assert next(source).parse()
    assert pa.total_allocated_bytes() - before < 16 << 20
    assert sum(1 for _ in source) == 199
    monkeypatch.setattr(parquet_rows, "MAX_BATCH_BYTES", 1 << 20)
    with pytest.raises(BadInput, match="rows that are too long"):
        rows(path)


def test_no_damage_ends_the_process(tmp_path: Path) -> None:
    """A byte changed somewhere gives rows or a refusal; some ways of asking pyarrow about such files abort it."""
    table = pa.table({"text": [f"row {index} ü" for index in range(200)], "turns": [[{"role": "user"}]] * 200})
    data = written(tmp_path, table, compression="none").read_bytes()
    chance = random.Random(1)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data) * 2 // 3, len(data))] = chance.randrange(256)
        path = tmp_path / "damaged.parquet"
        path.write_bytes(damaged)
        try:
            outcomes.add(f"{len(rows(path))} rows")
        except BadInput as error:
            assert error.why
            outcomes.add("refused")
    assert {"200 rows", "refused"} <= outcomes
