"""Answers of a base model and its adapters, side by side in one batch.

Every row of the batch has its own adapter (PEFT's `adapter_names`), its own length and its own random numbers, so that
a row's text does not depend on what stands beside it.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.streamers import BaseStreamer

from engine.worker.loading import context_tokens
from engine.worker.rows import PromptError, RowRequest, RowResult, Sampling
from engine.worker.text_stream import TextStream

__all__ = ["PromptError", "RowRequest", "RowResult", "Sampling", "answer_batch", "encode", "end_tokens"]

TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>")
"""Tokens that end a turn in the usual templates; models do not always list theirs among the end tokens."""


def encode(model: Any, tokenizer: Any, messages: Sequence[dict[str, Any]]) -> list[int]:
    """The prompt's token ids, rendered with the model's own template. Raises `PromptError`."""
    if not tokenizer.chat_template:
        raise PromptError(
            "The model has no chat template.",
            why="Its tokenizer does not say how a conversation is written.",
            fix="Chat with the instruct version of the model, or put a chat_template.jinja into its folder.",
        )
    try:
        text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    except Exception as error:  # the template is the model's own program and raises what it likes
        raise PromptError(
            "The model's chat template refuses this conversation.", why=str(error), fix="Check the order of the roles."
        ) from error
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    limit = context_tokens(model)
    if limit is not None and len(ids) >= limit:
        raise PromptError(
            f"The prompt is too long by {len(ids) - limit + 1} tokens.",
            why=f"It has {len(ids)} tokens, and the model holds {limit} with at least one for the answer.",
            fix="Start a new conversation, or leave out earlier turns.",
        )
    return ids


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids at which an answer is over, from the generation config, the tokenizer and the usual turn ends."""
    configured = model.generation_config.eos_token_id
    found = set(configured if isinstance(configured, (list, tuple)) else [configured])
    found.add(tokenizer.eos_token_id)
    vocabulary = tokenizer.get_vocab()
    found.update(vocabulary.get(token) for token in TURN_ENDS)
    return sorted(token for token in found if token is not None)


def answer_batch(
    model: Any,
    tokenizer: Any,
    rows: Sequence[RowRequest],
    sampling: Sampling,
    on_token: Callable[[int, str], None],
    cancelled: Callable[[], bool],
    on_done: Callable[[int, RowResult], None] | None = None,
) -> list[RowResult]:
    """Answer all rows; `on_token(row, text)` gets the text as it comes, `on_done(row, result)` each row's end.

    Rows of the base and of LoRA adapters go through one `generate`; those of a DoRA adapter, which PEFT cannot mix,
    through one of their own, afterwards. Raises `PromptError` before anything is generated.
    """
    prompts = [encode(model, tokenizer, row.messages) for row in rows]
    results: dict[int, RowResult] = {}

    def finished(row: int, result: RowResult) -> None:
        results[row] = result
        if on_done is not None:
            on_done(row, result)

    for adapter, members in _groups(model, rows):
        live = _Batch(
            [_Row(index, TextStream(tokenizer), rows[index].max_new_tokens) for index in members],
            set(end_tokens(model, tokenizer)),
            on_token,
            finished,
        )
        adapter_names: list[str] | None = None
        if adapter is not None:
            model.set_adapter(adapter)
        elif hasattr(model, "peft_config"):
            adapter_names = [rows[index].adapter or "__base__" for index in members]
        _generate(model, tokenizer, [prompts[index] for index in members], live, sampling, cancelled, adapter_names)
        live.close()
    return [results[index] for index in range(len(rows))]


def _groups(model: Any, rows: Sequence[RowRequest]) -> list[tuple[str | None, list[int]]]:
    """Rows that share a `generate` call; the name is that of an adapter that cannot be mixed."""
    configs = getattr(model, "peft_config", {})
    mixed: list[int] = []
    alone: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.adapter is not None and configs[row.adapter].use_dora:
            alone.setdefault(row.adapter, []).append(index)
        else:
            mixed.append(index)
    groups: list[tuple[str | None, list[int]]] = [(None, mixed)] if mixed else []
    return groups + list(alone.items())


