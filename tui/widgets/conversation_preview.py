"""A conversation as a person reads it: roles in colour, metadata dim."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.text import clean, clean_line, shorten

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


class ConversationPreview(VerticalScroll):
    """One row of a dataset, whole."""

    DEFAULT_CSS = """
    ConversationPreview { height: 1fr; scrollbar-size-vertical: 1; }
    ConversationPreview Static { height: auto; width: 1fr; }
    """

    def compose(self) -> ComposeResult:
        yield Static("", markup=False)

    def show(self, row: "Row | None", found: str = "") -> None:
        """Show a row from its top; `found` is marked wherever it occurs."""
        content = Content("") if row is None else conversation_content(row, found)
        self.query_one(Static).update(content)
        self.scroll_home(animate=False)


def conversation_content(row: "Row", found: str = "") -> Content:
    """A row's turns under their roles, then its metadata."""
    parts: list[Content] = []
    for turn in row.messages:
        text = clean(turn.content)
        more = f"\n… {len(text) - MOST_CHARS:,} more characters" if len(text) > MOST_CHARS else ""
        body = Content(text[:MOST_CHARS])
        if found:
            body = _marked(body, found)
        parts.append(Content.assemble((turn.role, ROLE_STYLES.get(turn.role, "bold"))))
        parts += [body + Content(more).stylize("$text-muted"), Content("")]
    if row.metadata:
        width = max(len(clean_line(str(key))) for key in row.metadata)
        lines = [
            f"{clean_line(str(key)).ljust(min(width, 24))}  {_shown(value)}" for key, value in row.metadata.items()
        ]
        parts.append(Content("\n".join(lines)).stylize("$text-muted"))
    return Content("\n").join(parts)


def turn_lines(turns: "Sequence[Turn]", width: int, most: int = 4) -> list[Content]:
    """The first turns of a conversation, one line each."""
    lines = []
    for turn in turns[:most]:
        words = shorten(clean_line(turn.content[:500]), max(10, width - 11))
        lines.append(Content.assemble((f"{turn.role:<9}  ", ROLE_STYLES.get(turn.role, "bold")), words))
    return lines


def first_words(row: "Row") -> str:
    """What the user asks first, on one line."""
    turn = next((one for one in row.messages if one.role == "user"), row.messages[0] if row.messages else None)
    return clean_line(turn.content[:300]) if turn else ""


def _shown(value: Any) -> str:
    return shorten(clean_line(value if isinstance(value, str) else repr(value)), 400)


def _marked(content: Content, found: str) -> Content:
    """`content` with every place of `found` marked, whatever the case."""
    plain, wanted = content.plain.lower(), found.lower()
    if len(plain) != len(content.plain):  # lower case is longer: places would not fit
        return content
    start = plain.find(wanted)
    while start >= 0 and wanted:
        content = content.stylize("reverse", start, start + len(wanted))
        start = plain.find(wanted, start + len(wanted))
    return content
