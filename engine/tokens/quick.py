"""Counting by tiktoken's encoder with a model's own vocabulary, several times as fast as `tokenizers`.

For the byte-level tokenizers of most present models (GPT-2, Llama 3, Qwen, the starter). What cannot be had exactly in
this way is not: `quick_encoder` gives `None`, and `encode` too for a text that would have to be normalised first.
"""

import json
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

GPT2_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""How a byte-level tokenizer splits text that does not say how."""


class QuickEncoding:
    """An encoded text: its length in tokens, and which token a character is in."""

    __slots__ = ("_ascii", "_ends", "_text")

    def __init__(self, text: str, ends: Any, ascii: bool) -> None:
        self._text = text
        self._ends = ends  # (tokens,) bytes up to the end of each
        self._ascii = ascii

    def __len__(self) -> int:
        return len(self._ends)

    def char_to_token(self, char: int) -> int | None:
        """The token that the character's first byte is in."""
        if not 0 <= char < len(self._text):
            return None
        place = char if self._ascii else len(self._text[:char].encode())
        return int(self._ends.searchsorted(place, "right"))


class QuickEncoder:
    """Encodes text, added tokens included, as the tokenizer it was made of."""

    def __init__(self, encoding: Any, lengths: Any, normalised: bool) -> None:
        self._encoding = encoding
        self._lengths = lengths  # (tokens,) bytes of each
        self._normalised = normalised

    def encode(self, text: str) -> QuickEncoding | None:
        """`None` for a text that the tokenizer would change first."""
        ascii = text.isascii()
        if self._normalised and not ascii and not unicodedata.is_normalized("NFC", text):
            return None
        ids = self._encoding.encode_to_numpy(text, allowed_special="all", disallowed_special=())
        return QuickEncoding(text, self._lengths[ids].cumsum(), ascii)


def quick_encoder(file: Path) -> QuickEncoder | None:
    """An encoder for the tokenizer in `file` (tokenizer.json), or `None` where it works in another way."""
    try:
        import numpy as np
        import tiktoken
    except ImportError:
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    model, added = found["model"], found["added_tokens"]
    words = _words(found["pre_tokenizer"])
    normalised = (found["normalizer"] or {}).get("type")
    if words is None or normalised not in (None, "NFC") or not _plain(model, added) or _trims(found["post_processor"]):
        return None
    ranks = _ranks(model, {token["content"] for token in added})
    if ranks is None:
        return None
    special = {token["content"]: len(ranks) + place for place, token in enumerate(added)}
    try:
        encoding = tiktoken.Encoding(file.parent.name, pat_str=words, mergeable_ranks=ranks, special_tokens=special)
    except Exception:  # its own regular expressions know less than those of `tokenizers`
        return None
    lengths = np.zeros(len(ranks) + len(special), dtype=np.int64)
    for token, rank in ranks.items():
        lengths[rank] = len(token)
    for content, rank in special.items():
        lengths[rank] = len(content.encode())
    return QuickEncoder(encoding, lengths, normalised is not None)


def _words(splitter: Any) -> str | None:
    """The regular expression that splits text into words before they are encoded as bytes; `None` for other ways."""
    if not splitter:
        return None
    steps = splitter["pretokenizers"] if splitter["type"] == "Sequence" else [splitter]
    if steps[-1]["type"] != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return None
    by_itself = steps[-1].get("use_regex", True)
    if len(steps) == 1:
        return GPT2_WORDS if by_itself else None
    if len(steps) > 2 or by_itself or steps[0]["type"] != "Split":
        return None
    pattern = steps[0]["pattern"].get("Regex")
    return pattern if steps[0]["behavior"] == "Isolated" and not steps[0].get("invert") else None


def _plain(model: Any, added: list[Any]) -> bool:
    """Whether merges are all there is to the model, and each added token stands for its own text and no more."""
    extras = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if model.get("type") != "BPE" or any(model.get(name) for name in extras):
        return False
    if any(token.get(flag) for token in added for flag in ("lstrip", "rstrip", "single_word")):
        return False
    # tiktoken takes the first that fits, `tokenizers` the longest
    contents = sorted(token["content"] for token in added)
    return not any(other.startswith(one) for one, other in pairwise(contents))


def _trims(step: Any) -> bool:
    """Whether spaces are taken out of the tokens' places afterwards."""
    if not step:
        return False
    steps = step["processors"] if step["type"] == "Sequence" else [step]
    return any(one["type"] not in ("ByteLevel", "TemplateProcessing") or one.get("trim_offsets") for one in steps)


def _ranks(model: Any, added: set[str]) -> dict[bytes, int] | None:
    """Tokens as bytes, by the order in which they are merged; `None` where some cannot be merged."""
    values = _byte_values()
    vocabulary = model["vocab"]
    if any(char not in vocabulary for char in values):
        return None
    ranks = {bytes([value]): value for value in range(256)}
    try:
        for merge in model["merges"]:
            one, other = merge.split(" ") if isinstance(merge, str) else merge
            token = bytes(values[char] for char in one + other)
            ranks.setdefault(token, len(ranks))
        merged = all(bytes(values[char] for char in token) in ranks for token in vocabulary if token not in added)
    except (KeyError, ValueError):  # a character that stands for no byte
        return None
    return ranks if merged or not model.get("ignore_merges") else None


def _byte_values() -> dict[str, int]:
    """The bytes that the characters of a byte-level vocabulary stand for: printable ones for themselves."""
    values: dict[str, int] = {}
    beyond = 256
    for value in range(256):
        printable = 33 <= value <= 126 or 161 <= value <= 172 or 174 <= value <= 255
        values[chr(value) if printable else chr(beyond)] = value
        beyond += not printable
    return values
