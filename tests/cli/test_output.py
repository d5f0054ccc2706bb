"""Tables, JSON and the progress line."""

import io
import json
import sys

import pytest
from rich.cells import cell_len

from tui.cli.output import Progress, fields, paint, table, write_json


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_columns_are_aligned_in_cells_not_characters() -> None:
    text = table(("NAME", "N", "END"), [("日本", "1", "x"), ("a🙂", "100", "y")], right=("N",))
    lines = text.splitlines()
    assert [line[-1] for line in lines[1:]] == ["x", "y"]
    assert len({cell_len(line[:-1]) for line in lines[1:]}) == 1
    assert lines[1].endswith("    1  x") and lines[2].endswith("  100  y")


def test_a_cell_is_one_clean_line() -> None:
    text = table(("A", "B"), [("x\x1b[31m\ny\x07", "z\u202e")])
    assert text.splitlines() == ["A    B", "x y  z"]


def test_a_narrow_terminal_gets_fewer_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    head, rows = ("NAME", "A", "B", "ID"), [("x" * 10, "y" * 10, "z" * 10, "i" * 10)]
    whole = table(head, rows, optional=("B", "A"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", Terminal())
    for width, names in ((50, "NAME A B ID"), (46, "NAME A B ID"), (45, "NAME A ID"), (20, "NAME ID")):
        monkeypatch.setenv("COLUMNS", str(width))
        assert table(head, rows, optional=("B", "A")).splitlines()[0].split() == names.split()
    monkeypatch.setenv("COLUMNS", "80")
    assert table(head, rows, optional=("B", "A")) == whole


def test_fields_leave_out_what_is_not_there() -> None:
    assert fields([("name", "x"), ("reason", ""), ("more", None), ("zero", 0)]) == "name  x\nzero  0"
    assert fields([("a", "one\ntwo")]) == "a  one\n   two"


def test_no_colour_but_on_a_terminal_that_wants_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("x", "red", io.StringIO()) == "x"
    assert paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "red", Terminal()) == "x"


def test_json_is_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    write_json({"a": float("inf"), "b": [float("nan"), 1.5, ("x\x1b", "🙂\x9b")]})
    assert json.loads(out.getvalue(), parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5, ["x\x1b", "🙂\x9b"]]}
    assert "🙂" in out.getvalue() and not {"\x1b", "\x9b"} & set(out.getvalue())


def test_the_bar_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Progress() as progress:
        progress.update("training", 0.5, "step 5/10\x1b[2J")
        progress.update("training", 0.6, "x" * 200)
    drawn = screen.getvalue().split("\r\x1b[2K")
    assert "█████" in drawn[1] and "50%" in drawn[1] and "step 5/10" in drawn[1] and "[2J" not in drawn[1]
    assert max(cell_len(part) for part in drawn) < 60
    assert drawn[-1] == "", "the line is gone at the end"


def test_elsewhere_a_phase_is_a_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress() as progress:
        for step in range(5):
            progress.update("loading", step / 5)
        progress.update("training", 0.1)
        progress.update("loading", 0.9)
    assert pipe.getvalue() == "loading\ntraining\n"
