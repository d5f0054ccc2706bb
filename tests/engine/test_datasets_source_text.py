"""Plain text: a row a block, a line or a file."""

import gzip
from pathlib import Path

import pytest

from engine.datasets.rows import RowError
from engine.datasets.sources import RawRow, open_source, opening
from engine.errors import BadInput


def rows(tmp_path: Path, content: str | bytes, name: str = "x.txt") -> list[RawRow]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_source(path).rows())


@pytest.mark.parametrize("name", ["x.txt", "X.MD", "x.txt.gz"])
def test_blocks_are_parted_by_blank_lines(tmp_path: Path, name: str) -> None:
    data = "\ufeff\n\none\r\n  two\n \t\n\nthree ü\n\n".encode()
    found = rows(tmp_path, gzip.compress(data) if name.endswith("gz") else data, name)
    assert [row.parse() for row in found] == [{"text": "one\n  two"}, {"text": "three ü"}]
    assert [(row.number, row.line) for row in found] == [(1, 3), (2, 7)]


def test_without_blank_lines_a_line_is_a_row(tmp_path: Path) -> None:
    found = rows(tmp_path, "\none\n{two}\n three\n\n")
    assert [row.parse()["text"] for row in found] == ["one", "{two}", " three"]
    assert [row.line for row in found] == [2, 3, 4]


def test_several_texts_are_a_row_each_and_splits_are_not(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two\n\nblocks\n")
    (tmp_path / "a.md").write_text("# A\n")
    assert [(row.file, row.line, row.parse()["text"]) for row in open_source(tmp_path).rows()] == [
        ("a.md", None, "# A"),
        ("b.txt", None, "two\n\nblocks"),
    ]
    for name in ("train", "valid"):
        (tmp_path / "splits").mkdir(exist_ok=True)
        (tmp_path / "splits" / f"{name}.txt").write_text("one\n\ntwo\n")
    found = list(open_source(tmp_path / "splits").rows())
    assert [(row.split, row.line) for row in found] == [
        ("train", 1),
        ("train", 3),
        ("validation", 1),
        ("validation", 3),
    ]


def test_a_bad_block_is_that_rows_problem_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_LINE_BYTES", 1000)
    content = b"one\n\ncaf\xe9\n\n" + b"x" * 600 + b"\n" + b"x" * 600 + b"\n\n" + b"x" * 2000 + b"\n\nlast\n"
    first, latin, long, longer, last = rows(tmp_path, content)
    assert (first.parse(), last.parse()) == ({"text": "one"}, {"text": "last"})
    for row, problem in ((latin, "byte 0xe9 at position 4"), (long, "is longer than"), (longer, "is longer than")):
        with pytest.raises(RowError) as error:
            row.parse()
        assert problem in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_a_text_of_nothing_is_empty(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadInput, match="is empty"):
        rows(tmp_path, content)


def test_text_that_only_begins_like_json_is_text(tmp_path: Path) -> None:
    found = rows(tmp_path, "[Verse 1]\nla la\n\n{Chorus}\nla\n")
    assert [row.parse()["text"] for row in found] == ["[Verse 1]\nla la", "{Chorus}\nla"]


def test_text_of_an_unknown_name_is_not_guessed_at(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no kind that can be told") as error:
        rows(tmp_path, "import os\n", "x.py")
    assert ".txt" in error.value.fix
