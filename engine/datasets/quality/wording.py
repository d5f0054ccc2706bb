"""Phrases that another model left in the answers."""

import re
from collections.abc import Iterator

from engine.datasets.quality.findings import Fault
from engine.datasets.rows import Row

_MODEL_TALK = re.compile(
    r"\bas an? (?:artificial intelligence|ai|large language model|language model)\b"
    r"(?! (?:researcher|engineer|developer|expert|company|startup))"
    r"|\bI(?:'m|’m| am) (?:just |only )?an? (?:ai|artificial intelligence|large)(?: language)? (?:model|assistant)\b",
    re.IGNORECASE,
)
_BEGINNING_CHARS = 200


def check_wording(row: Row, _kind: str) -> Iterator[Fault]:
    """Answers that begin by saying that they are a language model's. Of a pair only the chosen answer is learnt."""
    name, turns = ("chosen", row.chosen) if row.chosen else ("messages", row.messages)
    for place, turn in enumerate(turns):
        if turn.role == "assistant" and (found := _MODEL_TALK.search(turn.content, 0, _BEGINNING_CHARS)):
            yield Fault("boilerplate", f"{name}[{place}].content", f"says {found.group()!r}")


def opening(answer: str) -> str:
    """The first words of an answer that is more than them."""
    words = answer.split(maxsplit=2 * _OPENING_WORDS)
    return " ".join(words[:_OPENING_WORDS]).casefold() if len(words) > 2 * _OPENING_WORDS else ""


_OPENING_WORDS = 3
