"""A conversation as a person reads it: roles in colour, answers with their Markdown drawn, metadata dim."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content

from tui.text import clean, clean_line, shorten
from tui.widgets.light_markdown import has_marks, markdown_content

if TYPE_CHECKING:
    from engine.datasets.rows import Row, Turn

ROLE_STYLES = {
    "system": "bold $text-muted",
    "user": "bold $text-primary",
    "assistant": "bold $text-success",
    "tool": "bold $text-warning",
}
MOST_CHARS = 60_000
"""What is drawn of one turn; the rest is counted."""
MOST_MARKDOWN = 20_000
"""Longer answers are drawn as they are."""
MUTED = "$text-muted"


def conversation_content(row: "Row", found: str = "", width: int = 0) -> Content:
    """A row whole: what is on offer, its turns under their roles, both answers of a pair, verdict, metadata.

    `found` is marked wherever it occurs. Tables are made to fit `width` cells; 0 is without a bound.
    """
    parts: list[Content] = []
    if row.tools:
        parts += [_tools_content(row.tools), Content("")]
    parts += _turns(row.messages, found, width)
    for turns, title, style in (
        (row.chosen, "chosen", "bold $text-success"),
        (row.rejected, "rejected", "bold $text-error"),
    ):
        if turns:
            mark = "✓" if title == "chosen" else "✗"
            parts.append(Content.assemble((f"── {mark} {title} ", style), ("─" * 24, style)))
            parts += _turns(turns, found, width)
    if row.label is not None:
        words = ("✓ good answer", "bold $text-success") if row.label else ("✗ bad answer", "bold $text-error")
        parts += [Content.assemble(("label  ", MUTED), words), Content("")]
    if row.metadata:
        width = max(len(clean_line(str(key))) for key in row.metadata)
        lines = [
            f"{clean_line(str(key)).ljust(min(width, 24))}  {_shown(value)}" for key, value in row.metadata.items()
        ]
        parts.append(_marked(Content("\n".join(lines)).stylize(MUTED), found))
    return Content("\n").join(parts)


def _turns(turns: "Sequence[Turn]", found: str, width: int) -> list[Content]:
    parts: list[Content] = []
    for turn in turns:
        parts.append(Content.assemble((turn.role, ROLE_STYLES.get(turn.role, "bold"))))
        text = clean(turn.content)
        if text or not turn.calls:
            parts.append(_body(turn, text, found, width))
        if turn.calls:
            parts.append(_marked(_calls_content(turn.calls), found))
        parts.append(Content(""))
    return parts


def _body(turn: "Turn", text: str, found: str, width: int) -> Content:
    if not text.strip():
        return Content("(empty)" if not text else f"(only white space, {len(text)} characters)").stylize(
            "italic $text-warning"
        )
    more = f"\n… {len(text) - MOST_CHARS:,} more characters" if len(text) > MOST_CHARS else ""
    shown = text[:MOST_CHARS]
    body = Content(shown)
    if turn.role == "assistant" and len(shown) <= MOST_MARKDOWN and has_marks(shown):
        drawn = markdown_content(shown, width)
        # a match that runs over a mark is not in what is drawn
        body = drawn if not found or found.lower() in drawn.plain.lower() else body
    body = _marked(body, found)
    return body + Content(more).stylize(MUTED) if more else body


def _calls_content(calls: str) -> Content:
    """Tool calls: the name, then the arguments, as one would write them."""
    lines: list[Content] = []
    for call in _items(calls):
        name = clean_line(str(call.get("name", "?"))) if isinstance(call, dict) else "?"
        arguments = call.get("arguments", {}) if isinstance(call, dict) else call
        if isinstance(arguments, str):
            arguments = _parsed(arguments)
        if isinstance(arguments, dict):
            inside = ", ".join(f"{clean_line(str(key))}={_json(value)}" for key, value in arguments.items())
        else:
            inside = _json(arguments)
        lines.append(Content.assemble(("→ ", "$text-warning"), (name, "bold $text-warning"), f"({clean(inside)})"))
    return Content("\n").join(lines) if lines else Content(clean(calls))


def _tools_content(tools: str) -> Content:
    """The tools on offer: one a line, with what each does."""
    lines = [Content.assemble(("tools on offer", "bold $text-warning"))]
    for tool in _items(tools):
        about = tool.get("function", tool) if isinstance(tool, dict) else {}
        if not isinstance(about, dict):
            about = {}
        name = clean_line(str(about.get("name", "?")))
        parameters = about.get("parameters")
        fields = parameters.get("properties", parameters) if isinstance(parameters, dict) else None
        inside = ", ".join(clean_line(str(key)) for key in fields) if isinstance(fields, dict) else ""
        words = shorten(clean_line(str(about.get("description", ""))), 120)
        lines.append(Content.assemble((f"  {name}", "bold"), f"({inside})", (f"  {words}", MUTED)))
    return Content("\n").join(lines)


def _items(text: str) -> list[Any]:
    found = _parsed(text)
    return found if isinstance(found, list) else [found] if isinstance(found, dict) else []


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def turn_lines(turns: "Sequence[Turn]", width: int, most: int = 4) -> list[Content]:
    """The first turns of a conversation, one line each."""
    lines = []
    for turn in turns[:most]:
        words = shorten(clean_line(turn.content[:500]), max(10, width - 11))
        lines.append(Content.assemble((f"{turn.role:<9}  ", ROLE_STYLES.get(turn.role, "bold")), words))
    return lines


def first_words(row: "Row") -> str:
    """What the user asks first, on one line; of plain text, how it begins."""
    turns = row.messages or row.chosen
    turn = next((one for one in turns if one.role == "user"), turns[0] if turns else None)
    return clean_line(turn.content[:300]) if turn else ""


def _shown(value: Any) -> str:
    return shorten(clean_line(value if isinstance(value, str) else _json(value)), 400)


def _marked(content: Content, found: str) -> Content:
    """`content` with every place of `found` marked, whatever the case."""
    plain, wanted = content.plain.lower(), found.lower()
    if not wanted or len(plain) != len(content.plain):  # lower case is longer: places would not fit
        return content
    start = plain.find(wanted)
    while start >= 0:
        content = content.stylize("reverse", start, start + len(wanted))
        start = plain.find(wanted, start + len(wanted))
    return content
