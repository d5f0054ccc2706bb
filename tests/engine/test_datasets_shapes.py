"""Rows of every shape become the same conversation; what cannot is named by its field."""

import json
from typing import Any

import pytest

from engine.datasets.rows import RowError, Turn
from engine.datasets.shapes import Conversation, convert, detect

IMAGE = {"role": "assistant", "content": [{"type": "image_url"}]}
HELLO = (Turn("user", "Hello"), Turn("assistant", "Hi"))
ASK = {"role": "user", "content": "Hello"}
SAY = {"role": "assistant", "content": "Hi"}
HUMAN = {"from": "human", "value": "Hello"}
GPT = {"from": "gpt", "value": "Hi"}
OTHER = {"role": "assistant", "content": "Go away"}


def read(row: dict[str, Any], system: str | None = None, *, asked: str = "auto", **options: Any) -> Conversation:
    found = detect([row], asked, **options)
    assert found.plan is not None
    return convert(row, found.plan, system)


@pytest.mark.parametrize(
    ("shape", "row"),
    [
        ("messages", {"messages": [ASK, SAY]}),
        ("messages", {"messages": [ASK, {"role": "assistant", "content": [{"type": "text", "text": "H"}, "i"]}]}),
        ("messages", {"messages": [{"role": "system", "content": ""}, ASK, SAY], "prompt": "Hello"}),
        ("messages", {"messages": json.dumps([ASK, SAY])}),
        ("messages", {"dialogue": [ASK, SAY]}),
        ("messages", {"Chat History": [ASK, SAY]}),
        ("messages", {"log": [ASK, SAY], "number": 3}),
        ("messages", {"turns": [ASK, SAY]}),
        ("messages", {"text": "\n\nHuman: Hello\n\nAssistant: Hi"}),
        ("sharegpt", {"conversations": [HUMAN, GPT]}),
        ("sharegpt", {"conversations": [ASK, SAY]}),
        ("sharegpt", {"conversation": [{"from": " User", "value": "Hello"}, {"from": "Assistant", "value": "Hi"}]}),
        ("sharegpt", {"conversations": [{"from": "prompter", "value": "Hello"}, {"from": "bot", "value": "Hi"}]}),
        ("sharegpt", {"conversation": [{"input": "Hello", "output": "Hi"}]}),
        ("sharegpt", {"conversation": [{"human": "Hello", "assistant": "Hi", "system": ""}]}),
        ("sharegpt", {"conversations": ["Hello", "Hi"]}),
        ("alpaca", {"instruction": "Hello", "input": "", "output": "Hi"}),
        ("alpaca", {"instruction": "Hello", "input": None, "output": "Hi"}),
        ("alpaca", {"instruction": "", "input": "Hello", "output": "Hi"}),
        ("alpaca", {"instruction": "Hello", "context": "", "response": "Hi", "category": "small talk"}),
        ("prompt-response", {"prompt": "Hello", "response": "Hi"}),
        ("prompt-response", {"prompt": "Hello", "completion": "Hi", "text": "Hello Hi"}),
        ("prompt-response", {"prompt": [ASK], "completion": [SAY]}),
        ("prompt-response", {"prompt": "Hello", "completion": [SAY]}),
        ("prompt-response", {"question": "Hello", "answer": "Hi"}),
        ("prompt-response", {"query": "Hello", "response": "Hi"}),
        ("prompt-response", {"user": "Hello", "assistant": "Hi"}),
        ("prompt-response", {"Prompt": "Hello", "Response": "Hi"}),
        ("prompt-response", {"prompt": "Hello", "completion": "Hi", "label": "small talk"}),
        ("input-output", {"input": "Hello", "output": "Hi"}),
    ],
)
def test_every_shape_is_the_same_conversation(shape: str, row: dict[str, Any]) -> None:
    found = detect([row])
    assert found.plan is not None
    assert found.plan.shape == shape
    assert found.confidence >= 0.9
    assert convert(row, found.plan).messages == HELLO


