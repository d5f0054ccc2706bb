"""CSV and TSV: what spreadsheets and pandas write, and what is wrong in a row is that row's problem."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.rows import RowError
from engine.datasets.sources import RawRow, open_source, opening, table_rows
from engine.errors import BadInput


def rows(tmp_path: Path, content: str | bytes, name: str = "x.csv") -> list[RawRow]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_source(path).rows())


def values(tmp_path: Path, content: str | bytes, name: str = "x.csv") -> list[dict[str, Any]]:
    return [row.parse() for row in rows(tmp_path, content, name)]


def problem(row: RawRow) -> str:
    with pytest.raises(RowError) as error:
        row.parse()
    return str(error.value).strip()


@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str, end: str) -> None:
    asked = f"Wie heißt du{delimiter} Ada?"
    lines = [["prompt", "response"], [asked, "one, two; three | four"], ['say "x"', "a\nb"], ["c", ""]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(lines)
    expected = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    expected[2]["response"] = None  # type: ignore[assignment]
    assert values(tmp_path, f"\ufeff{text.getvalue()}") == expected
    assert values(tmp_path, gzip.compress(text.getvalue().encode()), "x.csv.gz") == expected


def test_a_table_by_its_name_is_parted_by_tabs(tmp_path: Path) -> None:
    assert values(tmp_path, "a,b\tc\n1,2\t3\n", "x.tsv") == [{"a,b": "1,2", "c": "3"}]


def test_one_column_needs_no_delimiter(tmp_path: Path) -> None:
    assert values(tmp_path, "text\nhello\nyou there\n") == [{"text": "hello"}, {"text": "you there"}]


def test_spaces_after_delimiters_are_no_part_of_the_cells(tmp_path: Path) -> None:
    assert values(tmp_path, 'prompt, response\na, "b, c"\n') == [{"prompt": "a", "response": "b, c"}]


def test_rows_and_lines_are_numbered(tmp_path: Path) -> None:
    found = rows(tmp_path, 'a,b\n1,"x\ny\nz"\n\n3,4\n')
    assert [(row.number, row.line) for row in found] == [(1, 2), (2, 6)]
    assert found[-1].at == 1.0


def test_json_in_the_columns_that_hold_it_is_read(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": 'say "ü"'}]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["messages", "chosen", "rejected", "label", "metadata", "prompt"])
    writer.writerow([json.dumps(messages), repr(messages), "[laughs] no", "True", '{"n": NaN}', '["kept as text"]'])
    assert values(tmp_path, text.getvalue()) == [
        {
            "messages": messages,
            "chosen": messages,
            "rejected": "[laughs] no",
            "label": True,
            "metadata": {"n": None},
            "prompt": '["kept as text"]',
        }
    ]


def test_a_literal_that_is_no_data_stays_text(tmp_path: Path) -> None:
    for cell in ("[__import__('os')]", "[" * 500, "{1, 2}", "[b'x']"):
        text = io.StringIO(newline="")
        csv.writer(text).writerows([["messages", "a"], [cell, "1"]])
        assert values(tmp_path, text.getvalue()) == [{"messages": cell, "a": "1"}]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"1,2,3", "has 3 cells, and the header names 2 columns"),
        (b"1", "has 1 cell, and the header names 2 columns"),
        (b"caf\xe9,2", "is not UTF-8 (byte 0xe9 at position 4)"),
        (b'"a\ncaf\xe9",2', "is not UTF-8 (byte 0xe9 at position 4 of line 4)"),
        (b"a\0b,2", "has a NUL character"),
        (b'"a" b,2', "goes on after its closing quotation mark"),
        (b"a\rb,2", "has a carriage return outside quotation marks"),
    ],
)
def test_a_bad_record_is_that_rows_problem_alone(tmp_path: Path, record: bytes, message: str) -> None:
    first, bad, last = rows(tmp_path, b"a,b\n1,2\n" + record + b"\n3,4\n")
    assert (first.parse(), last.parse()) == ({"a": "1", "b": "2"}, {"a": "3", "b": "4"})
    assert (bad.number, bad.line) == (2, 3)
    assert message in problem(bad)
    assert last.number == 3


def test_a_quotation_mark_that_is_never_closed_is_told(tmp_path: Path) -> None:
    first, bad = rows(tmp_path, 'a,b\n1,2\n"3,4\n5,6\n')
    assert first.parse()
    assert (bad.line, problem(bad)) == (3, "has a quotation mark that is never closed")


def test_a_cell_of_fifty_megabytes_is_its_rows_problem(tmp_path: Path) -> None:
    line = b"x" * 1_000_000 + b"\n"
    one_line, many_lines = b"x" * (50 << 20), b'"' + line * 18 + b'"'
    first, long, longer, last = rows(tmp_path, b"a,b\n1,2\n" + one_line + b",2\n" + many_lines + b",2\n3,4\n")
    assert (first.parse()["a"], last.parse()["a"]) == ("1", "3")
    assert problem(long) == problem(longer) == "has a cell of more than 16 million characters"
    assert (long.line, longer.line, last.line) == (3, 4, 23)


def test_a_line_beyond_the_limit_is_its_rows_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_LINE_BYTES", 1 << 20)
    first, bad, last = rows(tmp_path, f"a,b\n1,2\n{'x' * (2 << 20)},2\n3,4\n")
    assert (first.parse()["a"], last.parse()["a"]) == ("1", "3")
    assert problem(bad) == "is longer than 1 MB"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b,a\n1,2,3\n", "more than one column 'a'"),
        (b",,\n1,2,3\n", "no column names"),
        (b"a,b\n", "holds no rows"),
        (b"a,\xe9\n1,2\n", "header that cannot be read: line 1 is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is a binary file"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16 text"),
        (b"\n\n", "is empty"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-9], "is damaged"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadInput) as error:
        rows(tmp_path, content)
    assert message in error.value.what
    assert error.value.why
    assert error.value.fix


def test_a_column_without_a_name_may_say_nothing(tmp_path: Path) -> None:
    assert values(tmp_path, ",a,\n0,x,\n1,y,\n") == [{"a": "x"}, {"a": "y"}]  # pandas' row numbers; a comma too many
    bad, good = rows(tmp_path, "a,\nx,said\ny,\n")
    assert problem(bad) == "column 2 has no name in the header"
    assert good.parse() == {"a": "y"}


def test_a_delimiter_within_the_text_does_not_mislead() -> None:
    head = "prompt,response\n" + "a; b; c; d,e; f\n" * 20
    assert table_rows.find_delimiter(head, whole=True) == ","
    assert table_rows.find_delimiter('q;a\n"1,2";3\n4;5,6,7\ncut', whole=False) == ";"
