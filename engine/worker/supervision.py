"""What the model will learn from: checked before the first step."""

from dataclasses import dataclass

import datasets
from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import get_training_chat_template

from engine.runs.protocol import EventWriter
from engine.worker.refusal import Refusal


@dataclass(frozen=True)
class TokenCount:
    """Tokens of the training rows: all of them, and those that carry loss."""

    total: int
    trained: int


def require_generation_block(tokenizer: PreTrainedTokenizerBase, model: str) -> None:
    """Refuse a chat template that cannot tell the assistant's words from the rest. TRL knows the usual families."""
    if tokenizer.chat_template is None:
        raise Refusal(
            f"{model} has no chat template, so conversations cannot be written the way it reads them.",
            code="no_chat_template",
            fix="Choose a chat model (its name often ends in -Instruct or -Chat).",
        )
    if "{% generation %}" in tokenizer.chat_template or "{%- generation" in tokenizer.chat_template:
        return
    try:
        get_training_chat_template(tokenizer)
    except ValueError as error:
        raise Refusal(
            f"The chat template of {model} does not mark what the assistant says (it has no generation block), "
            "so the loss cannot be limited to it.",
            code="no_generation_block",
            fix="Set assistant_only_loss = false to learn from whole conversations, or add the block to the template.",
        ) from error


def check_supervision(rows: datasets.Dataset, writer: EventWriter) -> TokenCount:
    """Count trained tokens. Raises `Refusal` where no row has one; warns where some rows have none."""
    total = trained = empty = 0
    for labels in rows["labels"]:
        supervised = sum(label != -100 for label in labels)
        total += len(labels)
        trained += supervised
        empty += not supervised
    if not trained:
        raise Refusal(
            "No token of the dataset would be trained: every answer is cut off or missing.",
            code="nothing_to_learn",
            fix="Raise max_length, or look at the rows: each needs an assistant's turn.",
        )
    if empty:
        writer.write(
            "alert",
            level="warning",
            code="rows_without_supervision",
            message=f"{empty:,} of {len(rows):,} training rows have no trained token: their answers are cut off.",
            fix="Raise max_length.",
        )
    return TokenCount(total, trained)
