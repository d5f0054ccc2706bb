"""Conversations written as one text: `Human: …`, a blank line, `Assistant: …`."""

import re
from typing import Any

from engine.datasets.rows import RowError, Turn
from engine.datasets.shapes.text import text_of

_SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|User|Assistant|System):")
_ROLES = {"Human": "user", "User": "user", "Assistant": "assistant", "System": "system"}


def is_transcript(value: Any) -> bool:
    """Whether a text starts with what somebody says, and the assistant answers."""
    if not isinstance(value, str) or "Assistant:" not in value:
        return False
    speakers = _SPEAKER.findall(value)
    return len(speakers) > 1 and "Assistant" in speakers[1:] and _SPEAKER.match(value) is not None


def turns_in(text: str, field: str) -> list[Turn]:
    """The turns of a transcript; an answer that is still to be given is none. Raises `RowError`."""
    marks = list(_SPEAKER.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    turns = []
    for index, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        said = text[mark.end() : end].strip()
        role = _ROLES[mark.group(1)]
        if not said and role == "assistant" and index == len(marks) - 1:
            break
        turns.append(Turn(role, text_of(said, f"{field}, turn {index + 1},")))
    if not turns:
        raise RowError(field, "is a transcript in which nobody says anything")
    return turns
