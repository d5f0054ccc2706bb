"""Preference pairs and verdicts: what both answers answer to, the better answer and the worse."""

from collections.abc import Sequence
from typing import Any

from engine.datasets.rows import RowError, Turn, json_kind
from engine.datasets.shapes.names import VERDICTS
from engine.datasets.shapes.text import parsed, shown, text_of
from engine.datasets.shapes.transcript import is_transcript, turns_in
from engine.datasets.shapes.turns import are_parts, turn_of, turns_of


def verdict_of(value: Any) -> bool | None:
    """What a label says of an answer: `True`, 1, `"true"`, a thumb; `None` for what is no verdict."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        return VERDICTS.get(value.strip().lower().replace(" ", "").replace("_", "").replace("-", ""))
    return None


def label_of(value: Any, field: str) -> bool:
    """The verdict. Raises `RowError` for what is none."""
    found = verdict_of(value)
    if found is None:
        what = json_kind(value) if value is None or isinstance(value, (list, dict)) else shown(value)
        raise RowError(field, f"is {what}; a verdict is true or false, 1 or 0")
    return found


def answer_turns(value: Any, field: str, ignored: set[str]) -> list[Turn]:
    """One answer of a pair as turns: a text, a transcript, one message, or a list of messages. Raises `RowError`."""
    if isinstance(value, str):
        if is_transcript(value):
            return turns_in(value, field)
        found = parsed(value)
        if not isinstance(found, list) or not found or not all(isinstance(item, dict) for item in found):
            return [Turn("assistant", text_of(value, field))]
        value = found
    if isinstance(value, dict):
        return [turn_of(value, field, ignored)]
    if are_parts(value):
        return [Turn("assistant", text_of(value, field))]
    return turns_of(value, field, ignored)


def divide(
    chosen: Sequence[Turn], rejected: Sequence[Turn], fields: tuple[str, str]
) -> tuple[list[Turn], list[Turn], list[Turn]]:
    """What both answers have in common at their start, and each one's rest. Raises `RowError`.

    Both rests start with the assistant: where one goes on with another question, the two answer different prompts.
    """
    for turns, field in zip((chosen, rejected), fields, strict=True):
        if not turns or turns[-1].role != "assistant":
            role = turns[-1].role if turns else "missing"
            raise RowError(field, f"ends with a {role} turn; the last turn must be the assistant's")
    most = min(len(chosen), len(rejected)) - 1
    same = 0
    while same < most and chosen[same] == rejected[same]:
        same += 1
    # What a tool answers belongs to its call, and one answer of several turns is not cut.
    while same and ("tool" in (chosen[same].role, rejected[same].role) or chosen[same - 1].role == "assistant"):
        same -= 1
    if chosen[same].role != "assistant" or rejected[same].role != "assistant":
        raise RowError(fields[1], f"does not answer the same prompt as {fields[0]}")
    # A conversation's first words may be the assistant's: without a question they are part of the answers.
    if not any(turn.role in ("user", "system") for turn in chosen[:same]):
        same = 0
    return list(chosen[:same]), list(chosen[same:]), list(rejected[same:])
