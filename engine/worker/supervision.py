"""What the model will learn from: checked before the first step."""

from dataclasses import dataclass

import datasets
from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import get_training_chat_template, has_generation_markers

from engine.runs.protocol import EventWriter
from engine.worker.refusal import Refusal
from engine.worker.templates import no_template


@dataclass(frozen=True)
class TokenCount:
    """Tokens of the training rows: all of them, and those that carry loss."""

    total: int
    trained: int


def require_generation_block(tokenizer: PreTrainedTokenizerBase, model: str) -> None:
    """Refuse a chat template that cannot tell the assistant's words from the rest. TRL knows the usual families."""
    if tokenizer.chat_template is None:
        raise no_template(model)
    if has_generation_markers(tokenizer.chat_template):
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


def check_supervision(
    rows: datasets.Dataset, writer: EventWriter, *, given: int | None = None, left_out: int = 0
) -> TokenCount:
    """Count trained tokens of the prepared `rows`, packed or not. Raises `Refusal` where no row has one.

    Warns of rows that have none: `given` is how many rows were handed to TRL, which drops those whose answer is cut
    off; `left_out` how many were not handed over, for they have no wanted answer.
    """
    total = trained = taught = 0
    packed = rows["seq_lengths"] if "seq_lengths" in rows.column_names else None
    seen = 0
    for place, labels in enumerate(rows["labels"]):
        total += len(labels)
        start = 0
        for length in packed[place] if packed is not None else [len(labels)]:
            supervised = sum(label != -100 for label in labels[start : start + length])
            start += length
            trained += supervised
            taught += bool(supervised)
            seen += 1
    if not trained:
        raise Refusal(
            "No token of the dataset would be trained: every answer is cut off or missing.",
            code="nothing_to_learn",
            fix="Raise max_length, or look at the rows: each needs an assistant's turn.",
        )
    if left_out:
        writer.write(
            "alert",
            level="warning",
            code="rows_without_answer",
            message=f"{left_out:,} training rows have no wanted answer; they are left out.",
            fix="Nothing, if that is meant: a row is learnt from where an assistant speaks and its label is not false.",
        )
    empty = max(seen, given or 0) - taught
    if empty:
        writer.write(
            "alert",
            level="warning",
            code="rows_without_supervision",
            message=f"{empty:,} of {max(seen, given or 0):,} training rows have no trained token: "
            "their answers are cut off.",
            fix="Raise max_length.",
        )
    return TokenCount(total, trained)
