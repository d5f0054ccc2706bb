"""A line at the foot of a pane where one types what to look for; it is there only while something is looked for."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

PAUSE_S = 0.12
"""How long one has stopped typing before the search follows."""


class FindLine(Horizontal):
    """Enter keeps the words and gives the keys back to the pane; Esc ends the search."""

    DEFAULT_CSS = """
    FindLine {
        height: 1; padding: 0 1; display: none; background: $surface;
        &.-open { display: block; }
        #slash { width: 2; color: $footer-key-foreground; text-style: bold; }
        Input, Input:focus { width: 1fr; background: $surface; padding: 0; border: none; }
        #count { width: auto; padding-left: 2; color: $text-muted; }
        &.-none #count { color: $text-warning; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "end the search", id="find.close", show=False),
    ]

    class Changed(Message):
        """Other words are looked for; empty where the search has ended."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The pane gets its keys back: Enter was pressed, or Esc."""

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.placeholder = placeholder
        self.text = ""
        """What is looked for, as it was announced last."""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static("/", id="slash", markup=False)
        yield Input(compact=True, placeholder=self.placeholder, select_on_focus=True)
        yield Static("", id="count", markup=False)

    @property
    def is_open(self) -> bool:
        """Whether something is looked for, or about to be."""
        return self.has_class("-open")

    def start(self) -> None:
        """Open the line and put the cursor into it."""
        self.add_class("-open")
        self.query_one(Input).focus()

    def show_count(self, words: str, *, none: bool = False) -> None:
        """Say how much was found, at the right end; `none` where that is nothing."""
        self.query_one("#count", Static).update(words)
        self.set_class(none, "-none")

    def action_close(self) -> None:
        """End the search."""
        self.query_one(Input).value = ""
        self.remove_class("-open")
        self._announce()
        self.post_message(self.Left())

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._announce)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            self.action_close()
            return
        self._announce()
        self.post_message(self.Left())

    def _announce(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        text = self.query_one(Input).value.strip()
        if text != self.text:
            self.text = text
            self.post_message(self.Changed(text))
