"""A row as JSON, with everything that a terminal would not show written out."""

import json
import re
from typing import TYPE_CHECKING, Any

from textual.content import Content

if TYPE_CHECKING:
    from engine.datasets.rows import Row, Turn

MOST_CHARS = 120_000
_KEY = re.compile(r'^\s*("(?:[^"\\]|\\.)*")(?=: )', re.MULTILINE)
_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
_HIDDEN = re.compile("[\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def raw_content(row: "Row") -> Content:
    """The row as an indented JSON object. Characters that cannot be seen are written as `\\u200b`."""
    text = json.dumps(raw_object(row), ensure_ascii=False, indent=2)
    more = len(text) - MOST_CHARS
    text = _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:MOST_CHARS])
    content = Content(text)
    for found in _KEY.finditer(text):
        content = content.stylize("$text-primary", found.start(1), found.end(1))
    for found in _ESCAPE.finditer(text):
        content = content.stylize("$text-warning", found.start(), found.end())
    return content + Content(f"\n… {more:,} more characters").stylize("$text-muted") if more > 0 else content


def raw_object(row: "Row") -> dict[str, Any]:
    """The row as plain data: empty parts left out."""
    found: dict[str, Any] = {"row": row.index + 1, "split": row.split}
    for name in ("messages", "chosen", "rejected"):
        if turns := getattr(row, name):
            found[name] = [_turn(turn) for turn in turns]
    if row.label is not None:
        found["label"] = row.label
    if row.tools:
        found["tools"] = _parsed(row.tools)
    if row.metadata:
        found["metadata"] = row.metadata
    return found


def _turn(turn: "Turn") -> dict[str, Any]:
    found: dict[str, Any] = {"role": turn.role, "content": turn.content}
    return found | {"tool_calls": _parsed(turn.calls)} if turn.calls else found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