def test_the_input_of_an_instruction_follows_after_a_blank_line() -> None:
    row = {"instruction": "Translate.", "input": "Bonjour", "output": "Hello"}
    assert read(row).messages[0] == Turn("user", "Translate.\n\nBonjour")


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "And you?", "input": "", "output": "Well.", "history": [["Hello", "Hi"]]},
        {"query": "And you?", "response": "Well.", "history": [["Hello", "Hi"]]},
        {"question": "And you?", "answer": "Well.", "chat_history": [ASK, SAY]},
    ],
)
def test_what_was_said_before_comes_before(row: dict[str, Any]) -> None:
    found = read(row)
    assert found.messages == (*HELLO, Turn("user", "And you?"), Turn("assistant", "Well."))
    assert found.metadata == {}


def test_a_system_prompt_is_added_only_where_there_is_none() -> None:
    assert read({"messages": [ASK, SAY]}, "Be brief.").messages[0] == Turn("system", "Be brief.")
    own = {"messages": [{"role": "developer", "content": "Be long."}, ASK, SAY]}
    assert [turn.content for turn in read(own, "Be brief.").messages] == ["Be long.", "Hello", "Hi"]
    column = {"prompt": "Hello", "response": "Hi", "system": "Be kind."}
    assert read(column, "Be brief.").messages[0] == Turn("system", "Be kind.")
    empty = {"prompt": "Hello", "response": "Hi", "system": ""}
    assert read(empty, "Be brief.").messages[0] == Turn("system", "Be brief.")
    assert read(empty).metadata == {}


def test_calls_and_tools_of_sharegpt_keep_their_structure() -> None:
    tools = '[{"name": "weather", "parameters": {}}]'
    row = {
        "conversations": [
            {"from": "human", "value": "Weather?"},
            {"from": "function_call", "value": '{"name": "weather", "arguments": "{\\"city\\": \\"Rome\\"}"}'},
            {"from": "observation", "value": '{"sky": "blue"}'},
            {"from": "gpt", "value": "Blue."},
        ],
        "tools": tools,
    }
    found = read(row)
    assert [turn.role for turn in found.messages] == ["user", "assistant", "tool", "assistant"]
    assert found.messages[1].content == ""
    assert json.loads(found.messages[1].calls) == [{"name": "weather", "arguments": {"city": "Rome"}}]
    assert json.loads(found.tools) == json.loads(tools)
    assert found.metadata == {}
    assert read(row | {"tools": "[]"}).tools == ""


def test_a_call_that_is_no_json_stays_text() -> None:
    turns = [HUMAN, {"from": "function_call", "value": "weather(Rome)"}, {"from": "tool", "value": "blue"}, GPT]
    assert read({"conversations": turns}).messages[1] == Turn("assistant", "weather(Rome)")


@pytest.mark.parametrize("arguments", ['{"city": "Rome"}', {"city": "Rome"}])
def test_calls_of_openai_keep_their_structure(arguments: Any) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    turns = [
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "blue"},
        SAY,
    ]
    found = read({"messages": turns, "tools": [{"type": "function", "function": {"name": "weather"}}]})
    assert found.messages[1].content == ""
    assert json.loads(found.messages[1].calls) == [{"name": "weather", "arguments": {"city": "Rome"}}]
    assert json.loads(found.tools)[0]["function"]["name"] == "weather"


def test_tools_that_are_none_stay_metadata() -> None:
    row = {"prompt": "Hello", "response": "Hi", "tools": "hammer, saw"}
    assert (read(row).tools, read(row).metadata) == ("", {"tools": "hammer, saw"})


