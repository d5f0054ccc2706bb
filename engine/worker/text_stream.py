"""Turns tokens into text as they come, without ever showing half a character."""

from collections.abc import Sequence
from typing import Any

UNFINISHED = "�"
"""What decoders write for bytes that are no character yet: the first tokens of an emoji."""


class TextStream:
    """The text of one answer, token by token.

    Only a short window of tokens is decoded each time. It starts at a token where the text was whole, one such place
    back, so that a space that belongs between two tokens is kept. Unfinished bytes wait for the token that completes
    them, and are dropped where none does. `after` are tokens that the text goes on from, where a space between it and
    them counts.
    """

    def __init__(self, tokenizer: Any, after: Sequence[int] = ()) -> None:
        self.text = ""
        self.tokens = 0
        self._tokenizer = tokenizer
        self._window = list(after)
        self._whole = len(self._window)  # tokens of the window up to the last place where the text was whole
        self._shown = self._decode() if after else ""  # text of the window that was handed out

    def push(self, token: int) -> str:
        """The text that `token` completes; empty while a character is unfinished."""
        self.tokens += 1
        self._window.append(token)
        decoded = self._decode()
        stable = decoded.rstrip(UNFINISHED)
        delta = stable[len(self._shown) :]
        self.text += delta
        if stable == decoded:
            self._window = self._window[self._whole :]
            self._whole = len(self._window)
            self._shown = self._decode()
        elif delta:
            self._shown = stable
        return delta

    def _decode(self) -> str:
        text = self._tokenizer.decode(self._window, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)
