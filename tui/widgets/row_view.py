"""Where a row is read: a text that scrolls, from its top for each new row."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static


class RowView(VerticalScroll, can_focus=False):
    """Shows one text; the same row in another view keeps its place."""

    DEFAULT_CSS = """
    RowView { height: 1fr; scrollbar-size-vertical: 1; }
    RowView Static { height: auto; width: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._of: object = None

    def compose(self) -> ComposeResult:
        yield Static("", markup=False)

    def show(self, content: Content, of: object = None) -> None:
        """Show a text. `of` says what it is about: the view goes to the top when that changes."""
        self.query_one(Static).update(content)
        if of != self._of:
            self._of = of
            self.scroll_home(animate=False)

    def scroll_pages(self, pages: float) -> None:
        """Scroll by so many screens."""
        self.scroll_relative(y=round(pages * max(1, self.size.height)), animate=False)
