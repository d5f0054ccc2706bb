"""The rows of a dataset version, as the trainer takes them.

What becomes of a row is decided in `engine.tokens`, for the trainer and for the app's view of it alike: of a preference
pair the chosen answer is learnt, an answer marked as not wanted is left out, and so is a question without an answer.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from engine.datasets.reader import rows_of
from engine.datasets.rows import Row
from engine.runs.rundir import read_json
from engine.tokens.messages import Message, has_answer, is_text, learnt_turns, plain_text
from engine.worker.refusal import Refusal
from engine.worker.templates import RowTemplates

SAMPLE_ROWS = 3
STAGE = "stage"
"""The column that says which stage a row belongs to, where the dataset is staged."""

_SPLITS = ("train", "validation")
_BATCH_ROWS = 1_000


@dataclass(frozen=True)
class TrainingData:
    """Rows to train on, and rows held back (or `None`), with the column `messages` or `text` or those of pairs, and
    `tools`.

    `conversational` is false for plain text, where the loss cannot be limited to the assistant. `staged` says that the
    rows have a stage, and are to be learnt stage by stage. `left_out` counts training rows without a wanted answer.
    """

    train: datasets.Dataset
    validation: datasets.Dataset | None
    conversational: bool
    staged: bool
    left_out: int


def load_data(folder: Path, tokenizer: PreTrainedTokenizerBase, *, assistant_only: bool = True) -> TrainingData:
    """The rows of a dataset version for a model with `tokenizer`.

    `assistant_only` says that the loss is to be on the assistant's words. Raises `Refusal` where there is nothing to
    train on, and where the chat template refuses a row.
    """
    staged = is_staged(folder)
    templates = RowTemplates(tokenizer, assistant_only)
    parts = {split: _Columns() for split in _SPLITS}
    present = dict.fromkeys(_SPLITS, 0)
    answered = False
    for row in stored_rows(folder):
        answered = answered or is_text(row) or any(turn.role == "assistant" for turn in learnt_turns(row))
        if row.split not in parts:
            continue
        present[row.split] += 1
        part = parts[row.split]
        if is_text(row):
            part.add_text(row)
            continue
        if has_answer(row) and templates.teach(row):
            part.add(*templates.messages(row), row)
    _require_rows(parts, present, answered)
    conversational = not any(part.texts for part in parts.values())
    if not conversational and any(part.messages for part in parts.values()):
        raise Refusal(
            "The dataset holds conversations and plain text; one run learns from one or the other.",
            code="mixed_rows",
            fix="Mix datasets of one kind only.",
        )
    train, validation = (parts[split].dataset(staged) for split in _SPLITS)
    return TrainingData(
        train,
        validation if len(validation) else None,
        conversational,
        staged,
        present["train"] - len(train),
    )


def _require_rows(parts: dict[str, "_Columns"], present: dict[str, int], answered: bool) -> None:
    if len(parts["train"]):
        return
    if not answered:
        raise Refusal(
            "The dataset is a suite of prompts: it has no answers to learn.",
            code="no_answers",
            fix="Choose a dataset with answers; these prompts can be put to a model that was trained.",
        )
    if not sum(present.values()):
        raise Refusal(
            "The dataset has no training rows: all of it is kept for testing.",
            code="no_rows",
            fix="Split it anew with a share for training, or choose another dataset.",
        )
    if not present["train"]:
        raise Refusal(
            "The dataset has no training rows.", code="no_rows", fix="Import it again with a smaller validation share."
        )
    raise Refusal(
        "The dataset has no training rows with an answer to learn.",
        code="no_rows",
        fix="Look at its rows: each needs an assistant's turn that is wanted.",
    )


def is_staged(folder: Path) -> bool:
    """Whether the rows of the dataset version in `folder` are to be learnt stage by stage."""
    card = read_json(folder / "card.json")
    operation = card.get("operation") if isinstance(card, dict) else None
    return isinstance(operation, dict) and operation.get("kind") == "stage"


def stored_rows(folder: Path) -> Iterator[Row]:
    """All rows of a dataset version, whichever version of finetui wrote them. Raises `Refusal` where they are gone."""
    file = folder / "data.parquet"
    if not file.is_file():
        raise Refusal(
            f"The dataset's file is gone: {file}.",
            code="dataset_missing",
            fix="Import the dataset again and launch anew.",
        )
    done = 0
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(_BATCH_ROWS):
            table = pa.Table.from_batches([batch])
            if "metadata" not in table.column_names:
                table = table.append_column("metadata", pa.array(["{}"] * len(table), pa.string()))
            yield from rows_of(table, done)
            done += len(table)


class _Json(datasets.Json):
    """JSON in a column, to the last digit: the library's own parser rounds some numbers and wraps large ones."""

    def encode_example(self, value: Any) -> str | None:
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def decode_example(self, value: str | None, token_per_repo_id: Any = None) -> Any:
        return None if value is None else json.loads(value)


