"""Which shape a source has, how sure that is, and what a person's mapping changes."""

from typing import Any

import pytest

from engine.datasets.rows import Turn
from engine.datasets.shapes import SURE, convert, detect, suggestion
from engine.errors import BadInput

ASK = {"role": "user", "content": "Hello"}
SAY = {"role": "assistant", "content": "Hi"}
Rows = list[dict[str, Any]]


def test_the_shape_most_rows_have_is_chosen_and_the_others_are_told() -> None:
    rows: Rows = [{"text": "a"}, {"prompt": "a", "response": "b"}, {"prompt": "c", "response": "d"}]
    found = detect(rows)
    assert found.plan is not None
    assert found.plan.shape == "prompt-response"
    assert found.confidence == 0.67
    assert found.reasons == [
        "of 3 rows looked at 2 are prompt-response, 1 are text",
        "1 of 3 rows looked at cannot be used",
    ]
    assert not found.guessed  # the names are known: the rows that do not fit are named by the import


@pytest.mark.parametrize(
    ("row", "shape", "mapping"),
    [
        ({"messages": [ASK, SAY], "prompt": "x", "text": "y"}, "messages", {"messages": "messages"}),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "messages": [ASK, SAY]}, "preference", None),
        ({"instruction": "a", "input": "b", "output": "c"}, "alpaca", None),
        ({"prompt": "a", "completion": "b", "label": True}, "kto", None),
        ({"text": "a", "label": 1}, "text", {"text": "text"}),
        ({"prompt": "a", "response": "b", "conversation": "c-17"}, "prompt-response", None),
        ({"prompt": "a", "response": "b", "turns": 2}, "prompt-response", None),
    ],
)
def test_of_several_shapes_that_fit_the_richest_is_taken(
    row: dict[str, Any], shape: str, mapping: dict[str, str] | None
) -> None:
    found = detect([row])
    assert found.plan is not None
    assert (found.plan.shape, found.confidence) == (shape, 1.0)
    assert mapping is None or found.plan.columns == mapping


def test_a_label_with_more_than_two_values_is_no_verdict() -> None:
    rows: Rows = [{"prompt": "a", "completion": "b", "label": label} for label in (0, 1, 2)]
    found = detect(rows)
    assert found.plan is not None
    assert found.plan.shape == "prompt-response"
    assert convert(rows[0], found.plan).metadata == {"label": 0}


@pytest.mark.parametrize(
    ("row", "shape", "columns"),
    [
        (
            {"Question text": "Why?", "Reply": "So."},
            "prompt-response",
            {"prompt": "Question text", "response": "Reply"},
        ),
        (
            {"c1": "Why is it so?", "c2": "It is so for a reason."},
            "prompt-response",
            {"prompt": "c1", "response": "c2"},
        ),
        ({"userQuery": "a", "modelOutput": "b"}, "prompt-response", {"prompt": "userQuery", "response": "modelOutput"}),
        ({"prompt": "a", "gpt4_response": "b"}, "prompt-response", {"prompt": "prompt", "response": "gpt4_response"}),
        ({"id": "x-1", "body": "A long story."}, "text", {"text": "body"}),
        ({"id": "x-1", "data": ["a", "b", "c", "d"]}, "messages", {"messages": "data"}),
        (
            {"User Question": "a?", "response_good": "b", "response_bad": "c"},
            "preference",
            {"prompt": "User Question", "chosen": "response_good", "rejected": "response_bad"},
        ),
        (
            {"message": {"question": "a?"}, "reply": {"answer": "b c d"}},
            "prompt-response",
            {"prompt": "message.question", "response": "reply.answer"},
        ),
    ],
)
def test_unknown_columns_are_a_guess_that_says_why(row: dict[str, Any], shape: str, columns: dict[str, str]) -> None:
    found = detect([row])
    assert found.plan is not None
    assert (found.plan.shape, found.plan.columns) == (shape, columns)
    assert found.guessed
    assert found.confidence < SURE
    assert len(found.reasons) == len(columns)


def test_names_that_differ_in_case_are_known() -> None:
    found = detect([{"Question": "Why?", "Answer": "So."}])
    assert (found.confidence, found.guessed) == (0.9, False)
    assert found.reasons == ["'Question' is taken for question", "'Answer' is taken for answer"]


def test_the_guess_can_be_typed() -> None:
    plan = detect([{"Question text": "Why?", "Reply": "So."}]).plan
    assert plan is not None
    assert suggestion(plan) == "--map 'prompt=Question text' --map response=Reply"


def test_rows_of_numbers_have_no_shape() -> None:
    found = detect([{"a": 1, "b": [2]}])
    assert (found.plan, found.confidence, found.guessed) == (None, 0.0, True)


