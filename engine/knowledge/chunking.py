"""Notes cut into passages: at headings, then between paragraphs, with a little of what came before."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.knowledge.note import Note, Part
from engine.text import clean, clean_line, shorten
from store.knowledge import NewPassage

WORDS = 200
"""A passage grows until the next paragraph would make it longer."""
MOST_WORDS = 320
"""A fenced block, or a lone paragraph, up to this long is not cut."""
OVERLAP_WORDS = 30
"""The last sentences of a passage, up to so many words, begin the next one of its section."""
LETTERS_A_WORD = 8
"""Text without spaces (long lines of code, Chinese) is measured by its letters."""
MOST_PASSAGES = 20_000
"""Of one file."""
TITLE_LENGTH = 200

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=|-)\1{2,}[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n")


@dataclass
class _Block:
    """A paragraph, a list or a fenced block, with the line that it begins in, from 1."""

    text: str
    line: int
    fenced: bool = False


@dataclass
class _Section:
    """What stands under a heading, up to the next."""

    path: tuple[str, ...]
    line: int
    blocks: list[_Block] = field(default_factory=list)


def passages_of(note: Note) -> list[NewPassage]:
    """The passages of a note, in its order; at most `MOST_PASSAGES`."""
    found: list[NewPassage] = []
    for part in note.parts:
        for section in _sections(part, headings=note.headings):
            title = shorten(" › ".join(section.path) or clean_line(note.name), TITLE_LENGTH)
            for text, line in _cut(section):
                found.append(NewPassage(title, text, _about(part, line)))
                if len(found) >= MOST_PASSAGES:
                    return found
    return found


def size_of(text: str) -> int:
    """How long a text is, in words."""
    return max(len(text.split()), len(text) // LETTERS_A_WORD)


def _about(part: Part, line: int) -> dict[str, int]:
    if part.page is not None:
        return {"page": part.page}
    return {"line": line} if part.lines else {}


def _sections(part: Part, *, headings: bool) -> Iterator[_Section]:
    """The text under each heading. A heading with nothing below it, not even others, is a section of its own words."""
    section = _Section((), 1)
    levels: list[tuple[int, str]] = []
    for block, level in _blocks(clean(part.text), headings=headings):
        if not level:
            section.blocks.append(block)
            continue
        if section.blocks:
            yield section
        elif section.path and level <= levels[-1][0]:
            yield _Section(section.path[:-1], section.line, [_Block(section.path[-1], section.line)])
        levels = [one for one in levels if one[0] < level]
        levels.append((level, clean_line(block.text)))
        section = _Section(tuple(heading for _, heading in levels if heading), block.line)
    if not section.blocks and section.path:
        section = _Section(section.path[:-1], section.line, [_Block(section.path[-1], section.line)])
    if section.blocks:
        yield section


def _blocks(text: str, *, headings: bool) -> Iterator[tuple[_Block, int]]:
    """Blocks with the level of the heading that each is: 0 for none."""
    lines: list[str] = []
    begun = 1
    fence = ""
    for number, line in enumerate(text.split("\n"), 1):
        if fence:
            lines.append(line)
            closing = _FENCE.match(line)
            if closing and closing[1].startswith(fence) and not closing[2].strip():
                yield _Block("\n".join(lines), begun, fenced=True), 0
                lines, fence = [], ""
            continue
        opening = _FENCE.match(line)
        atx = _ATX.match(line) if headings else None
        setext = _SETEXT.match(line) if headings and len(lines) == 1 else None
        if setext:
            yield _Block(lines[0], begun), 1 if setext[1] == "=" else 2
            lines = []
        elif opening or atx or not line.strip():
            if lines:
                yield _Block("\n".join(lines), begun), 0
            lines = []
            if opening:
                lines, begun, fence = [line], number, opening[1]
            elif atx:
                yield _Block(atx[2] or "", number), len(atx[1])
        else:
            begun = begun if lines else number
            lines.append(line)
    if lines:
        yield _Block("\n".join(lines), begun, fenced=bool(fence)), 0


def _cut(section: _Section) -> Iterator[tuple[str, int]]:
    """The texts of a section's passages, each with its line."""
    held: list[str] = []
    held_words = 0
    line = section.line
    fresh = False
    """Whether more is held than what the passage before ended with."""
    for block in section.blocks:
        for text in _pieces(block):
            words = size_of(text)
            if fresh and held_words + words > WORDS:
                yield "\n\n".join(held), line
                tail = _tail(held[-1])
                room = not block.fenced and tail and size_of(tail) + words <= MOST_WORDS
                held, fresh = ([tail] if room else []), False
                held_words = size_of(tail) if room else 0
            line = line if fresh else block.line
            held.append(text)
            held_words += words
            fresh = True
    if fresh:
        yield "\n\n".join(held), line


def _pieces(block: _Block) -> Iterator[str]:
    """A block whole where it is not too long; else its sentences or lines in pieces."""
    if size_of(block.text) <= (MOST_WORDS if block.fenced else WORDS):
        yield block.text
        return
    if block.fenced:
        first, *rest = block.text.split("\n")
        mark = _FENCE.match(first)
        end = mark[1] if mark else "```"
        inside = rest[:-1] if rest and rest[-1].strip() == end else rest
        for piece in _gathered([f"{line}\n" for line in inside], WORDS):
            yield f"{first}\n{piece.rstrip()}\n{end}"
        return
    yield from _gathered(_sentences(block.text), WORDS)


def _gathered(texts: list[str], most: int) -> Iterator[str]:
    """The texts joined, as many at a time as make `most` words."""
    held = ""
    for text in texts:
        for short in _shortened(text, most):
            if held and size_of(held + short) > most:
                yield held.rstrip()
                held = ""
            held += short
    if held.strip():
        yield held.rstrip()


def _shortened(text: str, most: int) -> Iterator[str]:
    """A sentence or a line without an end, cut at spaces where there are some."""
    letters = most * LETTERS_A_WORD
    while size_of(text) > most:
        spaces = [match.end() for match in re.finditer(r"\s+", text[:letters])][:most]
        at = spaces[-1] if spaces and spaces[-1] > 1 else letters
        yield text[:at]
        text = text[at:]
    yield text


def _sentences(text: str) -> list[str]:
    """The sentences of a text; joined they are the text."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True) if end > start]


def _tail(text: str) -> str:
    """The last sentences of a text, up to `OVERLAP_WORDS`; nothing where the last one alone is longer."""
    if _FENCE.match(text.partition("\n")[0]):
        return ""
    tail = ""
    for sentence in reversed(_sentences(text)):
        if size_of(sentence + tail) > OVERLAP_WORDS:
            break
        tail = sentence + tail
    return tail.strip() if tail.strip() != text.strip() else ""
