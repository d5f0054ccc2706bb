"""What the usual writers write comes back as it was, whatever the text is: quotes, delimiters, line ends."""

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.datasets.rows import RowError
from engine.datasets.sources import open_source
from engine.errors import BadInput

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
cells = texts | st.sampled_from(['"', "\n", "\r\n", "a,b;c\td|e", " x ", "", "[]", "\ufeff", "\u2028", "1"])
names = st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=8), min_size=1, max_size=4, unique=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def read(data: bytes, name: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return [row.parse() for row in open_source(path).rows()]


@quick
@given(
    st.lists(st.dictionaries(texts, values), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 2]),
)
def test_json(rows: list[dict[str, Any]], zipped: bool, ascii_only: bool, indent: int) -> None:
    if len(rows) == 1:
        rows = [row | {"data": None, "rows": None} for row in rows]  # else an object of those fields wraps its rows
    dumped = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    lines = "".join(f"{line}\n" for line in dumped).encode()
    assert read(gzip.compress(lines) if zipped else lines, "x.jsonl") == rows
    array = json.dumps(rows, ensure_ascii=ascii_only, indent=indent or None).encode()
    assert read(gzip.compress(array) if zipped else array, "x.json") == rows


@quick
@given(st.data(), names, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]))
def test_csv(data: st.DataObject, header: list[str], delimiter: str, end: str) -> None:
    record = st.lists(cells, min_size=len(header), max_size=len(header))
    records = data.draw(st.lists(record, min_size=1, max_size=5))
    text = io.StringIO(newline="")
    # All is quoted, so that a record of one empty cell is no blank line, and no header names a column that holds JSON.
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([[f"{name}_" for name in header], *records])
    expected = [{f"{name}_": cell or None for name, cell in zip(header, cells, strict=True)} for cells in records]
    assert read(text.getvalue().encode(), "x.tsv" if delimiter == "\t" else "x.csv") == expected


@quick
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | texts,
                "n": st.none() | st.integers(-(2**63), 2**63 - 1),
                "turns": st.lists(st.fixed_dictionaries({"role": texts, "content": st.none() | texts}), max_size=3),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_parquet(rows: list[dict[str, Any]]) -> None:
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema([("text", pa.string()), ("n", pa.int64()), ("turns", pa.list_(turn))])
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
    assert read(buffer.getvalue(), "x.parquet") == rows


@quick
@given(st.lists(texts, min_size=2, max_size=5))
def test_text(paragraphs: list[str]) -> None:
    blocks = [f"¶ {' '.join(text.split())}" for text in paragraphs]
    assert read("\n\n".join(blocks).encode(), "x.txt") == [{"text": block} for block in blocks]
    assert read("\n".join(blocks).encode(), "x.txt") == [{"text": block} for block in blocks]


@quick
@given(st.binary(max_size=200), st.sampled_from(["x.jsonl", "x.json", "x.csv", "x.tsv", "x.txt", "x.parquet", "x.gz"]))
def test_any_bytes_are_rows_or_a_refusal(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            rows = list(open_source(path).rows())
        except BadInput as error:
            assert error.why and error.fix
            return
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert rows
        for row in rows:
            try:
                assert isinstance(row.parse(), dict)
            except RowError as error:
                assert error.problem
