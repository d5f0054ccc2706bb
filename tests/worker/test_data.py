"""What of a dataset version reaches the trainer, and what is refused before a model is loaded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.datasets.parquet import RowWriter
from engine.datasets.rows import Row, Turn
from engine.worker import starter
from engine.worker.data import load_data, sample_conversations
from engine.worker.refusal import Refusal
from engine.worker.stages import refuse_packed_stages, stage_sampler
from engine.worker.supervision import check_supervision
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train

USER, ANSWER = Turn("user", "q"), Turn("assistant", "a")
CALL = json.dumps([{"name": "find", "arguments": {"x": 1.1, "y": None}}])
TOOLS = json.dumps([{"name": "find", "parameters": {"type": "object"}}])
TAKES_TOOLS = """\
{% if tools %}{{ tools | tojson }}{% endif %}
{% for m in messages %}{% if m.role == 'assistant' %}
{% generation %}{{ m.content }}{{ m.tool_calls | tojson if m.tool_calls }}<|im_end|>{% endgeneration %}
{% else %}{{ raise_exception('No system turns') if m.role == 'system' }}{{ m.content }}{% endif %}{% endfor %}"""


@pytest.fixture(scope="module")
def tokenizer(tiny_model: TinyModel) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model.base)
    tokenizer.chat_template = starter.CHAT_TEMPLATE
    return tokenizer


@pytest.fixture
def takes_tools(tokenizer: Any) -> Any:
    from copy import deepcopy

    tokenizer = deepcopy(tokenizer)
    tokenizer.chat_template = TAKES_TOOLS
    return tokenizer


def written(folder: Path, *rows: Row) -> Path:
    with RowWriter(folder / "data.parquet") as writer:
        for row in rows:
            writer.write_row(row)
    return folder


def talk(*turns: Turn, split: str = "train", **more: Any) -> Row:
    return Row(0, split, turns or (USER, ANSWER), {}, **more)


class Written:
    """Stands for the run's event log."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def write(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})


def test_splits_and_what_has_no_wanted_answer(tokenizer: Any, tmp_path: Path) -> None:
    rows = [talk(), talk(split="validation"), talk(split="test"), talk(USER), talk(label=False), talk(label=True)]
    data = load_data(written(tmp_path, *rows), tokenizer)
    assert (len(data.train), data.left_out, data.staged, data.conversational) == (2, 2, False, True)
    assert data.validation is not None and len(data.validation) == 1
    assert data.train.column_names == ["messages"]
    assert data.train[0]["messages"] == [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def test_versions_of_before_still_load(tokenizer: Any, tmp_path: Path) -> None:
    messages = [[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]]
    pq.write_table(pa.table({"messages": messages, "split": ["train"]}), tmp_path / "data.parquet")
    data = load_data(tmp_path, tokenizer)
    assert data.train[0]["messages"] == messages[0] and data.validation is None


def test_calls_reach_the_template_to_the_last_digit(takes_tools: Any, tmp_path: Path) -> None:
    odd = {"x": 0.1234567890123456789, "big": 12345678901234567890123, "deep": [{"a": None}], "u": "é"}
    calls = [json.dumps([{"name": "find", "arguments": arguments}]) for arguments in (odd, {"other": "1"}, {})]
    rows = [talk(USER, Turn("assistant", "", call), Turn("tool", "1"), ANSWER, tools=TOOLS) for call in calls]
    data = load_data(written(tmp_path, *rows, talk()), takes_tools)
    assert set(data.train.column_names) == {"messages", "tools"}
    found = [row["messages"][1]["tool_calls"] for row in data.train]
    assert [calls[0]["function"]["arguments"] for calls in found[:3]] == [odd, {"other": "1"}, {}] and not found[3]
    assert data.train[0]["messages"][2]["name"] == "find"
    assert json.loads(data.train[0]["tools"]) == [
        {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    ]
    assert data.train[3]["tools"] is None


def test_calls_are_words_where_the_template_takes_none(tokenizer: Any, tmp_path: Path) -> None:
    data = load_data(written(tmp_path, talk(USER, Turn("assistant", "", CALL), tools=TOOLS)), tokenizer)
    assert data.train.column_names == ["messages"]
    call = '{"name": "find", "arguments": {"x": 1.1, "y": null}}'
    assert data.train[0]["messages"][1]["content"] == f"<tool_call>\n{call}\n</tool_call>"


def test_pairs_and_plain_text(tokenizer: Any, tmp_path: Path) -> None:
    pair = talk(USER, chosen=(ANSWER,), rejected=(Turn("assistant", "no"),))
    (tmp_path / "pairs").mkdir()
    data = load_data(written(tmp_path / "pairs", pair), tokenizer)
    assert [message["content"] for message in data.train[0]["messages"]] == ["q", "a"]
    text = load_data(written(tmp_path, talk(Turn("text", "once"))), tokenizer)
    assert text.train[:] == {"text": ["once"]} and not text.conversational
    assert sample_conversations((), None, text.train) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([talk(USER)], "suite of prompts"),
        ([talk(USER, split="test")], "suite of prompts"),
        ([talk(split="validation")], "no training rows"),
        ([talk(split="test")], "kept for testing"),
        ([talk(label=False)], "answer to learn"),
        ([talk(), talk(Turn("text", "t"))], "one or the other"),
        ([talk(), talk(Turn("system", "s"), USER, ANSWER)], "Row 2: .* refuses this conversation.*No system turns"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(takes_tools: Any, tmp_path: Path, rows: Sequence[Row], said: str) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        load_data(written(tmp_path, *rows), takes_tools)
    assert caught.value.fix and caught.value.code


def test_a_file_that_is_gone(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="file is gone"):
        load_data(tmp_path, tokenizer)


def test_samples_end_before_the_first_answer_in_words(takes_tools: Any, tmp_path: Path) -> None:
    rows = [talk(USER, Turn("assistant", "", CALL), Turn("tool", "1"), Turn("assistant", "done")), talk()]
    data = load_data(written(tmp_path, *rows), takes_tools)
    (asked, answer), (plain, plain_answer) = sample_conversations((), None, data.train)
    assert [message["role"] for message in asked] == ["user", "assistant", "tool"] and answer == "done"
    assert "tool_calls" not in plain[0] and (len(plain), plain_answer) == (1, "a")


def test_what_is_not_trained_is_counted() -> None:
    import datasets

    log = Written()
    prepared = datasets.Dataset.from_dict({"labels": [[-100, 5], [7, 8]]})
    tokens = check_supervision(prepared, log, given=5, left_out=2)  # type: ignore[arg-type]
    assert (tokens.total, tokens.trained) == (4, 3)
    assert [event["code"] for event in log.events] == ["rows_without_answer", "rows_without_supervision"]
    assert "3 of 5" in log.events[1]["message"]
    packed = datasets.Dataset.from_dict({"labels": [[-100, -100, 5], [7, 8]], "seq_lengths": [[2, 1], [2]]})
    log.events.clear()
    check_supervision(packed, log, given=3)  # type: ignore[arg-type]
    assert "1 of 3" in log.events[0]["message"]
    with pytest.raises(Refusal, match="No token"):
        check_supervision(datasets.Dataset.from_dict({"labels": [[-100]]}), log)  # type: ignore[arg-type]


def test_stages_are_not_packed(tokenizer: Any, tmp_path: Path) -> None:
    data = load_data(written(tmp_path, talk()), tokenizer)
    assert stage_sampler(data.train, 1) is None
    refuse_packed_stages(False)
    with pytest.raises(Refusal, match="cannot be packed"):
        refuse_packed_stages(True)
