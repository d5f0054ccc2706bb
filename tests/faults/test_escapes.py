"""Row 16 without a screen: the function that cleans, the last look at a line, `--json`, notices."""

import io
import json
from dataclasses import astuple

import pytest
from rich.segment import Segment
from textual.color import Color

from engine.notices import notice as notices
from engine.text import clean, clean_line
from tests.faults.hostile import CONTROLS, SHOWN, STORM, SURROGATE, evil_json, harm_in
from tui.cli.output import write_json
from tui.harmless import Harmless
from tui.notices import notification


@pytest.mark.parametrize("name", CONTROLS)
def test_row_16_each_sequence_is_taken_out_whole(name: str) -> None:
    assert clean_line(f"a{CONTROLS[name]}b{SHOWN}") == f"ab{SHOWN}"


def test_row_16_accents_are_kept_as_far_as_languages_have_them() -> None:
    assert clean("Tiếng Việt, ŏ̷̀, שָׁלוֹם") == "Tiếng Việt, ŏ̷̀, שָׁלוֹם"
    assert clean(f"a{STORM}b") == "ae" + "\u0301" * 4 + "b"
    assert clean(f"a{SURROGATE}b") == "a\ufffdb"


def test_row_16_no_line_is_written_with_a_command_in_it_and_each_keeps_its_width() -> None:
    harmless, background = Harmless(), Color(0, 0, 0)
    plain = [Segment("│ naïve 表 🙂 ⠉"), Segment("[b]x")]
    assert harmless.apply(plain, background) is plain
    hostile = [Segment("│"), Segment("".join(CONTROLS.values()) + SHOWN + SURROGATE), Segment("b\n")]
    drawn = harmless.apply(hostile, background)
    assert harm_in("".join(one.text for one in drawn), storms=False) == []
    assert [one.cell_length for one in drawn] == [one.cell_length for one in hostile]
    assert SHOWN in drawn[1].text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_row_16_a_json_document_has_only_escapes_and_all_of_the_text(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", out)
    document = {evil_json("key"): [evil_json("value")]}
    write_json(document)
    out.seek(0)
    written = out.read()
    assert harm_in(written, storms=False) == []
    assert json.loads(written) == document


def test_row_16_notices_are_of_one_line_and_close_no_sequence_early() -> None:
    text = evil_json("x")
    made = (
        notices.ended("r1", text, took_s=1.0, best=1.0, best_step=3),
        notices.failed("r1", text, status="failed", reason=text, code="error", fix=text),
        notices.stalled("r1", text, since=1.0, status="training"),
        notices.finding("r1", text, code="leak", level="warning", title=text, why=text, offer=text, status="training"),
    )
    for one in made:
        assert harm_in("".join(map(str, astuple(one)))) == [], one
        assert "[b]x[/]" in one.title
        for way in ("osc9", "osc777"):
            sent = notification(one, way, {})
            assert sent.startswith("\x1b]") and sent.endswith("\x07")
            assert harm_in(sent[1:-1]) == []
