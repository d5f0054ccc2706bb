"""Passages of notes as text: where each is from, its heading, its lines with the words that were asked marked."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from textual.content import Content

from tui.text import clean, clean_line, shorten
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from store.talk_records import Passage

FIRST_LINES = 3
"""So many lines of a passage tell what it is about."""
LINE_LENGTH = 300
MOST_MARKED = 20_000
"""Characters of a passage in which words are marked."""
FOLDED, UNFOLDED = "▸", "▾"


def passages_content(passages: "Sequence[Passage]", *, folded: bool = True, question: str = "") -> Content:
    """The passages that an answer is based on: one line while folded, else each with its first lines."""
    head = f"{FOLDED if folded else UNFOLDED} {count_words(len(passages), 'passage')}"
    if folded:
        sources = " · ".join(dict.fromkeys(place_of(passage) for passage in passages))
        return Content.assemble((f"{head}  {shorten(sources, LINE_LENGTH)}", "$text-muted"))
    parts = [Content.assemble((head, "$text-muted"))]
    parts += [passage_content(passage, question, lines=FIRST_LINES, indent="  ") for passage in passages]
    return Content("\n").join(parts)


def passage_content(passage: "Passage", question: str = "", *, lines: int | None = None, indent: str = "") -> Content:
    """One passage: its source and heading, then its first `lines` lines, or all of them."""
    from store.knowledge_words import matches

    every = [line for line in clean(passage.text).splitlines() if line.strip() or lines is None]
    shown = every if lines is None else [shorten(line, LINE_LENGTH) for line in every[:lines]]
    text = "\n".join(f"{indent}{line}" for line in shown)
    body = Content(text)
    for start, end in matches(text[:MOST_MARKED], question) if question else ():
        body = body.stylize("bold $text-accent", start, end)
    head = Content.assemble(
        indent, (place_of(passage), "$text-primary"), "  ", (clean_line(passage.title), "bold"), "\n"
    )
    more = len(every) - len(shown)
    rest = Content.assemble((f"\n{indent}{count_words(more, 'more line')}", "$text-muted")) if more > 0 else Content("")
    return head + body + rest


def place_of(passage: "Passage") -> str:
    """Where a passage is from: `guide.pdf, page 3`."""
    name = clean_line(PurePath(passage.source).name) or "a note"
    for kind in ("page", "line"):
        if number := passage.about.get(kind):
            return f"{name}, {kind} {number}"
    return name
