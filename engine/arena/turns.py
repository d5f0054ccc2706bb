"""Conversations of which two models hold one each: the same questions, answers of their own.

A vote has one list of messages, and the last answer of each side. Where more than one turn was asked, the earlier
answers stand between the questions, both in one message: `{"role": "assistant", "left": TEXT, "right": TEXT}`.
"""

from collections.abc import Sequence

LEFT, RIGHT = "left", "right"
Messages = tuple[dict[str, str], ...]


def merged(asked: Sequence[dict[str, str]], more: Sequence[str], left: Sequence[str], right: Sequence[str]) -> Messages:
    """The messages of a vote: what was `asked` first, the questions after it, all answers but the last of each side."""
    messages = [dict(message) for message in asked]
    for question, said, replied in zip(more, left, right, strict=False):
        messages += [{"role": "assistant", LEFT: said, RIGHT: replied}, {"role": "user", "content": question}]
    return tuple(messages)


def known_to(messages: Sequence[dict[str, str]], side: str) -> list[dict[str, str]]:
    """The messages as the model of that side, `left` or `right`, knows them."""
    return [
        {"role": message["role"], "content": message[side]} if side in message else dict(message)
        for message in messages
    ]


def shared(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """What was the same for both: all up to the first question that they answered apart."""
    return [dict(message) for message in messages[: _apart(messages)]]


def answers(messages: Sequence[dict[str, str]], side: str, last: str) -> list[str]:
    """What that side said, one text a turn; `last` is its last answer."""
    return [*(message[side] for message in messages if side in message), last]


def said_by(messages: Sequence[dict[str, str]], side: str, last: str) -> list[dict[str, str]]:
    """The messages after the shared ones, as that side knows them, its last answer included."""
    return [*known_to(messages[_apart(messages) :], side), {"role": "assistant", "content": last}]


def turned(messages: Sequence[dict[str, str]]) -> Messages:
    """The messages with left and right exchanged."""
    return tuple(
        {"role": message["role"], LEFT: message[RIGHT], RIGHT: message[LEFT]} if LEFT in message else dict(message)
        for message in messages
    )


def same(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether two models said the same, the space around it aside. Nobody can prefer one then."""
    return [text.strip() for text in left] == [text.strip() for text in right]


def _apart(messages: Sequence[dict[str, str]]) -> int:
    return next((place for place, message in enumerate(messages) if LEFT in message), len(messages))
