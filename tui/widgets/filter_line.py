"""The line one filters a list in: words, what came of them, and what is wrong with them."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

PAUSE_S = 0.12
"""How long one has stopped typing before the list follows."""


class FilterLine(Vertical):
    """An input after a slash; `count` at the right end; `problem` below, only where there is one."""

    DEFAULT_CSS = """
    FilterLine {
        height: auto;
        padding: 0 1;
        Horizontal { height: 1; }
        #slash { width: 2; color: $footer-key-foreground; text-style: bold; }
        Input, Input:focus { width: 1fr; background: $background; padding: 0; }
        #count { width: auto; color: $text-muted; padding-left: 2; }
        #problem { height: auto; color: $text-error; display: none; }
    }
    """

    class Changed(Message):
        """Typing has paused, and the words are others than before."""

        def __init__(self, query: str) -> None:
            super().__init__()
            self.query = query

    class Submitted(Message):
        """Enter: back to the list."""

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.placeholder = placeholder
        self.query_text = ""
        """The words as they were last announced."""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static("/", id="slash", markup=False)
            yield Input(compact=True, placeholder=self.placeholder, select_on_focus=False)
            yield Static("", id="count", markup=False)
        yield Static("", id="problem", markup=False)

    @property
    def typing(self) -> bool:
        """Whether the input is in focus."""
        return self.query_one(Input).has_focus

    @property
    def value(self) -> str:
        """What stands in the input now."""
        return self.query_one(Input).value

    def start(self) -> None:
        """Put the cursor into the input."""
        self.query_one(Input).focus()

    def clear(self) -> None:
        """Empty the input; the list follows at once."""
        self.query_one(Input).value = ""
        self._announce()

    def show_count(self, words: str) -> None:
        """Show how much there is, at the right end."""
        self.query_one("#count", Static).update(words)

    def show_problem(self, words: str) -> None:
        """Say what is wrong with the filter; empty where nothing is."""
        problem = self.query_one("#problem", Static)
        problem.display = bool(words)
        problem.update(" ".join(words.splitlines()))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._announce)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self._announce()
        self.post_message(self.Submitted())

    def _announce(self) -> None:
        query = self.value.strip()
        if query != self.query_text:
            self.query_text = query
            self.post_message(self.Changed(query))
