"""JSON files as people have them: what can be read is read, the rest is refused with what is wrong and what to do."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from engine.datasets.rows import RowError
from engine.datasets.sources import RawRow, array_rows, json_rows, open_source, opening, parse_json
from engine.errors import BadInput

ROW = {"prompt": "Wie heißt du? 🙂", "response": "Ada"}
LINE = json.dumps(ROW, ensure_ascii=False)


def read_rows(path: Path) -> list[RawRow]:
    return list(open_source(path).rows())


def written(tmp_path: Path, content: str | bytes, name: str = "x.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        f"{LINE}\n{LINE}\n",
        f"{LINE}\r\n\r\n  \n{LINE}",
        f"\ufeff{LINE}\n{LINE}\n",
        f"[{LINE}, {LINE}]",
        f"[{LINE},\n{LINE}\n]\n",
        f"\ufeff  \n[{LINE},{LINE}]",
        json.dumps({"data": [ROW, ROW], "version": 1}),
        json.dumps({"rows": [ROW, ROW]}, indent=1),
        f'{{"data": [\n{LINE},\n{LINE}\n]}}',
        json.dumps([ROW, ROW], indent=4),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_lines_arrays_and_wrapped_lists_are_the_same_rows(tmp_path: Path, content: str, zipped: bool) -> None:
    data = content.encode()
    path = written(tmp_path, gzip.compress(data) if zipped else data, "x.json.gz" if zipped else "x.json")
    assert [(row.number, row.parse()) for row in read_rows(path)] == [(1, ROW), (2, ROW)]


def test_a_single_object_is_one_row(tmp_path: Path) -> None:
    assert [row.parse() for row in read_rows(written(tmp_path, json.dumps(ROW, indent=2)))] == [ROW]
    assert [row.parse() for row in read_rows(written(tmp_path, LINE))] == [ROW]


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path, f"\n{LINE}\n\n{LINE}\n"))
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 4)]
    assert rows[-1].at <= 1.0


def test_unicode_line_separators_do_not_end_a_row(tmp_path: Path) -> None:
    row = {"prompt": "a\u2028b\x85c", "response": "d"}
    assert [raw.parse() for raw in read_rows(written(tmp_path, json.dumps(row, ensure_ascii=False)))] == [row]


def test_nan_reads_as_null(tmp_path: Path) -> None:
    (row,) = read_rows(written(tmp_path, '{"input": NaN, "score": -Infinity}\n'))
    assert row.parse() == {"input": None, "score": None}


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 0.1, 1e300, -0.5])
def test_numbers_keep_every_digit(number: float) -> None:
    value = parse_json(json.dumps({"id": number}).encode())["id"]
    assert value == number
    assert type(value) is type(number)


def test_what_the_quick_decoder_refuses_is_read_as_ever() -> None:
    assert parse_json(b'{"a": "\\ud800"}') == {"a": "\ud800"}
    assert parse_json(b'{"a": 1e999, "b": NaN}') == {"a": None, "b": None}
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_rows_as_the_hub_serves_them_are_unwrapped(tmp_path: Path) -> None:
    served = {"features": [], "rows": [{"row_idx": index, "row": ROW, "truncated_cells": []} for index in range(2)]}
    assert [row.parse() for row in read_rows(written(tmp_path, json.dumps(served), "x.json"))] == [ROW, ROW]


def test_content_goes_before_the_name(tmp_path: Path) -> None:
    for name in ("x.txt", "x.csv", "x.data", "x"):
        assert open_source(written(tmp_path, f"{LINE}\n{LINE}\n", name)).format == "jsonl"
        assert open_source(written(tmp_path, json.dumps([ROW], indent=1), name)).format == "json"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"prompt": "a", "response": ', "is not JSON (expecting value at column 29)"),
        (b'{"prompt": "caf\xe9"}', "is not UTF-8 (byte 0xe9 at position 16)"),
        (b'{"prompt": "a\x00b"}', "is not JSON (invalid control character at"),
        (b"null", "is null, not an object"),
        (b'"text"', "is text, not an object"),
        (b"[1, 2]", "is a list, not an object"),
        (b'{"n": ' + b"9" * 5000 + b"}", "is not JSON (Exceeds the limit"),
        (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply"),
    ],
)
def test_a_bad_line_is_that_rows_problem_alone(tmp_path: Path, line: bytes, problem: str) -> None:
    path = written(tmp_path, LINE.encode() + b"\n" + line + b"\n" + LINE.encode() + b"\n")
    first, bad, last = read_rows(path)
    assert first.parse() == last.parse() == ROW
    with pytest.raises(RowError) as error:
        bad.parse()
    assert problem in str(error.value)


@pytest.mark.parametrize("bad", [b'{"prompt": "a"', b"null", b"3"])
def test_a_bad_first_line_does_not_hide_the_others(tmp_path: Path, bad: bytes) -> None:
    first, second = read_rows(written(tmp_path, bad + b"\n" + LINE.encode()))
    with pytest.raises(RowError):
        first.parse()
    assert second.parse() == ROW


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \n\n\t\n", "is empty"),
        (b"[]", "holds no rows"),
        (b'{"data": []}', "holds no rows"),
        (b"Hello there\nWorld\n", "is not JSON"),
        (b"prompt,response\na,b\n", "is not JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><body>Log in</body></html>", "is a web page"),
        (gzip.compress(gzip.compress(b'{"a": 1}', mtime=0), mtime=0), "gzipped more than once"),
        (b"x" * 257 + b"ustar" + b"\0" * 100, "is a tar archive"),
        ('{"prompt": "a"}'.encode("utf-16-le"), "is UTF-16 text"),
        ('{"prompt": "a"}'.encode("utf-16-be"), "is UTF-16 text"),
        (b'[{"prompt": "a"},\n{"prompt": ', "line 2, column 12"),
        (b'{\n "prompt": "a",\n}', "is not JSON (illegal trailing comma"),
        (b'[{"prompt": "caf\xe9"}]', "is not UTF-8"),
        ("[1]".encode("utf-16"), "is UTF-16 text"),
        (b"PAR1\x15\x04\x15", "is a damaged Parquet file"),
        (b"PK\x03\x04\x14\x00", "is a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is a binary file"),
        (gzip.compress(b'{"prompt": 1}\n' * 5000, mtime=0)[:-20], "is damaged"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\x1f\x8bnonsense", "is damaged"),
    ],
)
def test_a_file_that_holds_no_rows_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(BadInput) as error:
        read_rows(path)
    if message.startswith("is not JSON (illegal"):  # newer Pythons say it so, older ones name the brace
        message = "is not JSON ("
    assert message in error.value.why or message in error.value.what
    assert str(path) in error.value.what
    assert error.value.fix


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, LINE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root, who runs tests in containers, may read everything
    with pytest.raises(BadInput, match="cannot be read") as error:
        read_rows(path)
    assert "Permission denied" in error.value.why


def test_a_long_line_is_read_and_one_beyond_the_limit_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = json.dumps({"prompt": "a" * (5 << 20), "response": "b"})
    path = written(tmp_path, f"{LINE}\n{long}\n{LINE}\n")
    assert len(read_rows(path)[1].parse()["prompt"]) == 5 << 20
    monkeypatch.setattr(opening, "MAX_LINE_BYTES", 1 << 20)
    first, bad, last = read_rows(path)
    assert first.parse() == last.parse() == ROW
    with pytest.raises(RowError, match="longer than 1 MB"):
        bad.parse()


def test_an_object_too_large_to_read_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_DOCUMENT_BYTES", 1000)
    with pytest.raises(BadInput, match="read whole") as error:
        read_rows(written(tmp_path, json.dumps({"data": [ROW] * 100})))
    assert "JSONL" in error.value.fix


def test_an_array_may_be_cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ROW,
        {"n": [1.5e-7, -12345678901234567890, True, None, {}], "t": 'a\\"ü\n\u2028\ud83d'},
        {"n": 12},
        7,
        "x",
        [],
    ]
    path = written(tmp_path, "\ufeff \n" + json.dumps(rows, indent=1).replace("null", "NaN"), "x.json")
    for size in range(1, 30):
        monkeypatch.setattr(array_rows, "_CHUNK_BYTES", size)
        assert [row.data for row in open_source(path).rows()] == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"a": 1}\n {"a": 2}]', "expecting ',' delimiter at line 2, column 2"),
        (b'[{"a": 1},\n{}]\n\n[2]', "extra data at line 4, column 1"),
        (b'[\n{"a": "b}\n]', "at line 2, column"),
        (b'[{"a": 1},\n {"a" 1},\n{"a": "' + b"x" * 500 + b'"}]', "expecting ':' delimiter at line 2, column 7"),
        (b'[{"a": 1},\n{"a": "caf\xe9"}]', "is not UTF-8 (byte 0xe9 at position 22)"),
        (b'[{"a": 1},\n{"a": "caf\xc3', "is not UTF-8 (byte 0xc3 at position 22)"),
        (b'[{"a": 1},', "expecting value at column 11"),
        (b'[{"a": ' + b"9" * 5000 + b"}]", "Exceeds the limit"),
        (b'[{"a": 1},\n' + b"[" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("size", [5, 1 << 20])
def test_a_damaged_array_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str, size: int
) -> None:
    monkeypatch.setattr(array_rows, "_CHUNK_BYTES", size)
    with pytest.raises(BadInput) as error:
        read_rows(written(tmp_path, content, "x.json"))
    assert message in error.value.what


def test_an_item_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_LINE_BYTES", 1 << 20)
    content = f'[\n{LINE},\n{{"prompt": "{"x" * (4 << 20)}'
    with pytest.raises(BadInput, match="an item of more than 1 MB, which begins in line 3"):
        read_rows(written(tmp_path, content, "x.json"))


def test_arrays_are_streamed(tmp_path: Path) -> None:
    row = json.dumps({"prompt": "a" * 1000, "response": "b"})
    path = written(tmp_path, f"[{', '.join([row] * 20_000)}]", "x.json")
    tracemalloc.start()
    count = sum(1 for row in open_source(path).rows() if row.parse())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < path.stat().st_size / 3


def test_lines_are_streamed(tmp_path: Path) -> None:
    path = written(tmp_path, (json.dumps({"prompt": "a" * 1000, "response": "b"}) + "\n") * 20_000)
    tracemalloc.start()
    count = sum(1 for row in open_source(path).rows() if row.parse())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < path.stat().st_size / 10
