"""Counting emoji as people see them: a family of four joined into one picture is one."""

import regex

# UTS #51: a flag, a keycap, or a picture with its skin tone, joined to others. Digits, © and the like, which are text
# unless a variation selector follows, are no emoji.
_PICTURE = r"(?:\p{Emoji_Presentation}|\p{Emoji}\uFE0F)\p{Emoji_Modifier}?"
_EMOJI = regex.compile(
    rf"\p{{RI}}\p{{RI}}|[0-9#*]\uFE0F?\u20E3|{_PICTURE}(?:\u200D\p{{Emoji}}\uFE0F?\p{{Emoji_Modifier}}?)*"
)


def count_emoji(text: str) -> int:
    """How many emoji `text` shows."""
    return 0 if text.isascii() else sum(1 for _ in _EMOJI.finditer(text))
