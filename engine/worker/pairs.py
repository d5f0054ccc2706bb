"""Preference pairs: a prompt, the answer that is wanted, and the one that is not."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from transformers import PreTrainedTokenizerBase

from engine.datasets.rows import Row
from engine.runs.failure_codes import FailureCode
from engine.runs.protocol import EventWriter
from engine.tokens.messages import Message, template_messages, template_tools
from engine.worker.data import STAGE, TrainingData, in_memory, is_staged, message_column, stage_of, stored_rows
from engine.worker.refusal import Refusal
from engine.worker.supervision import TokenCount
from engine.worker.templates import RowTemplates

_COLUMNS = ("prompt", "chosen", "rejected")


def load_pairs(folder: Path, tokenizer: PreTrainedTokenizerBase) -> TrainingData:
    """The pairs of a dataset version: the columns `prompt`, `chosen`, `rejected`, each a list of messages, and `tools`.

    Rows that are no pair are left out and counted. Raises `Refusal` where there is none to train on, and where the chat
    template refuses one.
    """
    templates = RowTemplates(tokenizer, assistant_only=False)
    parts = {"train": _Pairs(), "validation": _Pairs()}
    left_out = 0
    for row in stored_rows(folder):
        if row.split not in parts:
            continue
        if row.messages and row.chosen and row.rejected:
            templates.teach(row)
            templates.teach(row, (*row.messages, *row.rejected))
            parts[row.split].add(row, templates)
        else:
            left_out += row.split == "train"
    if not len(parts["train"]):
        raise Refusal(
            "objective: dpo learns from pairs of a wanted and an unwanted answer; the dataset has none to train on.",
            code=FailureCode.RECIPE,
            fix="Choose a preference dataset, or set objective = sft.",
        )
    staged = is_staged(folder)
    train, validation = (part.dataset(staged) for part in parts.values())
    return TrainingData(train, validation if len(validation) else None, True, staged, left_out)


@dataclass
class _Pairs:
    """The pairs of one split while they are read."""

    turns: dict[str, list[list[Message]]] = field(default_factory=lambda: {name: [] for name in _COLUMNS})
    tools: list[str | None] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.stages)

    def add(self, row: Row, templates: RowTemplates) -> None:
        style = templates.style(row)
        for name, turns in zip(_COLUMNS, (row.messages, row.chosen, row.rejected), strict=True):
            self.turns[name].append(template_messages(turns, style))
        tools = template_tools(row.tools, style)
        self.tools.append(json.dumps(tools) if tools else None)
        self.stages.append(stage_of(row))

    def dataset(self, staged: bool) -> datasets.Dataset:
        columns: dict[str, Any] = {}
        features: dict[str, Any] = {}
        for name, conversations in self.turns.items():
            columns[name], features[name] = message_column(conversations)
        if any(self.tools):
            columns["tools"], features["tools"] = pa.array(self.tools, pa.string()), datasets.Value("string")
        if staged:
            columns[STAGE], features[STAGE] = pa.array(self.stages, pa.int64()), datasets.Value("int64")
        return in_memory(columns, features)


def check_pairs(rows: datasets.Dataset, writer: EventWriter, *, given: int, left_out: int) -> TokenCount:
    """Count the tokens of prepared pairs; those of the answers are what is learnt from. Raises `Refusal` for none.

    Warns of pairs whose prompt alone is as long as a sequence may be, which TRL leaves out, and of rows without a pair.
    """
    if not len(rows):
        raise Refusal(
            "No pair would be trained: every prompt alone is longer than max_length.",
            code=FailureCode.NOTHING_TO_LEARN,
            fix="Raise max_length.",
        )
    table = rows.with_format("arrow")[:]
    prompt, chosen, rejected = (
        int(pc.sum(pc.list_value_length(table[name])).as_py()) for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    )
    for count, code, what, fix in (
        (left_out, "rows_without_answer", "are no pair of answers; they are left out.", "Nothing, if that is meant."),
        (given - len(rows), "rows_without_supervision", "have a prompt beyond max_length.", "Raise max_length."),
    ):
        if count:
            message = f"{count:,} training rows {what}"
            writer.write("alert", level="warning", code=code, message=message, fix=fix)
    return TokenCount(2 * prompt + chosen + rejected, chosen + rejected)
