"""The texts of an evaluation as tokens: what a model is asked, and which tokens of an answer are scored.

An answer is written by the template that the model was trained with, and scored where the trainer would have trained:
perplexity over a run's own validation rows is the exponential of its validation loss.
"""

import copy
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from engine.tokens.supervision import token_spans
from engine.tokens.template import ChatTemplate
from engine.worker.prompts import Prompts
from engine.worker.rows import PromptError
from engine.worker.scoring import Passage

Messages = Sequence[dict[str, Any]]


class Passages:
    """Writes questions and answers by `template`, or by the tokenizer's own. Raises `PromptError` and `BadInput`.

    Messages whose last role is `text` are plain text to go on from. `max_length` cuts what is expected, as in training.
    """

    def __init__(self, prompts: Prompts, template: str | None, max_length: int | None) -> None:
        self._prompts = prompts
        self._tokenizer = prompts.tokenizer
        self._template = template
        limits = [limit for limit in (max_length, prompts.context) if limit is not None]
        self._limit = min(limits, default=None)

    def question(self, messages: Messages) -> list[int]:
        """Token ids up to where the answer begins."""
        if is_plain(messages):
            return self._prompts.plain(_text(messages))
        return self._prompts.chat(messages, self._template)

    def expected(self, messages: Messages, answer: str) -> Passage:
        """The question with `answer`, whose tokens are scored, the end of its turn included.

        Without messages it is plain text, scored from its second token on, the end of the text included.
        """
        if is_plain(messages):
            return self._cut(self._continued(_text(messages), answer))
        if not messages:
            eos = self._tokenizer.eos_token or ""
            ids = self._tokenizer(answer if answer.endswith(eos) else answer + eos)["input_ids"]
            return self._cut(Passage(ids, range(1, len(ids))))
        template = self._training_template
        turns = [*messages, {"role": "assistant", "content": answer}]
        written = template.write(turns)
        if template.marks and written.spans:
            spans = written.spans[-1:]
        else:
            spans = (self._unmarked(template, messages, answer, written.text),)
        encoding = self._encode(written.text, special=False)
        places = [place for start, end in token_spans(encoding, spans) for place in range(start, end)]
        return self._cut(Passage(encoding.ids, [place for place in places if place]))

    def choice(self, messages: Messages, answer: str) -> Passage:
        """The question with `answer`, of which only its own words are scored. All of it must fit."""
        if is_plain(messages):
            passage = self._continued(_text(messages), answer)
        else:
            question = self.question(messages)
            ids = self._tokenizer(answer, add_special_tokens=False)["input_ids"]
            passage = Passage([*question, *ids], range(len(question), len(question) + len(ids)))
        if self._prompts.context is not None and len(passage.ids) > self._prompts.context:
            raise PromptError(
                f"The question with a choice is too long by {len(passage.ids) - self._prompts.context} tokens.",
                why=f"The model holds {self._prompts.context}.",
                fix="Shorten the row.",
            )
        return passage

    def _cut(self, passage: Passage) -> Passage:
        if self._limit is None or len(passage.ids) <= self._limit:
            return passage
        return Passage(passage.ids[: self._limit], [place for place in passage.scored if place < self._limit])

    def _continued(self, text: str, answer: str) -> Passage:
        """Plain text that goes on with `answer`; a space stands between them where neither has any."""
        space = "" if not text or text[-1].isspace() or answer[:1].isspace() else " "
        encoding = self._encode(text + space + answer, special=True)
        scored = [
            place
            for place, (start, end) in enumerate(encoding.offsets)
            if end > max(start, len(text)) and place and not encoding.special_tokens_mask[place]
        ]
        return Passage(encoding.ids, scored)

    @cached_property
    def _training_template(self) -> ChatTemplate:
        """The template as TRL trains with it: it marks what the assistant says, where that is known."""
        from trl.chat_template_utils import get_training_chat_template, has_generation_markers

        source = self._template or self._tokenizer.chat_template
        if isinstance(source, dict):
            source = source["default"]
        if not source:
            raise PromptError(
                "The model has no chat template.",
                why="Its tokenizer does not say how a conversation is written.",
                fix="Evaluate the instruct version of the model, or put a chat_template.jinja into its folder.",
            )
        if not has_generation_markers(source):
            other = copy.copy(self._tokenizer)
            other.chat_template = source
            with suppress(Exception):  # it renders the template, which can fail in any way, and knows few
                source = get_training_chat_template(other) or source
        return ChatTemplate(source, self._tokenizer.special_tokens_map)

    @staticmethod
    def _unmarked(template: ChatTemplate, messages: Messages, answer: str, text: str) -> tuple[int, int]:
        """Where the answer stands in `text`, written by a template that does not mark it: what follows the question."""
        question = template.write(list(messages), generation_prompt=True).text
        start = len(question) if text.startswith(question) else text.rfind(answer)
        end = len(text.rstrip())
        if not 0 <= start < end:
            raise PromptError(
                "The model's chat template does not show where the answer stands.",
                why="It has no generation block, and writes the answer in other words.",
                fix="Evaluate without scoring, or give the template a generation block.",
            )
        return start, end

    def _encode(self, text: str, *, special: bool) -> Any:
        encodings = self._tokenizer(text, add_special_tokens=special).encodings
        if not encodings:
            raise PromptError(
                "The model's tokenizer cannot say where its tokens stand in the text.",
                why=f"It is a {type(self._tokenizer).__name__}, which has no fast form (tokenizer.json).",
                fix="Evaluate without scoring.",
            )
        return encodings[0]


def is_plain(messages: Messages) -> bool:
    """Whether the question is plain text to go on from."""
    return bool(messages) and messages[-1].get("role") == "text"


def _text(messages: Messages) -> str:
    return "\n".join(str(message.get("content") or "") for message in messages)
