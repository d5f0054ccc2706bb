"""Words that an answer had better not have, and answers that decline: by lists, and which word it was is shown.

A list finds what it names and nothing else, and finds it in a warning as well as in an insult. It shows where to read.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import regex

from engine.errors import BadInput
from engine.home import Home

OWN = "safety.toml"
"""The user's lists, in finetui's folder."""
_LISTS = "safety_words.toml"
_REFUSALS = "refusals.txt"
_REFUSES_WITHIN = 160
"""Characters at an answer's beginning in which it declines, if it does."""


@dataclass(frozen=True)
class Flag:
    """A word of a list, found in a text: `text[start:end]` is how it stands there."""

    category: str
    word: str
    start: int
    end: int


@dataclass(frozen=True)
class WordList:
    """Words and phrases of one kind; a `*` at the end stands for any further letters."""

    category: str
    words: tuple[str, ...]

    @cached_property
    def pattern(self) -> Any:
        return _pattern(self.words)


def flags(text: str, lists: Sequence[WordList]) -> list[Flag]:
    """What the lists find in a text, in the order in which it stands there."""
    plain = text.replace("’", "'")
    found = [
        Flag(one.category, " ".join(match[0].casefold().split()), match.start(), match.end())
        for one in lists
        for match in one.pattern.finditer(plain)
    ]
    return sorted(found, key=lambda flag: (flag.start, flag.category))


def is_refusal(text: str) -> bool:
    """Whether an answer begins by declining, by the phrases of `refusals.txt`."""
    return _refusals().search(text.strip().replace("’", "'")[:_REFUSES_WITHIN]) is not None


def word_lists(home: Home) -> tuple[WordList, ...]:
    """The shipped lists, with the user's: a list of the same name takes its place, an empty one takes it away.

    Raises `BadInput` where the user's file cannot be read.
    """
    path = home.root / OWN
    if not path.is_file():
        return shipped_lists()
    try:
        own = _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The safety lists in {path} cannot be read.",
            why=str(error),
            fix='A list is a table with its words: [names] and under it words = ["first", "second"].',
        ) from error
    together = {one.category: one for one in (*shipped_lists(), *own)}
    return tuple(one for one in together.values() if one.words)


@lru_cache(maxsize=1)
def shipped_lists() -> tuple[WordList, ...]:
    """The lists that come with finetui."""
    return _parse((files("engine.evaluation") / _LISTS).read_text(encoding="utf-8"))


def _parse(text: str) -> tuple[WordList, ...]:
    """Raises `ValueError` for what is no such file."""
    lists = []
    for category, table in tomllib.loads(text).items():
        words = table.get("words") if isinstance(table, dict) else None
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip(" *") for word in words):
            raise ValueError(f"{category} has no list of words")
        lists.append(WordList(category, tuple(words)))
    return tuple(lists)


@lru_cache(maxsize=1)
def _refusals() -> Any:
    lines = (files("engine.evaluation") / _REFUSALS).read_text(encoding="utf-8").splitlines()
    return _pattern([line.strip() for line in lines if line.strip() and not line.startswith("#")])


def _pattern(words: Sequence[str]) -> Any:
    """Whole words, in any case, with any white space between them. The longest first: it says the most."""
    parts = []
    for word in sorted(words, key=len, reverse=True):
        stem = r"\s+".join(map(regex.escape, word.rstrip("*").split()))
        parts.append(stem + (r"\w*" if word.endswith("*") else ""))
    return regex.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)" if parts else r"(?!)", regex.IGNORECASE)