def _generate(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    batch: "_Batch",
    sampling: Sampling,
    cancelled: Callable[[], bool],
    adapter_names: list[str] | None,
) -> None:
    ends = sorted(batch.ends)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (ends or [0])[0]
    width = max(len(prompt) for prompt in prompts)
    # ids, mask: (rows, width), padded on the left so that every row's next token is in the last column
    ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    limit = context_tokens(model)
    for row, prompt in zip(batch.rows, prompts, strict=True):
        row.limit = min(row.limit, limit - len(prompt)) if limit is not None else row.limit
    # Everything that shapes the text is set here: a model's generation_config may hold a repetition penalty or a
    # temperature, and what the user sees in the settings is what should happen.
    config = GenerationConfig(
        max_new_tokens=max(row.limit for row in batch.rows),
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
            logits_processor=_chooser(sampling, len(prompts)),
            stopping_criteria=StoppingCriteriaList([_Ends(batch, cancelled)]),
            streamer=_Streamer(batch),
            **extra,
        )


@dataclass
class _Row:
    """A row at work. `index` is its place in the request."""

    index: int
    stream: TextStream
    limit: int
    first_s: float | None = None
    last_s: float | None = None
    done: bool = False


@dataclass
class _Batch:
    """The rows of one `generate` call: takes their tokens, one a row and step."""

    rows: list[_Row]
    ends: set[int]
    on_token: Callable[[int, str], None]
    on_done: Callable[[int, RowResult], None]
    started: float = field(default_factory=time.monotonic)

    def take(self, tokens: list[int]) -> None:
        now = time.monotonic()
        for row, token in zip(self.rows, tokens, strict=True):
            if row.done:
                continue
            if token in self.ends:
                self._finish(row, "stop")
                continue
            row.first_s = row.first_s if row.first_s is not None else now
            row.last_s = now
            text = row.stream.push(token)
            if text:
                self.on_token(row.index, text)
            if row.stream.tokens >= row.limit:
                self._finish(row, "length")

    def close(self) -> None:
        """End what is still open: the answer was cancelled."""
        for row in self.rows:
            if not row.done:
                self._finish(row, "cancelled")

    def _finish(self, row: _Row, reason: str) -> None:
        row.done = True
        tokens = row.stream.tokens
        first = speed = None
        if row.first_s is not None and row.last_s is not None:
            first = row.first_s - self.started
            if tokens > 1 and row.last_s > row.first_s:
                speed = (tokens - 1) / (row.last_s - row.first_s)
            elif first > 0:
                speed = tokens / first
        self.on_done(row.index, RowResult(row.stream.text, tokens, first, speed, reason))


class _Streamer(BaseStreamer):
    """Hands each step's tokens on. `generate` puts the prompt first, (rows, width), then (rows,) a step."""

    def __init__(self, batch: _Batch) -> None:
        self._batch = batch

    def put(self, value: torch.Tensor) -> None:
        if value.dim() == 1:
            self._batch.take(value.tolist())

    def end(self) -> None:
        """Nothing is held back, so there is nothing to flush."""


class _Ends(StoppingCriteria):
    """Stops every row when cancelled, and each at its own limit."""

    def __init__(self, batch: _Batch, cancelled: Callable[[], bool]) -> None:
        self._batch = batch
        self._cancelled = cancelled
        self._steps = 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self._steps += 1  # called before the streamer gets this step's tokens, hence an own count
        everything = self._cancelled()
        over = [everything or row.done or self._steps >= row.limit for row in self._batch.rows]
        return torch.tensor(over, dtype=torch.bool, device=input_ids.device)


class _Gumbel(LogitsProcessor):
    """Adds Gumbel noise, a generator a row: the largest score is then a sample of the softmax (Gumbel-max trick).

    With `torch.multinomial`, a row's numbers would depend on how many rows there are. All rows start from one seed, so
    that base and adapter answer with the same luck.
    """

    def __init__(self, seed: int, rows: int) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for _ in range(rows)]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        width = scores.shape[-1]
        waits = [torch.empty(width).exponential_(generator=generator) for generator in self._generators]
        noise = -torch.stack(waits).clamp_min(1e-20).log()  # (rows, vocabulary)
        return scores + noise.to(scores.device)


def _chooser(sampling: Sampling, rows: int) -> LogitsProcessorList:
    chosen = LogitsProcessorList()
    if sampling.temperature <= 0:
        return chosen
    chosen.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k > 0:
        chosen.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        chosen.append(TopPLogitsWarper(sampling.top_p))
    seed = sampling.seed if sampling.seed is not None else secrets.randbits(32)
    chosen.append(_Gumbel(seed, rows))
    return chosen
