"""Answers of a base model and its adapters, side by side in one batch.

Every row of the batch has its own adapter (PEFT's `adapter_names`), its own sampling, its own length and its own end,
so that a row's text does not depend on what stands beside it.
"""

import gc
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from engine.errors import FinetuiError
from engine.worker.choosing import Chooser
from engine.worker.live_row import LiveRow

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


def answer_rows(model: Any, tokenizer: Any, rows: Sequence[LiveRow]) -> None:
    """Write `rows` to their ends. Rows that have tokens already go on from there.

    Rows of the base and of LoRA adapters go through one `generate`; those of a DoRA adapter, which PEFT cannot mix,
    through one of their own, afterwards. What `generate` raises comes through; rows that are done by then stay so.
    """
    configs = getattr(model, "peft_config", {})
    for row in rows:
        if row.request.adapter is not None and row.request.adapter not in configs:
            row.fail(FinetuiError(f"The adapter {row.request.adapter} has been removed.", fix="Load it again."))
    for adapter, group in _groups(configs, rows):
        members = [row for row in group if row.begin()]
        if not members:
            continue
        names: list[str] | None = None
        if adapter is not None:
            model.set_adapter(adapter)
        elif configs:
            names = [row.request.adapter or "__base__" for row in members]
        _generate(model, tokenizer, members, names)


def release_memory() -> None:
    """Give back what a batch that did not fit has left behind."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _groups(configs: dict[str, Any], rows: Sequence[LiveRow]) -> list[tuple[str | None, list[LiveRow]]]:
    """Rows that share a `generate` call; the name is that of an adapter that cannot be mixed."""
    mixed: list[LiveRow] = []
    alone: dict[str, list[LiveRow]] = {}
    for row in rows:
        adapter = row.request.adapter
        if row.done:
            continue
        if adapter is not None and configs[adapter].use_dora:
            alone.setdefault(adapter, []).append(row)
        else:
            mixed.append(row)
    return [(None, mixed), *alone.items()]


def _generate(model: Any, tokenizer: Any, rows: Sequence[LiveRow], adapter_names: list[str] | None) -> None:
    ends = end_tokens(model, tokenizer)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (ends or [0])[0]
    prompts = [[*row.request.prompt, *row.tokens] for row in rows]
    width = max(len(prompt) for prompt in prompts)
    # ids, mask: (rows, width), padded on the left so that every row's next token is in the last column
    ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    # Everything that shapes the text is set here: a model's generation_config may hold a repetition penalty or a
    # temperature, and what the user sees in the settings is what should happen.
    config = GenerationConfig(
        max_new_tokens=max(row.left for row in rows),
        max_length=None,
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_k=50,
        top_p=1.0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        use_cache=True,
        eos_token_id=ends or None,
        pad_token_id=padding,
    )
    extra: dict[str, Any] = {} if adapter_names is None else {"adapter_names": adapter_names}
    with torch.no_grad():
        model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([Chooser(rows)]),
            stopping_criteria=StoppingCriteriaList([_Steps(rows, frozenset(ends))]),
            **extra,
        )


class _Steps(StoppingCriteria):
    """Hands each step's tokens to their rows, and stops a row that is done: all of them, and `generate` returns."""

    def __init__(self, rows: Sequence[LiveRow], ends: frozenset[int]) -> None:
        self._rows = rows
        self._ends = ends

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
            row.take(token, self._ends)
        return torch.tensor([row.done for row in self._rows], dtype=torch.bool, device=input_ids.device)
