"""Rows of every shape become the same conversation; what cannot is named by its field."""

from typing import Any

import pytest

from engine.datasets.rows import RowError, Turn
from engine.datasets.shapes import choose_shape, convert, describe_mapping, shape_of
from engine.errors import BadInput

IMAGE = {"role": "assistant", "content": [{"type": "image_url"}]}
HELLO = (Turn("user", "Hello"), Turn("assistant", "Hi"))
ASK = {"role": "user", "content": "Hello"}
SAY = {"role": "assistant", "content": "Hi"}


def shaped(row: dict[str, Any], system: str | None = None) -> tuple[Turn, ...]:
    shape = shape_of(row)
    assert shape is not None
    return convert(row, shape, system).messages


@pytest.mark.parametrize(
    ("shape", "row"),
    [
        ("messages", {"messages": [ASK, SAY]}),
        ("messages", {"messages": [ASK, {"role": "assistant", "content": [{"type": "text", "text": "H"}, "i"]}]}),
        ("messages", {"messages": [{"role": "system", "content": ""}, ASK, SAY], "prompt": "Hello"}),
        ("sharegpt", {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]}),
        ("sharegpt", {"conversations": [ASK, SAY]}),
        ("sharegpt", {"conversation": [{"from": " User", "value": "Hello"}, {"from": "Assistant", "value": "Hi"}]}),
        ("alpaca", {"instruction": "Hello", "input": "", "output": "Hi"}),
        ("alpaca", {"instruction": "Hello", "input": None, "output": "Hi"}),
        ("alpaca", {"instruction": "", "input": "Hello", "output": "Hi"}),
        ("alpaca", {"instruction": "Hello", "context": "", "response": "Hi", "category": "small talk"}),
        ("prompt-response", {"prompt": "Hello", "response": "Hi"}),
        ("prompt-response", {"prompt": "Hello", "completion": "Hi"}),
        ("prompt-response", {"prompt": [ASK], "completion": [SAY]}),
        ("prompt-response", {"question": "Hello", "answer": "Hi"}),
        ("prompt-response", {"user": "Hello", "assistant": "Hi"}),
        ("input-output", {"input": "Hello", "output": "Hi"}),
    ],
)
def test_every_shape_is_the_same_conversation(shape: str, row: dict[str, Any]) -> None:
    assert shape_of(row) == shape
    assert shaped(row) == HELLO


def test_the_input_of_an_instruction_follows_after_a_blank_line() -> None:
    row = {"instruction": "Translate.", "input": "Bonjour", "output": "Hello"}
    assert shaped(row)[0] == Turn("user", "Translate.\n\nBonjour")


def test_history_comes_before_the_instruction() -> None:
    row = {"instruction": "And you?", "input": "", "output": "Well.", "history": [["Hello", "Hi"]]}
    assert shaped(row) == (*HELLO, Turn("user", "And you?"), Turn("assistant", "Well."))
    assert convert(row, "alpaca").metadata == {}


def test_a_system_prompt_is_added_only_where_there_is_none() -> None:
    assert shaped({"messages": [ASK, SAY]}, "Be brief.")[0] == Turn("system", "Be brief.")
    own = {"messages": [{"role": "developer", "content": "Be long."}, ASK, SAY]}
    assert [turn.content for turn in shaped(own, "Be brief.")] == ["Be long.", "Hello", "Hi"]
    column = {"prompt": "Hello", "response": "Hi", "system": "Be kind."}
    assert shaped(column, "Be brief.")[0] == Turn("system", "Be kind.")


def test_tool_calls_are_turns_of_text_and_the_tools_stay_with_the_row() -> None:
    row = {
        "conversations": [
            {"from": "human", "value": "Weather?"},
            {"from": "function_call", "value": '{"name": "weather"}'},
            {"from": "observation", "value": '{"sky": "blue"}'},
            {"from": "gpt", "value": "Blue."},
        ],
        "tools": "[]",
    }
    found = convert(row, "sharegpt")
    assert [turn.role for turn in found.messages] == ["user", "assistant", "tool", "assistant"]
    assert found.messages[1].content == '{"name": "weather"}'
    assert found.metadata == {"tools": "[]"}


def test_tool_calls_of_an_assistant_without_text_are_kept() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    turns = [
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "blue"},
        SAY,
    ]
    assert shaped({"messages": turns})[1] == Turn("assistant", '{"name": "weather", "arguments": "{}"}')


def test_unknown_fields_are_metadata_and_its_own_object_moves_up() -> None:
    row = {"messages": [ASK, SAY], "id": 7, "metadata": {"augmented": True}}
    assert convert(row, "messages").metadata == {"id": 7, "augmented": True}
    taken = {"messages": [ASK, SAY], "id": 7, "metadata": {"id": 8}}
    assert convert(taken, "messages").metadata == {"id": 7, "metadata": {"id": 8}}


