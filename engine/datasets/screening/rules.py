"""A rule of screening: what to look for in a text, what of it counts, and how it is shown without giving it away."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Hit(NamedTuple):
    """A place in a text that a rule found; `excerpt` gives nothing away that should not be in a report."""

    rule: str
    start: int
    end: int
    excerpt: str


def masked(text: str) -> str:
    """The first characters and the length: enough to find it again, too little to use it."""
    shown = 4 if len(text) >= 16 else 2 if len(text) >= 8 else 1
    return f"{text[:shown]}… ({len(text)} characters)"


@dataclass(frozen=True)
class Rule:
    """`pattern` finds candidates, its group `it` (or the whole) is what counts; `counts` says whether it does.

    `sign` is a cheap test that a text without candidates fails. `mask` gives the excerpt.
    """

    name: str
    pattern: re.Pattern[str]
    sign: Callable[[str], object]
    counts: Callable[[re.Match[str]], bool] = lambda _match: True
    mask: Callable[[str], str] = masked

    def hits(self, text: str) -> Iterator[Hit]:
        if not self.sign(text):
            return
        named = "it" in self.pattern.groupindex
        for match in self.pattern.finditer(text):
            if self.counts(match):
                start, end = match.span("it" if named else 0)
                yield Hit(self.name, start, end, self.mask(text[start:end]))


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)
