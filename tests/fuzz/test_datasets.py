"""Any file as a dataset: all of its rows, or a refusal that says what is wrong and where, and nothing by halves."""

import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.datasets.importing import convert_source, preview_source
from engine.datasets.reader import RowReader
from engine.datasets.rows import BadRows
from engine.errors import BadInput
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, as_json, document, mutated

ROWS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "source": "x", "n": 1},
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "id": 3},
    {"instruction": "a", "input": "b", "output": "c", "history": [["d", "e"]], "score": 0.5},
    {"prompt": "a", "chosen": "b", "rejected": "c"},
    {"prompt": "a", "completion": "b", "label": True},
    {"question": "a", "answer": "b", "meta": {"lang": "de", "tags": ["x"]}},
    {
        "messages": [
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
        ]
    },
    {"turns": ["a", "b"], "category": "c"},
    {"text": "### Human: a\n### Assistant: b"},
    {"emoji": "x", "text": "y"},
]
CSV = b'prompt,completion,n\nhello,"good ""day""\nto you",1\n,,\nx,y,2\n'
TSV = CSV.replace(b",", b"\t")
TEXT = b"Once upon a time.\n\nUser: hello\nAssistant: hi\n\nThe end.\n"


def parquet_of(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression="none")
    return sink.getvalue()


PARQUET = [parquet_of([row] * 3) for row in ROWS[:6]]
row = st.sampled_from(ROWS).flatmap(document)
lines = st.lists(row.map(as_json) | st.sampled_from(DEEP) | st.binary(max_size=9), min_size=1, max_size=4)

FILES: dict[str, st.SearchStrategy[bytes]] = {
    ".jsonl": lines.map(b"\n".join) | mutated([as_json(one) + b"\n" + as_json(one) for one in ROWS]),
    ".json": st.lists(row, max_size=4).map(as_json) | mutated([as_json(ROWS[:1] * 3), as_json({"data": ROWS[1:2]})]),
    ".csv": mutated([CSV]),
    ".tsv": mutated([TSV]),
    ".txt": mutated([TEXT]),
    ".parquet": mutated(PARQUET),
    ".jsonl.gz": mutated([gzip.compress(as_json(ROWS[0]), mtime=0)]) | lines.map(b"\n".join).map(gzip.compress),
    "": mutated([CSV, TEXT, *PARQUET[:1], as_json(ROWS[0])]),
}


def check_file(suffix: str, data: bytes) -> None:
    """Look at the file and import it, with and without leaving rows out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data{suffix}"
        path.write_bytes(data)
        in_words(lambda: preview_source(path))
        for skip_bad in (False, True):
            for asked in ("auto", "text"):
                made = Path(folder) / f"made-{skip_bad}-{asked}"
                made.mkdir()
                in_words(lambda: check_import(path, made, asked, skip_bad))  # noqa: B023


def check_import(path: Path, made: Path, asked: str, skip_bad: bool) -> None:
    card = convert_source(path, made, name="t", asked=asked, skip_bad=skip_bad)
    json.dumps(card, allow_nan=False).encode()
    rows = RowReader(made / "data.parquet").rows(None, 0, 1_000)
    assert len(rows) == card["rows"] > 0
    for one in rows:
        for turn in (*one.messages, *one.chosen, *one.rejected):
            turn.content.encode()
        json.dumps(one.metadata, allow_nan=False, ensure_ascii=False).encode()


def in_words(work: Callable[[], object]) -> None:
    try:
        work()
    except BadRows as error:
        assert error.problems and all(problem.row > 0 for problem in error.problems)
    except BadInput as error:
        assert error.why or error.fix


@pytest.mark.parametrize("suffix", FILES)
def test_any_file_is_imported_or_refused_in_words(suffix: str) -> None:
    @examples(8)
    @given(FILES[suffix])
    def tried(data: bytes) -> None:
        check_file(suffix, data)

    tried()


@pytest.mark.parametrize("path", cases("datasets"), ids=lambda path: path.name)
def test_files_that_were_found(path: Path) -> None:
    check_file(path.suffix, path.read_bytes())


@pytest.mark.parametrize("number", range(6))
def test_the_originals_are_imported(tmp_path: Path, number: int) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(PARQUET[number])
    check_import(path, tmp_path, "auto", skip_bad=False)
