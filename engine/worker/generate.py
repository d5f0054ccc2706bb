"""Answers of a base model and its adapters, side by side, a token of each at a step.

Every row has its own adapter (PEFT's `adapter_names`), its own sampling, its own length and its own end, so that a
row's text does not depend on what stands beside it.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Any

import torch

from engine.errors import FinetuiError
from engine.worker.closed_batch import ClosedBatch
from engine.worker.few_tokens import quicken
from engine.worker.live_row import LiveRow
from engine.worker.open_batch import OpenBatch, can_join

TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>")
"""Tokens that end a turn in the usual templates; models do not always list theirs among the end tokens."""


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids at which an answer is over, from the generation config, the tokenizer and the usual turn ends."""
    configured = model.generation_config.eos_token_id
    found = set(configured if isinstance(configured, (list, tuple)) else [configured])
    found.add(tokenizer.eos_token_id)
    vocabulary = tokenizer.get_vocab()
    found.update(vocabulary.get(token) for token in TURN_ENDS)
    return sorted(token for token in found if token is not None)


class Writer:
    """Writes rows with the model that `model()` gives, which changes as adapters come and go.

    Rows of the base and of LoRA adapters are one batch; those of a DoRA adapter, which PEFT cannot mix, are one of
    their own beside it.
    """

    def __init__(self, model: Callable[[], Any], tokenizer: Any) -> None:
        self._model = model
        quicken(model())
        ends = end_tokens(model(), tokenizer)
        self._ends = frozenset(ends)
        self._padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (ends or [0])[0]
        self.is_open = can_join(model())
        """Whether rows may join before those at work are done."""
        self._batches: dict[str | None, OpenBatch | ClosedBatch] = {}

    def join(self, rows: Sequence[LiveRow]) -> None:
        """Begin `rows`. What the model raises comes through; rows that are done by then stay so."""
        configs = getattr(self._model(), "peft_config", {})
        groups: dict[str | None, list[LiveRow]] = {}
        for row in rows:
            adapter = row.request.adapter
            if adapter is not None and adapter not in configs:
                row.fail(FinetuiError(f"The adapter {adapter} has been removed.", fix="Load it again."))
            elif row.begin():
                alone = adapter if adapter is not None and configs[adapter].use_dora else None
                groups.setdefault(alone, []).append(row)
        for alone, group in groups.items():
            batch = self._batches.get(alone)
            if batch is None or not batch.rows:
                kind = OpenBatch if self.is_open else ClosedBatch
                batch = self._batches[alone] = kind(self._ends, self._padding, mixed=alone is None)
            batch.join(self._ready(alone), group)

    def step(self) -> None:
        """The next token of each row, or all the tokens of rows that nobody can join."""
        for alone, batch in list(self._batches.items()):
            if batch.rows:
                batch.step(self._ready(alone))
            if not batch.rows:
                del self._batches[alone]

    def drop(self) -> None:
        """Forget the rows and give back the memory that they had."""
        self._batches.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _ready(self, alone: str | None) -> Any:
        """The model, its adapter `alone` switched on where that stands by itself."""
        model = self._model()
        if alone is not None and model.active_adapter != alone:
            model.set_adapter(alone)
        return model


def answer_rows(model: Any, tokenizer: Any, rows: Sequence[LiveRow]) -> None:
    """Write `rows` to their ends. Rows that have tokens already go on from there. Raises what the model raises."""
    writer = Writer(lambda: model, tokenizer)
    writer.join(rows)
    while not all(row.done for row in rows):
        writer.step()