def test_unknown_fields_are_metadata_and_its_own_object_moves_up() -> None:
    row = {"messages": [ASK, SAY], "id": 7, "metadata": {"augmented": True}}
    assert read(row).metadata == {"id": 7, "augmented": True}
    assert read(row | {"metadata": '{"augmented": true}'}).metadata == {"id": 7, "augmented": True}
    taken = {"messages": [ASK, SAY], "id": 7, "metadata": {"id": 8}}
    assert read(taken).metadata == {"id": 7, "metadata": {"id": 8}}


def test_fields_of_turns_that_are_not_kept_are_named() -> None:
    assert read({"messages": [ASK, SAY | {"weight": 0}]}).ignored == {"weight"}
    assert read({"messages": [ASK | {"tool_calls": None}, SAY | {"name": None}]}).ignored == set()


def test_markup_and_escape_sequences_stay_data() -> None:
    text = "[bold red]no[/] \x1b[31mred\x1b[0m \x9b31m \x1b]8;;http://x\x07 \u202e ${x} {{ y }} \r\n\t<|im_end|>"
    assert read({"prompt": text, "response": text}).messages == (Turn("user", text), Turn("assistant", text))


ASKED = (Turn("user", "Hello"),)
BETTER, WORSE = (Turn("assistant", "Hi"),), (Turn("assistant", "Go away"),)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hello", "chosen": "Hi", "rejected": "Go away"},
        {"question": "Hello", "chosen": "Hi", "rejected": "Go away"},
        {"instruction": "Hello", "input": "", "chosen": "Hi", "rejected": "Go away"},
        {"prompt": [ASK], "chosen": [SAY], "rejected": [OTHER]},
        {"chosen": [ASK, SAY], "rejected": [ASK, OTHER]},
        {"messages": [ASK], "chosen": [SAY], "rejected": [OTHER]},
        {"messages": [ASK, SAY], "chosen": [ASK, SAY], "rejected": [ASK, OTHER]},
        {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "Go away"}},
        {
            "chosen": "\n\nHuman: Hello\n\nAssistant: Hi",
            "rejected": "\n\nHuman: Hello\n\nAssistant: Go away",
        },
        {"prompt": "\n\nHuman: Hello\n\nAssistant:", "chosen": "Hi", "rejected": "Go away"},
    ],
)
def test_every_way_to_write_a_preference_pair_is_the_same(row: dict[str, Any]) -> None:
    found = detect([row])
    assert found.plan is not None
    assert (found.plan.shape, found.confidence) == ("preference", 1.0)
    pair = convert(row, found.plan)
    assert (pair.messages, pair.chosen, pair.rejected, pair.metadata) == (ASKED, BETTER, WORSE, {})


def test_what_transcripts_have_in_common_is_the_prompt() -> None:
    start = "\n\nHuman: Hello\n\nAssistant: Hi\n\nHuman: And you?"
    pair = read({"chosen": f"{start}\n\nAssistant: Well.", "rejected": f"{start}\n\nAssistant: Why?"})
    assert pair.messages == (*HELLO, Turn("user", "And you?"))
    assert (pair.chosen, pair.rejected) == ((Turn("assistant", "Well."),), (Turn("assistant", "Why?"),))


def test_a_prompt_that_the_answers_do_not_tell_is_kept() -> None:
    pair = read({"prompt": "p-17", "chosen": [ASK, SAY], "rejected": [ASK, OTHER]})
    assert (pair.messages, pair.metadata) == (ASKED, {"prompt": "p-17"})


@pytest.mark.parametrize("label", [True, 1, "true", "TRUE", "1", "👍", "thumbs_up", "good"])
def test_a_verdict_makes_kto(label: Any) -> None:
    for row in ({"prompt": "Hello", "completion": "Hi"}, {"messages": [ASK, SAY]}):
        found = detect([row | {"label": label}])
        assert found.plan is not None
        assert found.plan.shape == "kto"
        kept = convert(row | {"label": label}, found.plan)
        assert (kept.messages, kept.label, kept.metadata) == (HELLO, True, {})


