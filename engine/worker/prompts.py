"""Prompts as a model reads them: conversations by a chat template, or plain text. No torch; for any thread."""

import threading
from collections.abc import Sequence
from typing import Any

from engine.worker.rows import PromptError


class Prompts:
    """Writes prompts with `tokenizer`. `context` is the most tokens that the model holds, if it says."""

    def __init__(self, tokenizer: Any, context: int | None) -> None:
        self.tokenizer = tokenizer
        self.context = context
        self._one_at_a_time = threading.Lock()
        tokenizer("x")  # what the tokenizer's file says of padding and cutting is undone here, not between two threads

    def chat(self, messages: Sequence[dict[str, Any]], template: str | None) -> list[int]:
        """Token ids of a conversation up to the answer, written by `template`, or else by the tokenizer's own.

        Raises `PromptError`.
        """
        if not (template or self.tokenizer.chat_template):
            raise PromptError(
                "The model has no chat template.",
                why="Its tokenizer does not say how a conversation is written.",
                fix="Chat with the instruct version of the model, or put a chat_template.jinja into its folder.",
            )
        with self._one_at_a_time:
            try:
                text = self.tokenizer.apply_chat_template(
                    list(messages), chat_template=template, tokenize=False, add_generation_prompt=True
                )
            except Exception as error:  # the template is the model's own program and raises what it likes
                raise PromptError(
                    "The model's chat template refuses this conversation.",
                    why=str(error),
                    fix="Check the order of the roles.",
                ) from error
            return self._fitting(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def plain(self, text: str) -> list[int]:
        """Token ids of `text` to go on from, with the special tokens that the model begins with."""
        with self._one_at_a_time:
            ids: list[int] = self.tokenizer(text)["input_ids"]
        if not ids:
            raise PromptError(
                "The prompt is empty.", why="This model begins with no token of its own.", fix="Give it a word."
            )
        return self._fitting(ids)

    def room(self, prompt: Sequence[int], wanted: int) -> int:
        """How many of the `wanted` new tokens the model holds after `prompt`."""
        return wanted if self.context is None else min(wanted, self.context - len(prompt))

    def _fitting(self, ids: list[int]) -> list[int]:
        limit = self.context
        if limit is not None and len(ids) >= limit:
            raise PromptError(
                f"The prompt is too long by {len(ids) - limit + 1} tokens.",
                why=f"It has {len(ids)} tokens, and the model holds {limit} with at least one for the answer.",
                fix="Start a new conversation, or leave out earlier turns.",
            )
        return ids
