"""The words of a question: how they are looked up, and where they stand in a text. No word can be query syntax."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

MOST_WORDS = 32
"""A long prompt is looked up by so many of its words: the longest, which are the rarest by and large."""
LEAST_PREFIX = 4
"""Letters that the start of a word needs to stand for all words that begin with it."""

MOST_MATCHES = 2_500
"""So many passages are ranked, about: words in more of them than that are left to the rarer words beside them."""
COMMON = 300
"""A word that is in more passages than that is found often enough without others that begin like it."""

_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ("ings", "ing", "ies", "es", "ed", "s")
_SAID_OFTEN = """
a about after all also am an and any are as at be because been before being but by can could did do does doing for
from had has have having he her here him his how i if in into is it its just me more most my no not of off on once
only or other our out over own please same she should so some such tell than that the their them then there these
they this those through to too up us very was we were what when where which while who whom why will with would you
your s t d ll m re ve don isn aber als am an auch auf aus bei bin bist da das dass dem den der des die doch du ein
eine einem einen einer eines er es für hat habe haben ich ihr im in ist ja kann kein man mein mich mit nach nicht
noch nur oder sein sich sie sind so und uns von vor war was wenn wer wie wir wird wo zu zum zur
"""
STOP_WORDS = frozenset(_SAID_OFTEN.split())
"""English and German words that say nothing of what a question is about."""


def words_of(question: str) -> list[str]:
    """The words to look for, in lower case and each once. Where all of them are stop words, those."""
    # A capital may be more than one letter in lower case, and one of them a mark.
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", question).lower())
    found = list(dict.fromkeys(_WORD.findall(text)))
    said = [word for word in found if word not in STOP_WORDS] or found
    if len(said) > MOST_WORDS:
        longest = set(sorted(said, key=len, reverse=True)[:MOST_WORDS])
        said = [word for word in said if word in longest]
    return said


def match_expression(question: str, passages_with: Mapping[str, int] | None = None) -> str:
    """`question` as an FTS5 expression: its words quoted and joined by OR; empty where it has none.

    A word also stands for those that begin as it does, without its ending: `resetting` finds `reset`. One that is
    there as it was typed counts twice. `passages_with` tells how many passages have a word: what is everywhere says
    little and costs most, so the rare words go first and the common ones only as far as `MOST_MATCHES` reaches.
    """
    known = passages_with or {}
    terms: list[str] = []
    left = MOST_MATCHES
    for word in sorted(words_of(question), key=lambda word: known.get(word, 0)):
        count = known.get(word, 0)
        if terms and count > left:
            break
        left -= count
        terms.append(f'"{word}"')
        if count <= COMMON and (start := _start_of(word)):
            terms.append(f'"{start}"*')
    return " OR ".join(terms)


def matches(text: str, question: str) -> list[tuple[int, int]]:
    """Where `text` has words of `question`: start and end of each, in order, as the search takes them for the same."""
    words = words_of(question)
    whole = {plain(word) for word in words}
    starts = tuple(plain(start) for start in map(_start_of, words) if start)
    return [found.span() for found in _WORD_WITH_MARKS.finditer(text) if _is_one(found.group(), whole, starts)]


_WORD_WITH_MARKS = re.compile("[^\\W_][^\\W_\u0300-\u036f]*(?:[\u0300-\u036f]+[^\\W_]*)*")


def _is_one(word: str, whole: Iterable[str], starts: tuple[str, ...]) -> bool:
    bare = plain(word)
    return bare in whole or (bool(starts) and bare.startswith(starts))


def plain(word: str) -> str:
    """`word` in lower case without diacritics, as the index has it."""
    parts = unicodedata.normalize("NFD", word.lower())
    return "".join(part for part in parts if not unicodedata.combining(part))


def _start_of(word: str) -> str:
    """What a word begins with, without an ending of English; empty where that is too short to say anything."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST_PREFIX:
            start = word[: -len(ending)]
            return start[:-1] if start[-1] == start[-2] and len(start) > LEAST_PREFIX else start  # resett-ing
    return word if len(word) >= LEAST_PREFIX else ""