class _Columns:
    """The rows of one split while they are read."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.messages: list[list[Message]] = []
        self._tools: list[str | None] = []
        self._stages: list[int] = []

    def __len__(self) -> int:
        return len(self.texts) + len(self.messages)

    def add_text(self, row: Row) -> None:
        self.texts.append(plain_text(row))
        self._stages.append(stage_of(row))

    def add(self, messages: list[Message], tools: list[Message] | None, row: Row) -> None:
        self.messages.append(messages)
        self._tools.append(json.dumps(tools) if tools else None)
        self._stages.append(stage_of(row))

    def dataset(self, staged: bool) -> datasets.Dataset:
        """All of it in memory. Columns that no row needs are left out."""
        columns: dict[str, Any] = {}
        features: dict[str, Any] = {}
        if self.texts:
            columns["text"] = pa.array(self.texts, pa.string())
            features["text"] = datasets.Value("string")
        else:
            columns["messages"], features["messages"] = message_column(self.messages)
        if any(self._tools):
            columns["tools"] = pa.array(self._tools, pa.string())  # TRL reads JSON text
            features["tools"] = datasets.Value("string")
        if staged:
            columns[STAGE] = pa.array(self._stages, pa.int64())
            features[STAGE] = datasets.Value("int64")
        return in_memory(columns, features)


def message_column(conversations: Sequence[list[Message]]) -> tuple[Any, Any]:
    """Conversations as a column, and its type. Fields that no message has are left out."""
    items = [message for messages in conversations for message in messages]
    fields: dict[str, Any] = {}
    kinds: dict[str, Any] = {}
    for name in ("role", "content", "name"):
        if name != "name" or any(name in item for item in items):
            fields[name] = pa.array([item.get(name) for item in items], pa.string())
            kinds[name] = datasets.Value("string")
    if any("tool_calls" in item for item in items):
        calls = [json.dumps(item["tool_calls"]) if "tool_calls" in item else None for item in items]
        fields["tool_calls"] = pa.ExtensionArray.from_storage(pa.json_(), pa.array(calls, pa.string()))
        kinds["tool_calls"] = _Json()
    offsets = [0]
    for messages in conversations:
        offsets.append(offsets[-1] + len(messages))
    structs = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs), datasets.List(kinds)


def in_memory(columns: dict[str, Any], features: dict[str, Any]) -> datasets.Dataset:
    """Arrow columns as a dataset that stays in memory."""
    info = datasets.DatasetInfo(features=datasets.Features(features))
    return datasets.Dataset(datasets.table.InMemoryTable(pa.table(columns)), info=info)


def stage_of(row: Row) -> int:
    """The row's stage, counted from 0; 0 where it has none."""
    stage = row.metadata.get(STAGE)
    return stage if isinstance(stage, int) else 0


def sample_conversations(
    prompts: tuple[str, ...], validation: datasets.Dataset | None, train: datasets.Dataset
) -> list[tuple[list[dict[str, str]], str | None]]:
    """What is asked at each evaluation: the messages up to the answer, and the data's answer, where it has one."""
    if prompts:
        return [([{"role": "user", "content": prompt}], None) for prompt in prompts]
    rows = validation if validation is not None else train
    if "prompt" in rows.column_names:
        return [(_present(row["prompt"]), _answer(row["chosen"])) for row in _some_of(rows)]
    if "messages" not in rows.column_names:
        return []
    return [_without_answer(row["messages"]) for row in _some_of(rows)]


def _some_of(rows: datasets.Dataset) -> list[dict[str, Any]]:
    every = max(1, len(rows) // SAMPLE_ROWS)
    return [rows[index] for index in range(0, len(rows), every)][:SAMPLE_ROWS]


def _answer(messages: list[dict[str, Any]]) -> str | None:
    return next((turn["content"] for turn in messages if turn["role"] == "assistant" and turn["content"]), None)


def _present(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The messages without the fields that other rows have."""
    return [{key: value for key, value in message.items() if value is not None} for message in messages]


def _without_answer(messages: list[dict[str, Any]]) -> tuple[list[dict[str, str]], str | None]:
    """The conversation up to the first answer in words. Calls of tools before it stay where they are."""
    kept = _present(messages)
    for index, message in enumerate(kept):
        if message["role"] == "assistant" and index and message["content"] and "tool_calls" not in message:
            return kept[:index], message["content"]
    for index, message in enumerate(kept):
        if message["role"] == "assistant" and index:
            return kept[:index], None
    return kept, None