def test_a_text_beside_a_prompt_is_asked_about() -> None:
    found = detect([{"text": "Once", "prompt": "Tell a story."}])
    assert found.plan is not None
    assert (found.plan.shape, found.guessed) == ("text", True)
    assert "'prompt', which may be its prompt" in found.reasons[0]


def test_prompts_beside_something_like_answers_are_asked_about() -> None:
    found = detect([{"question": "Why?", "answers": {"text": ["So."], "start": [3]}}])
    assert found.plan is not None
    assert (found.plan.shape, found.guessed) == ("prompts", True)
    assert found.reasons[0] == "'answers' may hold the answers"


def test_transcripts_among_texts_stay_text() -> None:
    found = detect([{"text": "\n\nHuman: Hello\n\nAssistant: Hi"}, {"text": "Once"}])
    assert found.plan is not None
    assert found.plan.shape == "text"
    alone = detect([{"text": "\n\nHuman: Hello\n\nAssistant: Hi"}])
    assert "transcript" in alone.reasons[0]


@pytest.mark.parametrize(
    ("row", "mapping", "shape", "turns"),
    [
        ({"Q": "Hello", "A": "Hi"}, {"prompt": "Q", "response": "A"}, "prompt-response", "user assistant"),
        (
            {"Q": "Hello", "A": "Hi", "S": "x"},
            {"prompt": "Q", "response": "A", "system": "S"},
            "prompt-response",
            "system user assistant",
        ),
        ({"Q": "Hello", "answer": "Hi"}, {"prompt": "Q"}, "prompt-response", "user assistant"),
        ({"prompt": "Hello", "A": "Hi"}, {"response": "A"}, "prompt-response", "user assistant"),
        ({"prompt": "Hello", "response": "Hi", "S": "x"}, {"system": "S"}, "prompt-response", "system user assistant"),
        ({"question": "Hello", "answer": "Hi", "context": "x"}, {"context": "context"}, "alpaca", "user assistant"),
        ({"messages": [ASK, SAY], "log": [SAY, ASK, SAY]}, {"messages": "log"}, "messages", "assistant user assistant"),
        ({"messages": [ASK, SAY], "good": 1}, {"label": "good"}, "kto", "user assistant"),
        (
            {"a": {"b": {"c": "Hello"}}, "d": "Hi"},
            {"prompt": "a.b.c", "response": "d"},
            "prompt-response",
            "user assistant",
        ),
        ({"body": "Once"}, {"text": "body"}, "text", "text"),
        ({"Q": "Hello"}, {"prompt": "Q"}, "prompts", "user"),
        ({"Q": "Hello", "win": "a", "rejected": "b"}, {"prompt": "Q", "chosen": "win"}, "preference", "user"),
    ],
)
def test_a_mapping_comes_first(row: dict[str, Any], mapping: dict[str, str], shape: str, turns: str) -> None:
    found = detect([row], mapping=mapping)
    assert found.plan is not None
    assert (found.plan.shape, found.confidence, found.guessed) == (shape, 1.0, False)
    assert found.plan.columns.items() >= mapping.items()
    assert " ".join(turn.role for turn in convert(row, found.plan).messages) == turns


def test_what_a_dotted_column_leaves_is_metadata() -> None:
    row = {"message": {"text": "Hello", "id": 1}, "reply": {"text": "Hi"}}
    plan = detect([row], mapping={"prompt": "message.text", "response": "reply.text"}).plan
    assert plan is not None
    found = convert(row, plan)
    assert found.messages == (Turn("user", "Hello"), Turn("assistant", "Hi"))
    assert found.metadata == {"message": {"id": 1}}
    assert row["message"] == {"text": "Hello", "id": 1}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"prompt": "nope"}, "x has no column 'nope'"),
        ({"question": "a"}, "There is no field 'question' to map"),
        ({"response": "a"}, "response alone make no rows"),
        ({"messages": "a", "prompt": "b"}, "no place for prompt"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        detect([{"a": "Hello", "b": 3}], mapping=mapping, source="x")
    assert error.value.fix


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        ([{"messages": []}], "alpaca", "instruction and output"),
        ([{"messages": []}], "alpaca", "look like messages"),
        ([{"prompt": "a"}], "prompt-response", "lack what the shape prompt-response needs: response"),
        ([{"messages": []}], "chatml", "There is no shape 'chatml'"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(rows: Rows, asked: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        detect(rows, asked, source="x.jsonl")
    assert message in str(error.value)
    assert error.value.fix


def test_a_shape_that_is_asked_for_is_taken() -> None:
    row = {"prompt": "a", "response": "b", "text": "c", "label": 1}
    for asked in ("prompt-response", "text", "kto", "prompts"):
        plan = detect([row], asked).plan
        assert plan is not None
        assert plan.shape == asked
