"""Two versions of a text as one, word by word: what went is struck, what came is green."""

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from textual.content import Content

from tui.text import clean
from tui.widgets.conversation_preview import ROLE_STYLES

if TYPE_CHECKING:
    from engine.datasets.rows import Row, Turn

GONE = "strike $text-error"
CAME = "bold $text-success"
SAME = "$text-muted"

MOST_WORDS = 6_000
"""Longer texts are shown one after the other: comparing them word by word would take seconds."""
MOST_CHARS = 60_000
"""What is drawn of one text."""

Piece = tuple[str, str]
"""A part of a row: its head, and what it says."""

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_SPOKEN = re.compile(r"\w+")


def word_diff(before: str, after: str) -> Content:
    """Both texts in one; what they share is plain. Text is cleaned."""
    before, after = clean(before)[:MOST_CHARS], clean(after)[:MOST_CHARS]
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > MOST_WORDS:
        return Content.assemble((before, GONE), "\n", (after, CAME))
    parts: list[tuple[str, str]] = []
    for gone, came, same in _changes(old, new):
        parts += [(gone, GONE)] if gone else []
        parts += [(came, CAME)] if came else []
        parts += [(same, "")] if same else []
    return Content.assemble(*parts)


def likeness(before: str, after: str) -> float:
    """How much two texts share, word by word and in order: 0 to 1. Blanks, signs and case do not count."""
    old, new = (_SPOKEN.findall(text.casefold()) for text in (before, after))
    if not old and not new:
        return 1.0
    return SequenceMatcher(None, old[:MOST_WORDS], new[:MOST_WORDS], autojunk=False).ratio()


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[str, str, str]]:
    """What went, what came in its place, and what follows that is the same in both.

    A blank or a comma that two changes have between them belongs to both: a phrase is struck as a whole, not word by
    word around its blanks.
    """
    gone = came = ""
    blocks = SequenceMatcher(str.isspace, old, new, autojunk=False).get_opcodes()
    for place, (kind, old_from, old_to, new_from, new_to) in enumerate(blocks):
        before, after = "".join(old[old_from:old_to]), "".join(new[new_from:new_to])
        between = kind == "equal" and (gone or came) and place + 1 < len(blocks) and not _SPOKEN.search(before)
        if kind != "equal" or between:
            gone, came = gone + before, came + after
        else:
            yield gone, came, before
            gone = came = ""
    if gone or came:
        yield gone, came, ""


def row_diff(before: "Row", after: "Row") -> Content:
    """Two rows turn by turn: turns that are the same are dim, the others are compared word by word."""
    parts: list[Content] = []
    if before.split != after.split:
        parts.append(Content.assemble(("split  ", SAME), (before.split, GONE), " ", (after.split, CAME)))
        parts.append(Content(""))
    for old, new in _beside(_pieces(before), _pieces(after)):
        if old is not None and new is not None:
            same = old[1] == new[1]
            body = Content(clean(new[1])[:MOST_CHARS]).stylize(SAME) if same else word_diff(old[1], new[1])
            parts += [_head(new[0], "" if same else "~"), body, Content("")]
        elif old is not None:
            parts += [_head(old[0], "-"), Content(clean(old[1])[:MOST_CHARS]).stylize(GONE), Content("")]
        elif new is not None:
            parts += [_head(new[0], "+"), Content(clean(new[1])[:MOST_CHARS]).stylize(CAME), Content("")]
    return Content("\n").join(parts)


def _beside(old: list[Piece], new: list[Piece]) -> Iterator[tuple[Piece | None, Piece | None]]:
    """The pieces of both rows that have the same head beside each other, in order; alone where the other has none."""
    heads = SequenceMatcher(None, [piece[0] for piece in old], [piece[0] for piece in new], autojunk=False)
    for kind, old_from, old_to, new_from, new_to in heads.get_opcodes():
        if kind == "equal":
            yield from zip(old[old_from:old_to], new[new_from:new_to], strict=True)
            continue
        yield from ((piece, None) for piece in old[old_from:old_to])
        yield from ((None, piece) for piece in new[new_from:new_to])


def _pieces(row: "Row") -> list[Piece]:
    """All that a row says, in pieces with a head each."""
    pieces = [(turn.role, _said(turn)) for turn in row.messages]
    pieces += [(f"chosen {turn.role}", _said(turn)) for turn in row.chosen]
    pieces += [(f"rejected {turn.role}", _said(turn)) for turn in row.rejected]
    pieces += [("label", "good" if row.label else "bad")] if row.label is not None else []
    pieces += [("tools", row.tools)] if row.tools else []
    if row.metadata:
        pieces.append(("metadata", json.dumps(row.metadata, ensure_ascii=False, indent=2)))
    return pieces


def _said(turn: "Turn") -> str:
    return "\n".join(part for part in (turn.content, turn.calls) if part)


def _head(name: str, mark: str) -> Content:
    style = ROLE_STYLES.get(name.split()[-1], "bold $text-muted")
    return Content.assemble((f"{mark} " if mark else "", "bold"), (name, style))
