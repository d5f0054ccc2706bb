"""Characters for terminals that know few."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len

import tui
from tui.stand_ins import stand_in, use_stand_ins
from tui.widgets.braille import CHARS


def test_what_finetui_says_has_a_stand_in_of_the_same_width() -> None:
    files = [file for root in tui.__path__ for file in Path(root).rglob("*.py")]
    used = {character for file in files for character in file.read_text(encoding="utf-8") if ord(character) > 127}
    assert len(used) > 40
    assert {one for one in used if cell_len(stand_in(one)) != cell_len(one)} == set()
    assert {one for one in used if "?" in stand_in(one)} == set()


@pytest.mark.parametrize(("text", "shown"), [("é", "e"), ("表", "??"), ("🙂", "??"), ("\u0301", ""), ("≠", "!")])
def test_what_others_say_keeps_its_width(text: str, shown: str) -> None:
    assert stand_in(text) == shown
    assert cell_len(shown) == cell_len(text)


def test_braille_keeps_its_height() -> None:
    assert [stand_in(one) for one in "⠉⣀⣿⠀"] == ["'", ".", ":", " "]
    assert all(len(stand_in(one)) == 1 for one in CHARS)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("ascii", b"-> e+ ** 'A"), ("latin-1", b"-> \xe9\xb1 ** 'A"), ("utf-8", "─> é± ●★ ⠉A".encode())],
)
def test_only_what_the_encoding_lacks_is_replaced(encoding: str, written: bytes) -> None:
    bytes_ = io.BytesIO()
    file = io.TextIOWrapper(bytes_, encoding=encoding, errors="backslashreplace")
    use_stand_ins(file)
    file.write("─> é± ●★ ⠉A")
    file.flush()
    assert bytes_.getvalue() == written
