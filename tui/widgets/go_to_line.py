"""The line one types a row's number into: over the list, so that nothing moves, and Enter is there at once."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class GoToLine(Horizontal):
    """An input after a colon; its parent puts it on a layer above."""

    DEFAULT_CSS = """
    GoToLine {
        height: 1;
        padding: 0 1;
        background: $panel;
        #colon { width: 2; color: $footer-key-foreground; text-style: bold; }
        Input, Input:focus { width: 1fr; background: $panel; padding: 0; }
        #range { width: auto; color: $text-muted; padding-left: 2; }
    }
    """

    class Submitted(Message):
        """Enter, with what was typed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def compose(self) -> ComposeResult:
        yield Static(":", id="colon", markup=False)
        yield Input(compact=True, placeholder="number of a row", select_on_focus=False)
        yield Static("", id="range", markup=False)

    def start(self, total: int) -> None:
        """Ask for a row of `total`."""
        self.display = True
        self.query_one("#range", Static).update(f"1 to {total:,} · enter goes there")
        entry = self.query_one(Input)
        entry.value = ""
        entry.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(event.value))
