"""The line above charts in which one says which of them to see."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class ChartFilter(Horizontal):
    """An input after a slash, there only while there is a pattern or one is being typed."""

    DEFAULT_CSS = """
    ChartFilter {
        height: 1; padding: 0 1; display: none;
        #slash { width: 2; color: $footer-key-foreground; text-style: bold; }
        Input, Input:focus { width: 1fr; background: $background; padding: 0; }
        #count { width: auto; color: $text-muted; padding-left: 2; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "all charts", id="chart.filter_clear", show=False, key_display="esc"),
        Binding("down", "leave", "to the charts", id="chart.filter_leave", show=False),
    ]

    class Changed(Message):
        """Another pattern was typed."""

        def __init__(self, pattern: str) -> None:
            super().__init__()
            self.pattern = pattern

    class Left(Message):
        """The keys are to be the charts' again."""

    def compose(self) -> ComposeResult:
        yield Static("/", id="slash", markup=False)
        yield Input(compact=True, placeholder="words of a chart's name: loss, gpu memory, eval*", select_on_focus=False)
        yield Static("", id="count", markup=False)

    def start(self) -> None:
        """Show the line and put the cursor into it."""
        self.display = True
        self.query_one(Input).focus()

    def clear(self) -> None:
        """Take the pattern away, and the line with it."""
        self.query_one(Input).value = ""
        self.display = False

    def show_count(self, found: int, of: int) -> None:
        """Show how many charts match."""
        self.query_one("#count", Static).update(f"{found} of {of} charts")

    def action_clear(self) -> None:
        self.clear()
        self.post_message(self.Left())

    def action_leave(self) -> None:
        self.display = bool(self.query_one(Input).value.strip())
        self.post_message(self.Left())

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value.strip()))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave()
