"""Text longer than its place, scrolled with the keys of a list."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static


class PaneScroll(VerticalScroll, can_focus=True):
    """Shows one text. It is drawn anew only where it is another, and keeps its scroll."""

    DEFAULT_CSS = """
    PaneScroll { height: 1fr; padding: 1 2 0 2; scrollbar-size-vertical: 1; }
    PaneScroll > Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", id="reading.down", show=False),
        Binding("k", "scroll_up", "up", id="reading.up", show=False),
        Binding("ctrl+d", "page_down", "page down", id="reading.page_down", show=False),
        Binding("ctrl+u", "page_up", "page up", id="reading.page_up", show=False),
        Binding("g", "scroll_home", "first", id="reading.first", show=False),
        Binding("G", "scroll_end", "last", id="reading.last", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: Content | None = None

    def compose(self) -> ComposeResult:
        yield Static("", markup=False)

    def show(self, content: Content) -> None:
        """Show this."""
        if self._shown is None or not content.is_same(self._shown):
            self._shown = content
            self.query_one(Static).update(content)


def facts_content(rows: "list[tuple[str, Content | str]]") -> Content:
    """Labels in dim, what is to be said of each beside it; rows without words are left out."""
    told = [(label, words) for label, words in rows if words]
    width = max((len(label) for label, _ in told), default=0)
    return Content("\n").join(
        Content.assemble((label.ljust(width) + "  ", "$text-muted"), words) for label, words in told
    )
