"""A conversation without an app: what models are told of it, and how it is drawn."""

import pytest
from rich.cells import cell_len

from store.records import Message
from tui.widgets.chat_seats import Seat
from tui.widgets.chat_turns import Answer, Stage, Turn, messages_for, turns_of
from tui.widgets.conversation_lines import Against, columns_of, turn_lines


def test_a_model_is_told_only_what_it_answered_itself() -> None:
    stopped, failed = Answer("par", Stage.STOPPED), Answer("", Stage.FAILED, error="no")
    turns = [Turn("one", {0: Answer("1", Stage.DONE)}), Turn("two", {0: failed, 1: stopped}), Turn("three", {})]
    assert [m["content"] for m in messages_for(turns, 0, "")] == ["one", "1", "three"]
    assert [m["content"] for m in messages_for(turns, 1, "s")] == ["s", "two", "par", "three"]


def test_the_later_of_two_stored_answers_counts() -> None:
    stored = [
        Message("c", 0, -1, "user", "q", 1.0),
        Message("c", 1, 0, "assistant", "old", 1.0, 1),
        Message("c", 2, 0, "assistant", "new", 1.0),
    ]
    (turn,) = turns_of(stored)
    assert (turn.answers[0].text, turn.answers[0].stage) == ("new", Stage.STOPPED)


def test_columns_share_the_width_or_are_stacked() -> None:
    assert columns_of(118, 3) == [37, 37, 38]
    assert columns_of(78, 2) == [37, 38]
    assert columns_of(78, 3) == []
    assert columns_of(20, 1) == [20]


def drawn(text: str, width: int = 40, stage: Stage = Stage.DONE) -> list[list[tuple[str, str]]]:
    return turn_lines(Turn("q", {0: Answer(text, stage)}), [Seat("base", "base", "starter")], width)[1:-1]


def test_answers_are_drawn_as_markdown_while_they_stream() -> None:
    lines = drawn("# Head\n- **bold** word\n```py\nx = 1 # `no`", stage=Stage.WRITING)
    flat = ["".join(text for text, _ in line).rstrip() for line in lines]
    assert flat == ["Head", "• bold word", "py", "▎ x = 1 # `no`▌"]
    tones = {text.strip(): tone for line in lines for text, tone in line}
    assert tones["bold"] == "bold" and tones["Head"] == "bold underline" and tones["x = 1 # `no`▌"] == "$text-accent"


@pytest.mark.parametrize(
    "evil",
    [
        "\x1b[2Jx",
        "\x1b]8;;http://e\x1b\\x\x1b]8;;\x1b\\",
        "\x1b]52;c;aGk=\x07x",
        "\x9b2Jx",
        "\x9d52;c;x\x9cx",
        "x\x00\r",
    ],
)
def test_no_control_character_is_drawn(evil: str) -> None:
    for against in Against:
        turn = Turn(evil, {0: Answer(evil, Stage.DONE), 1: Answer(f"{evil}b", Stage.DONE)}, earlier={1: [Answer(evil)]})
        seats = [Seat("base", evil, "m"), Seat("r", evil, "m", place=1, letter="A", knowledge=evil)]
        for width in (40, 100):
            text = "".join(text for line in turn_lines(turn, seats, width, against) for text, _ in line)
            assert "x" in text and text.isprintable()


TABLE = """\
Plans:

| Plan | Price | What is in it |
|:-----|------:|:-------------:|
| **Basic** | 5 € | one `user` |
| a \\| b | 12.50 € |
| 日本語 | 7 € | ten users, and more words than one line has room for | left out |
that was all"""


def laid_out(text: str, width: int) -> list[str]:
    turn = Turn("", {0: Answer(text, Stage.DONE)})
    lines = ["".join(piece for piece, _ in line) for line in turn_lines(turn, [Seat("base", "base", "m")], width)]
    return [line.rstrip() for line in lines][1:-1]


def test_tables_stand_in_columns() -> None:
    lines = laid_out(TABLE, 100)
    assert lines[2:7] == [
        "Plan      Price                     What is in it",
        "──────  ───────  ────────────────────────────────────────────────────",
        "Basic       5 €                        one user",
        "a | b   12.50 €",
        "日本語      7 €  ten users, and more words than one line has room for",
    ]
    assert lines[0] == "Plans:" and lines[7:] == ["that was all"]


@pytest.mark.parametrize("width", [20, 25, 31, 40, 80])
def test_tables_fit_the_width_and_keep_every_word(width: int) -> None:
    lines = laid_out(TABLE, width)
    assert all(cell_len(line) <= width for line in lines)
    said = " ".join(lines)
    assert all(word in said for word in ("Basic", "a | b", "12.50", "more", "room", "that was all"))
    assert ("──  ──" in said) == (width > 20), "without room for columns a row is told line by line"


def test_a_table_that_is_still_coming_and_what_is_none() -> None:
    for whole in ("| a | b |", "| a | b |\n|---|", "a | b\nc | d", "| a |\n|---|---|\n| b |", "```\n| a |\n|---|\n```"):
        assert not any("──" in line for line in laid_out(whole, 40)), whole
        assert "a" in " ".join(laid_out(whole, 40))
    assert laid_out("a | b\n--|--", 40) == ["a  b", "─  ─"]
    assert laid_out("|" * 3000 + "\n" + "|-" * 3000 + "|", 40), "a table of nothing but bars"
