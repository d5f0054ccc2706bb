"""From conversations to hashed sets of shingles and to MinHash signatures: what "alike" is measured on.

Two texts are as alike as their sets of shingles overlap (Jaccard: shared over all). A shingle is three words in a row,
but for case, width and spacing; a character of a script written without spaces (Chinese, Japanese, Thai…) is a word of
its own, so that texts in two scripts need no rule of their own. Texts of fewer than `SHORT_WORDS` words are taken in
five characters in a row. (Broder, On the resemblance and containment of documents, 1997.)
"""

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from engine.datasets.rows import Row, Turn

if TYPE_CHECKING:
    from numpy import uint32, uint64
    from numpy.typing import NDArray

PERMUTATIONS = 128
"""Numbers in a signature: the likeness estimated from two is off by 0.044 at most (one standard deviation)."""

SHORT_WORDS = 8
_WORDS = 3
_CHARACTERS = 5
_SEED = 1
_REMEMBERED = 250_000
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_SPACELESS}]|[^\\s{_SPACELESS}]+")
_PLAIN_WORD = re.compile(f"[{_SPACELESS}]|[^\\W{_SPACELESS}]+")
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)


def normal(text: str) -> str:
    """`text` but for case, width and other ways of writing the same characters, and for spacing."""
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.split())


def compared(row: Row) -> tuple[str, str]:
    """The text of a row that counts: what is said and called, and apart from it the rejected answer.

    System turns are left out (unless there is nothing else): one that all rows share would make all rows alike.
    """
    turns = [turn for turn in (*row.messages, *row.chosen) if turn.role != "system"]
    return _text(turns or row.messages), _text(row.rejected)


def _text(turns: Sequence[Turn]) -> str:
    return normal("\n".join(f"{turn.content}\n{turn.calls}" if turn.calls else turn.content for turn in turns))


class _Hashes(dict[str, int]):
    """Words to 64 bits, the same in every process; the latest are remembered."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        value = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        self[word] = value
        return value


_hashes = _Hashes()


def shingle_sets(texts: Sequence[Sequence[str]]) -> "tuple[NDArray[uint32], NDArray[Any]]":
    """The hashed shingles of all texts, one text after the other, ascending and each once; and how many each text has.

    A text is a sequence of parts, normalised; equal words in different parts make different shingles, and no shingle
    reaches over the end of a part. Only a text without any character has no shingles.
    """
    import numpy as np

    words: list[int] = []
    word_parts: list[tuple[int, int, int]] = []
    characters: list[Any] = []
    character_parts: list[tuple[int, int, int]] = []
    for index, parts in enumerate(texts):
        split = [part.split() if part.isascii() else _WORD.findall(part) for part in parts]
        short = sum(map(len, split)) < SHORT_WORDS
        for place, (part, found) in enumerate(zip(parts, split, strict=True)):
            if not part:
                continue
            if short:
                units = np.frombuffer(part.ljust(_CHARACTERS, "\0").encode("utf-32-le", "surrogatepass"), np.uint32)
                characters.append(units)
                character_parts.append((index, place, len(units)))
            else:
                found += [""] * (_WORDS - len(found))
                words.extend(map(_hashes.__getitem__, found))
                word_parts.append((index, place, len(found)))
    keys = [
        _shingles(np.array(words, np.uint64), word_parts, _WORDS),
        _shingles(
            np.concatenate([np.zeros(0, np.uint32), *characters]).astype(np.uint64), character_parts, _CHARACTERS
        ),
    ]
    unique = np.unique(np.concatenate(keys))
    sizes = np.bincount((unique >> np.uint64(32)).astype(np.int64), minlength=len(texts))
    return unique.astype(np.uint32), sizes


def word_sets(texts: Sequence[str]) -> "tuple[NDArray[uint32], NDArray[Any]]":
    """As `shingle_sets`, of single words without punctuation: what texts are about, whatever they say of it."""
    import numpy as np

    words: list[int] = []
    parts: list[tuple[int, int, int]] = []
    for index, text in enumerate(texts):
        found = set(_PLAIN_WORD.findall(text)) or {text}
        words.extend(map(_hashes.__getitem__, found))
        parts.append((index, 0, len(found)))
    unique = np.unique(_shingles(np.array(words, np.uint64), parts, 1))
    return unique.astype(np.uint32), np.bincount((unique >> np.uint64(32)).astype(np.int64), minlength=len(texts))


def _shingles(units: "NDArray[uint64]", parts: list[tuple[int, int, int]], width: int) -> "NDArray[uint64]":
    """Each run of `width` units within a part, as the number of its text (upper 32 bits) and its hash (lower 32)."""
    import numpy as np

    if not parts:
        return np.zeros(0, np.uint64)
    texts, places, lengths = (np.array(column, np.uint64) for column in zip(*parts, strict=True))
    repeats = lengths.astype(np.int64)
    left = np.repeat(np.cumsum(repeats), repeats) - np.arange(len(units))
    starts = np.flatnonzero(left >= width)
    mixed = (np.repeat(places, repeats)[starts] + np.uint64(width)) * np.uint64(_FACTORS[-1])
    for step in range(width):
        mixed = (mixed ^ units[starts + step]) * np.uint64(_FACTORS[step])
        mixed ^= mixed >> np.uint64(29)
    return (np.repeat(texts, repeats)[starts] << np.uint64(32)) | (mixed >> np.uint64(32))


def digests(shingles: "NDArray[uint32]", sizes: "NDArray[Any]") -> "NDArray[uint32]":
    """MinHash signatures of the sets, shape (sets, `PERMUTATIONS`)."""
    import numpy as np
    import rensa

    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)
    tokens = shingles.astype(np.uint64) * np.uint64(_FACTORS[0])
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(tokens, offsets, PERMUTATIONS, _SEED)
    return np.array(matrix.to_rows(), np.uint32).reshape(len(sizes), PERMUTATIONS)
