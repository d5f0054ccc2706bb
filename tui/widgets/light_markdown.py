"""Markdown as styled text: headings, emphasis, code, lists, quotes, tables. Fast enough for a key held down.

Textual's `Markdown` mounts a widget a block, far too much for looking through rows. What is not understood stays as it
was written, so nothing of an answer is ever lost.
"""

import re
from collections.abc import Iterator

from textual.content import Content

from tui.widgets.markdown_table import table_content, table_length

_MARKS = re.compile(
    r"^ {0,3}(#{1,6} |```|~~~|[-*+] |\d{1,3}[.)] |> |\|.*\|\s*$|(?:[-*_] ?){3,}\s*$)|\*\*\S|`[^`\n]+`|\]\(\S",
    re.MULTILINE,
)
_FENCE = re.compile(r"^\s{0,3}(```+|~~~+)\s*(\S*)\s*$")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.*?)(?: +#+)?\s*$")
_RULE = re.compile(r"^ {0,3}(?:(?:- ?){3,}|(?:\* ?){3,}|(?:_ ?){3,})$")
_BULLET = re.compile(r"^(\s*)[-*+] (?=\S)")
_NUMBER = re.compile(r"^(\s*\d{1,3}[.)]) (?=\S)")
_QUOTE = re.compile(r"^ {0,3}> ?")
_INLINE = re.compile(
    r"(?P<code>`+)(?P<coded>[^`\n]+?)(?P=code)"
    r"|\*\*(?P<bold>[^*\s](?:[^*\n]*[^*\s])?)\*\*"
    r"|(?<![\w*])\*(?P<slant>[^*\s](?:[^*\n]*[^*\s])?)\*(?![\w*])"
    r"|~~(?P<struck>[^~\n]+)~~"
    r"|\[(?P<label>[^\]\n]+)\]\((?P<target>[^)\s]+)\)"
)

CODE = "$text-accent"
MUTED = "$text-muted"


def has_marks(text: str) -> bool:
    """Whether there is Markdown in a text that is worth drawing."""
    return _MARKS.search(text) is not None


def markdown_content(text: str, width: int = 0) -> Content:
    """`text`, which is clean already, with its Markdown drawn; tables at most `width` cells wide, 0 for no bound."""
    return Content("\n").join(markdown_line(line, kind, width) for line, kind in markdown_lines(text))


def markdown_lines(text: str) -> Iterator[tuple[str, str]]:
    """The lines that are drawn of `text`, each with its kind: plain, `code`, or the `name` of a code's language.

    A `table` comes whole, its lines together.
    """
    fence = ""
    lines = text.split("\n")
    after = 0
    for place, line in enumerate(lines):
        if place < after:
            continue
        if not fence and (length := table_length(lines, place)):
            after = place + length
            yield "\n".join(lines[place:after]), "table"
            continue
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2]:
                fence = ""
            else:
                yield line, "code"
        elif found:
            fence = found[1]
            if found[2]:
                yield found[2], "name"
        else:
            yield line, ""


def markdown_line(line: str, kind: str, width: int = 0) -> Content:
    """One of `markdown_lines`, drawn; a table at most `width` cells wide, 0 for no bound."""
    if kind == "table":
        return table_content(line, _inline, width)
    if kind == "code":
        return Content.assemble(("▎ ", MUTED), (line, CODE))
    return Content(line).stylize(MUTED) if kind == "name" else _line(line)


def _line(line: str) -> Content:
    if heading := _HEADING.match(line):
        return _inline(heading[1]).stylize_before("bold underline")
    if _RULE.match(line):
        return Content("─" * 20).stylize(MUTED)
    if quote := _QUOTE.match(line):
        return Content.assemble(("▎ ", MUTED), _inline(line[quote.end() :]).stylize_before(MUTED))
    if bullet := _BULLET.match(line):
        return Content.assemble(f"{bullet[1]}", ("• ", CODE), _inline(line[bullet.end() :]))
    if number := _NUMBER.match(line):
        return Content.assemble((f"{number[1]} ", CODE), _inline(line[number.end() :]))
    return _inline(line)


def _inline(text: str) -> Content:
    parts: list[str | tuple[str, str]] = []
    place = 0
    for found in _INLINE.finditer(text):
        parts.append(text[place : found.start()])
        place = found.end()
        if coded := found["coded"]:
            parts.append((coded, CODE))
        elif bold := found["bold"]:
            parts.append((bold, "bold"))
        elif slant := found["slant"]:
            parts.append((slant, "italic"))
        elif struck := found["struck"]:
            parts.append((struck, "strike"))
        else:
            parts += [(found["label"], "underline"), (f" ({found['target']})", MUTED)]
    return Content.assemble(*parts, text[place:])