def test_fields_of_turns_that_are_not_kept_are_named() -> None:
    assert convert({"messages": [ASK, SAY | {"weight": 0}]}, "messages").ignored == {"weight"}


def test_markup_and_escape_sequences_stay_data() -> None:
    text = "[bold red]no[/] \x1b[31mred\x1b[0m \u202e ${x} {{ y }} \r\n\t<|im_end|>"
    assert shaped({"prompt": text, "response": text}) == (Turn("user", text), Turn("assistant", text))


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        ({"messages": None}, "messages", "is null, not a list"),
        ({"messages": "Hello"}, "messages", "is text, not a list"),
        ({"messages": []}, "messages", "is empty"),
        ({"messages": [None]}, "messages[0]", "is null, not a turn"),
        ({"messages": [{}]}, "messages[0]", "has no role"),
        ({"messages": [{"role": None, "content": None}]}, "messages[0].role", "has no role"),
        ({"messages": [{"role": 3, "content": "x"}]}, "messages[0].role", "is 3; known roles"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role", "'narrator'"),
        ({"messages": [{"role": "user"}]}, "messages[0]", "has no content"),
        ({"messages": [ASK, {"role": "assistant", "content": None}]}, "messages[1].content", "is null"),
        ({"messages": [ASK, {"role": "assistant", "content": ""}]}, "messages[1].content", "is empty"),
        ({"messages": [ASK, {"role": "assistant", "content": " \n\t"}]}, "messages[1].content", "is only white space"),
        ({"messages": [ASK, {"role": "assistant", "content": 4}]}, "messages[1].content", "is a number"),
        ({"messages": [ASK, {"role": "assistant", "content": {"a": 1}}]}, "messages[1].content", "is an object"),
        ({"messages": [ASK, IMAGE]}, "messages[1].content[0]", "'image_url'"),
        ({"messages": [ASK, {"role": "assistant", "content": [None]}]}, "messages[1].content[0]", "is not a part"),
        ({"messages": [ASK]}, "messages", "has no assistant turn"),
        ({"messages": [ASK, SAY, ASK]}, "messages", "ends with a user turn"),
        ({"messages": [ASK, {"role": "assistant", "content": "a\0b"}]}, "messages[1].content", "has a NUL"),
        ({"prompt": "a", "response": "a\ud800"}, "response", "half a character (\\ud800)"),
        ({"prompt": "Hello", "response": None}, "response", "is null"),
        ({"instruction": "", "input": "", "output": "Hi"}, "instruction", "is empty"),
        ({"instruction": "Hello", "input": 3, "output": "Hi"}, "input", "is a number"),
        ({"instruction": "Hello", "output": "Hi", "history": [["Hello"]]}, "history[0]", "is not a pair"),
        ({"messages": [ASK, SAY | {"tool_calls": "x"}]}, "messages[1].tool_calls", "is not a list"),
    ],
)
def test_a_row_that_cannot_be_used_names_its_field(row: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(RowError) as error:
        shaped(row)
    assert error.value.field == field
    assert problem in error.value.problem


def test_a_row_of_another_shape_says_which() -> None:
    with pytest.raises(RowError, match="prompt and response is missing; the row looks like alpaca"):
        convert({"instruction": "a", "output": "b"}, "prompt-response")


def test_the_shape_most_rows_have_is_chosen() -> None:
    rows = [{"text": "a"}, {"prompt": "a", "response": "b"}, {"prompt": "c", "response": "d"}]
    assert choose_shape(rows, "auto", "x") == "prompt-response"


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        ([{"chosen": "a", "rejected": "b", "prompt": "c"}], "auto", "preference pairs"),
        ([{"text": "a"}], "auto", "plain text without turns"),
        ([{"prompt": "a", "response": "b"}], "text", "plain text without turns"),
        ([{"turns": ["a"], "id": 1}], "auto", "They have turns, id."),
        ([{"messages": []}], "alpaca", "instruction and output"),
        ([{"messages": []}], "alpaca", "look like messages"),
        ([{"prompt": "a"}], "prompt-response", "lack what the shape prompt-response needs: response"),
        ([{"messages": []}], "chatml", "There is no shape 'chatml'"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(rows: list[dict[str, Any]], asked: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        choose_shape(rows, asked, "x.jsonl")
    assert message in str(error.value)
    assert error.value.fix


def test_the_mapping_shows_what_becomes_what() -> None:
    row = {"instruction": "a", "input": "b", "output": "c", "system": "s", "source": "web"}
    assert describe_mapping(row, "alpaca") == {
        "user": "instruction + input",
        "assistant": "output",
        "system": "system",
        "metadata": "source",
    }
