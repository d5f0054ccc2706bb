"""The template that conversations are written by: the model's own, or the one that the recipe names."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import get_training_chat_template, has_generation_markers

from engine.datasets.rows import Row, Turn
from engine.errors import BadInput
from engine.runs.failure_codes import FailureCode
from engine.runs.protocol import EventWriter
from engine.tokens.messages import CallStyle, Message, learnt_turns, template_messages, template_tools
from engine.tokens.supervision import has_tools, write_row
from engine.tokens.template import (
    BUILT_IN,
    ChatTemplate,
    TemplateProblem,
    built_in_template,
    read_template,
    with_tools,
)
from engine.worker.refusal import Refusal


def use_template(tokenizer: Any, chat_template: str | None, model: str, writer: EventWriter) -> None:
    """Give `tokenizer` the template that the recipe names, if it names one. It is saved with the adapter.

    A model's own template gives way, with a warning. Raises `Refusal` for a template that cannot be used.
    """
    if chat_template is None:
        return
    source = _source(tokenizer, chat_template)
    own = tokenizer.chat_template
    if own and own != source:
        writer.write(
            "alert",
            level="warning",
            code="template_replaced",
            message=f"{model} has a chat template of its own; conversations are written by {chat_template} instead.",
            fix="Leave chat_template out of the recipe to use the model's own.",
        )
    tokenizer.chat_template = source


def _source(tokenizer: Any, chat_template: str) -> str:
    vocabulary = tokenizer.get_vocab()
    try:
        if chat_template in BUILT_IN:
            source = built_in_template(
                chat_template, eos_token=tokenizer.eos_token, known=lambda token: token in vocabulary
            )
        else:
            source = read_template(Path(chat_template).expanduser())
        ChatTemplate(source, tokenizer.special_tokens_map, chat_template)
    except BadInput as error:
        raise Refusal(
            f"{error.what} {error.why}".strip(),
            code=FailureCode.RECIPE,
            fix=f"Set chat_template to {', '.join(BUILT_IN)}, or to a Jinja file.",
        ) from error
    return source


def no_template(model: str) -> Refusal:
    """What is said where there are conversations to write, and nothing to write them by."""
    return Refusal(
        f"{model} has no chat template, so conversations cannot be written the way it reads them.",
        code=FailureCode.NO_CHAT_TEMPLATE,
        fix='Set chat_template = "chatml" (or instruction, alpaca, llama-3, a Jinja file), or choose a chat model: '
        "its name often ends in -Instruct or -Chat.",
    )


class RowTemplates:
    """The template that TRL takes for a row, asked beforehand: TRL ends with a traceback at one it refuses."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, assistant_only: bool) -> None:
        self._assistant_only = assistant_only
        self._plain: ChatTemplate | None = None
        self._with_tools: ChatTemplate | None = None
        own = tokenizer.chat_template
        if not own:
            return
        named: dict[str, str] = own if isinstance(own, dict) else {"default": own}
        special = tokenizer.special_tokens_map
        if assistant_only and not has_generation_markers(own):
            with suppress(ValueError):  # TRL has none for it; `require_generation_block` says so
                named = {"default": get_training_chat_template(tokenizer) or named["default"]}
        self._plain = ChatTemplate(named["default"], special)
        other = ChatTemplate(named["tool_use"], special) if "tool_use" in named else self._plain
        self._with_tools = with_tools(self._plain, other)

    def _template(self, row: Row) -> ChatTemplate:
        template = self._with_tools if row.tools else self._plain
        if template is None:
            raise no_template("The model")
        return template

    def teach(self, row: Row, turns: Sequence[Turn] | None = None) -> bool:
        """Whether the row, as the template writes it, has something to learn. Raises `Refusal`.

        `turns` are its turns where they are not those that are learnt from wanted answers.
        """
        try:
            written = write_row(row, self._template(row), turns)
        except TemplateProblem as problem:
            raise Refusal(
                f"Row {row.index + 1}: the model's chat template refuses this conversation. {problem.why}",
                code="template_refuses",
                fix="Change or drop the row, or choose another model or template.",
            ) from problem
        limited = self._assistant_only and self._template(row).marks
        return not limited or any(start < end for start, end in written.spans)

    def style(self, row: Row) -> CallStyle:
        """How the row's calls of tools are written."""
        return self._template(row).call_style if has_tools(row, learnt_turns(row)) else "words"

    def messages(self, row: Row) -> tuple[list[Message], list[Message] | None]:
        """The row's messages and tools, as the template takes them."""
        style = self.style(row)
        return template_messages(learnt_turns(row), style), template_tools(row.tools, style)
