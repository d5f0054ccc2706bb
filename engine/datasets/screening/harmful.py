"""Harmful content by lists of terms: `words/*.toml`, one file a category, and a list of the user's own.

A term is found whatever its case, as whole words. The lists hold terms that are plain in themselves; they say what to
look at, not what is wrong: a text against violence speaks of it too.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.datasets.screening.rules import Hit
from engine.errors import BadInput

if TYPE_CHECKING:
    import regex

WORDS = Path(__file__).parent / "words"

_LIMIT_S = 1.0
"""How long a pattern of the user may look at one text."""

_CONTEXT_WORDS = 4
_WORD = re.compile(r"[^\W_]+")


@lru_cache(maxsize=1)
def categories() -> dict[str, tuple[str, ...]]:
    """The terms of each category, in lower case."""
    found = {}
    for path in sorted(WORDS.glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        found[str(data["category"])] = tuple(dict.fromkeys(term.casefold() for term in data["terms"]))
    return found


@lru_cache(maxsize=1)
def _by_word() -> dict[str, tuple[tuple[str, str], ...]]:
    """Terms with their categories, by their longest word: only a text with that word can hold the term."""
    found: dict[str, list[tuple[str, str]]] = {}
    for category, terms in categories().items():
        for term in terms:
            words = _WORD.findall(term)
            key = max(words, key=len)
            for form in (key, f"{key}s") if key == words[-1] else (key,):
                found.setdefault(form, []).append((category, term))
    return {word: tuple(terms) for word, terms in found.items()}


def find_terms(text: str) -> Iterator[Hit]:
    """One place of every category in `text`."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow; places must be those of the text
        lowered = "".join(char.lower()[0] for char in text)
    known = _by_word()
    told: set[str] = set()
    for word in sorted(known.keys() & set(_WORD.findall(lowered))):
        for category, term in known[word]:
            if category not in told and (span := _whole(term, lowered)):
                told.add(category)
                yield Hit(category, *span, in_context(text, *span))


def _whole(term: str, lowered: str) -> tuple[int, int] | None:
    """Where `term` stands as whole words; a plural `s` belongs to it."""
    start = lowered.find(term)
    while start >= 0:
        end = start + len(term)
        if end < len(lowered) and lowered[end] == "s" and term[-1].isalpha():
            end += 1
        before, after = lowered[start - 1 : start], lowered[end : end + 1]
        if not (before.isalnum() or before == "_" or after.isalnum() or after == "_"):
            return start, end
        start = lowered.find(term, start + 1)
    return None


def in_context(text: str, start: int, end: int) -> str:
    """What was found between the words beside it, of which only plain words are shown: no number, no address."""
    before = text[max(0, start - 60) : start].split(" ")[-_CONTEXT_WORDS - 1 :]
    after = text[end : end + 60].split(" ")[: _CONTEXT_WORDS + 1]
    parts = [" ".join(map(_plain, before)), _found(text[start:end]), " ".join(map(_plain, after))]
    shown = "".join(parts).replace("\n", " ").strip()
    return f"{'…' if start > 60 else ''}{shown}{'…' if end + 60 < len(text) else ''}"


def _plain(word: str) -> str:
    return word if len(word) <= 20 and not re.search(r"[\d@\\/_=]", word) else "…"


def _found(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


@dataclass(frozen=True)
class OwnList:
    """The user's terms, and patterns with the lines they stand in."""

    terms: tuple[str, ...]
    patterns: tuple[tuple[int, str], ...]


def read_own(path: Path) -> OwnList:
    """A list with one term or `/pattern/` a line; empty lines and lines that begin with # say nothing.

    Raises `BadInput`, naming the line, for a pattern that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "It is not UTF-8 text."
        raise BadInput(f"The list {path} cannot be read.", why=why, fix="Give a text file, one term a line.") from error
    terms: list[str] = []
    patterns: list[tuple[int, str]] = []
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if len(line) > 2 and line.startswith("/") and line.endswith("/"):
            _compiled(line[1:-1], number, path.name)
            patterns.append((number, line[1:-1]))
        else:
            terms.append(line)
    if not terms and not patterns:
        raise BadInput(f"The list {path} holds no term.", fix="Write one term or /pattern/ a line.")
    return OwnList(tuple(terms), tuple(patterns))


def find_own(text: str, own: OwnList) -> Iterator[Hit]:
    """The first place of every own term and pattern. Raises `BadInput` for a pattern that takes too long."""
    lowered = text.casefold()
    same = len(lowered) == len(text)
    for term in own.terms:
        if term.casefold() in lowered and (span := _whole(term.casefold(), lowered)):
            yield Hit(term, *span, in_context(text, *span) if same else _found(term))
    for number, pattern in own.patterns:
        try:
            match = _compiled(pattern, number).search(text, timeout=_LIMIT_S)
        except TimeoutError:
            raise BadInput(
                f"The pattern /{pattern}/ in line {number} of the list takes too long.",
                why=f"It looked at one text of {len(text):,} characters for more than {_LIMIT_S:g} s.",
                fix="Avoid repeats within repeats, such as (a+)+.",
            ) from None
        if match and match.group():
            yield Hit(f"/{pattern}/", match.start(), match.end(), in_context(text, match.start(), match.end()))


@lru_cache(maxsize=512)
def _compiled(pattern: str, number: int, source: str = "the list") -> "regex.Pattern[str]":
    import regex

    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise BadInput(
            f"Line {number} of {source} is no pattern: /{pattern}/.",
            why=str(error),
            fix="Correct it, or write the line without slashes to look for the text itself.",
        ) from error