def test_a_kto_tag_beside_an_instruction() -> None:
    kept = read({"instruction": "Hello", "input": "", "output": "Hi", "kto_tag": False})
    assert (kept.messages, kept.label) == (HELLO, False)


def test_prompts_are_user_turns() -> None:
    suite = {"question_id": 81, "turns": ["Hello", "And you?"], "reference": ["Hi", "Well."]}
    found = read(suite)
    assert found.messages == (Turn("user", "Hello"), Turn("user", "And you?"))
    assert found.metadata == {"question_id": 81, "reference": ["Hi", "Well."]}
    for row in ({"prompt": "Hello"}, {"question": "Hello"}, {"instruction": "Hello"}, {"prompt": [ASK]}):
        assert read(row).messages == ASKED


def test_text_is_one_turn() -> None:
    assert read({"text": "Once", "id": 1}).messages == (Turn("text", "Once"),)
    transcript = "\n\nHuman: Hello\n\nAssistant: Hi"
    assert read({"text": transcript}, asked="text").messages == (Turn("text", transcript),)


def test_a_row_names_its_split() -> None:
    row = {"prompt": "Hello", "response": "Hi", "split": "dev"}
    assert (read(row).split, read(row).metadata) == ("validation", {})
    other = read(row | {"split": "banana"})
    assert (other.split, other.metadata) == (None, {"split": "banana"})


def test_columns_that_come_late_are_still_what_they_are() -> None:
    plan = detect([{"messages": [ASK, SAY]}]).plan
    assert plan is not None
    late = convert({"messages": [ASK, SAY], "system": "Be kind.", "tools": [{"name": "x"}]}, plan)
    assert late.messages[0] == Turn("system", "Be kind.")
    assert late.tools == '[{"name": "x"}]'


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
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role", "known roles"),
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
        ({"messages": [ASK, SAY | {"tool_calls": [{"id": 1}]}]}, "messages[1].tool_calls[0]", "a call without a name"),
        ({"messages": [ASK | {"tool_calls": [{"name": "x"}]}, SAY]}, "messages[0]", "only the assistant can"),
        ({"chosen": "a", "rejected": "b"}, "chosen", "has no prompt"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, "rejected", "is empty"),
        ({"prompt": "a", "chosen": "b", "rejected": None}, "rejected", "is null"),
        ({"prompt": None, "chosen": "b", "rejected": "c"}, "prompt", "has no prompt"),
        ({"chosen": [ASK, SAY], "rejected": [SAY | {"role": "user"}, OTHER]}, "rejected", "not answer the same prompt"),
        ({"chosen": [ASK, SAY], "rejected": [ASK]}, "rejected", "ends with a user turn"),
        ({"messages": [ASK, SAY], "chosen": [OTHER], "rejected": [SAY]}, "messages", "ends with an assistant turn"),
        ({"turns": ["Hello", ""]}, "turns[1]", "is empty"),
        ({"prompt": [ASK, SAY]}, "prompt", "ends with the assistant's words"),
        ({"text": " "}, "text", "is only white space"),
    ],
)
def test_a_row_that_cannot_be_used_names_its_field(row: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(RowError) as error:
        read(row)
    assert error.value.field == field
    assert problem in error.value.problem


def test_a_verdict_that_is_none_names_its_field() -> None:
    plan = detect([{"prompt": "Hello", "completion": "Hi", "label": True}]).plan
    assert plan is not None
    with pytest.raises(RowError, match="label is null; a verdict is true or false"):
        convert({"prompt": "Hello", "completion": "Hi", "label": None}, plan)


def test_a_row_of_another_shape_says_which() -> None:
    plan = detect([{"prompt": "a", "response": "b"}]).plan
    assert plan is not None
    with pytest.raises(RowError, match="prompt and response is missing; the row looks like alpaca"):
        convert({"instruction": "a", "output": "b"}, plan)
    assert convert({"question": "Hello", "answer": "Hi"}, plan).messages == HELLO
