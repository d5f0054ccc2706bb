"""Counting tokens the same way for every model, so that lengths compare: by an encoding, or a model's tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.tokens.chunk import byte_count, encoding_count
from engine.tokens.count import BYTES, ENCODING
from engine.tokens.encodings import find_encoding

if TYPE_CHECKING:
    from engine.home import Home
    from engine.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class TokenCounter:
    """`count` says how many tokens a text has, by what `name` says; `note` why it is not by `cl100k_base`."""

    name: str
    count: Callable[[str], int]
    note: str = ""


def token_counter(home: "Home", fallback: "Callable[[], Tokenizer | None]" = lambda: None) -> TokenCounter:
    """By tiktoken's `cl100k_base`; where its file is not to be had, by what `fallback` gives, else by the bytes.

    May wait some seconds for a network (see `find_encoding`): for a thread.
    """
    found = find_encoding(home, ENCODING)
    if found.folder is not None:
        return TokenCounter(ENCODING, encoding_count(ENCODING, str(found.folder)))
    tokenizer = fallback()
    if tokenizer is not None:
        backend = tokenizer.backend
        note = f"{found.problem} Counted by the tokenizer of {tokenizer.name} instead."
        return TokenCounter(
            tokenizer.name, lambda text: len(backend.encode(text, add_special_tokens=False).ids), note=note
        )
    note = f"{found.problem} Estimated from the bytes instead."
    return TokenCounter(BYTES, byte_count, note=note)
