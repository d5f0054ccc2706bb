"""A conversation without an app: what models are told of it, and how it is drawn."""

import pytest

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
