"""What the model answers now: the same prompts at each evaluation, greedily, in one batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.worker.generate import end_tokens

Sampled = list[tuple[list[dict[str, str]], str | None]]
"""Conversations up to the answer, and the answer that the data has, where it has one."""


class Sampler:
    """Answers a fixed list of conversations with the model as it is."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, conversations: Sampled, max_new_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._conversations = conversations
        self._max_new_tokens = max_new_tokens

    def answer(self, model: PreTrainedModel) -> list[dict[str, Any]]:
        """One entry a conversation: `prompt`, `text`, `tokens`, and `reference` where the data has an answer."""
        if not self._conversations:  # plain text has none
            return []
        with _left_padding(self._tokenizer), _evaluating(model), torch.no_grad():
            batch = self._tokenizer.apply_chat_template(
                [messages for messages, _ in self._conversations],
                add_generation_prompt=True,
                padding=True,
                return_dict=True,
                return_tensors="pt",
            ).to(model.device)
            # answers: (conversations, prompt + new tokens)
            answers = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                use_cache=True,
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_id=end_tokens(model, self._tokenizer),
            )[:, batch["input_ids"].shape[1] :]
        found = []
        for (messages, reference), ids in zip(self._conversations, answers, strict=True):
            kept = [token for token in ids.tolist() if token not in self._tokenizer.all_special_ids]
            entry: dict[str, Any] = {
                "prompt": messages[-1]["content"],
                "text": self._tokenizer.decode(kept),
                "tokens": len(kept),
            }
            if reference is not None:
                entry["reference"] = reference
            found.append(entry)
        return found


@contextmanager
def _left_padding(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    side = tokenizer.padding_side
    tokenizer.padding_side = "left"
    try:
        yield
    finally:
        tokenizer.padding_side = side


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
