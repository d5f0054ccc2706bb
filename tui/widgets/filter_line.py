"""The line one filters a list in: words, what came of them, what is wrong with them, and what can be typed next."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from tui.widgets.filter_completion import FilterCompletion

if TYPE_CHECKING:
    from store.completion import Completion

PAUSE_S = 0.12
"""How long one has stopped typing before a list follows that takes long to read."""


class FilterLine(Vertical):
    """An input after a slash; `count` at the right end; a line below, only where there is something to say.

    With `completes` it asks what can be typed next (`Asked`), and `offer` shows the answer.
    """

    DEFAULT_CSS = """
    FilterLine {
        height: auto;
        padding: 0 1;
        Horizontal { height: 1; }
        #slash { width: 2; color: $footer-key-foreground; text-style: bold; }
        Input, Input:focus { width: 1fr; background: $background; padding: 0; }
        #count { width: auto; color: $text-muted; padding-left: 2; }
        #about { height: auto; display: none; color: $text-muted; }
        #about.-problem { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "take", "take what is offered", id="filter.take", show=False, priority=True),
        Binding("right", "take_at_end", "take what is offered", id="filter.take_too", show=False, priority=True),
        Binding("down", "choose(1)", "next offer", id="filter.next", show=False, priority=True),
        Binding("up", "choose(-1)", "previous offer", id="filter.previous", show=False, priority=True),
        Binding("escape", "close", "close the offers", id="filter.close", show=False, priority=True),
    ]

    class Changed(Message):
        """Typing has paused, and the words are others than before."""

        def __init__(self, query: str) -> None:
            super().__init__()
            self.query = query

    class Submitted(Message):
        """Enter, or down where nothing is offered: back to the list."""

    class Asked(Message):
        """What can be typed at `cursor` of `text`? `offer` takes the answer."""

        def __init__(self, text: str, cursor: int) -> None:
            super().__init__()
            self.text = text
            self.cursor = cursor

    def __init__(self, placeholder: str, *, pause_s: float = PAUSE_S, completes: bool = False) -> None:
        super().__init__()
        self.placeholder = placeholder
        self.query_text = ""
        """The words as they were last announced."""
        self._pause_s = pause_s
        self._completes = completes
        self._problem = ""
        self._hint = ""
        self._timer: Timer | None = None
        self._closed_at = -1
        """Where the term begins for which the offers were closed by hand."""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static("/", id="slash", markup=False)
            yield Input(compact=True, placeholder=self.placeholder, select_on_focus=False)
            yield Static("", id="count", markup=False)
        yield Static("", id="about", markup=False)
        yield FilterCompletion()

    @property
    def typing(self) -> bool:
        """Whether the input is in focus."""
        return self.screen.focused is self._input

    @property
    def value(self) -> str:
        """What stands in the input now."""
        return self._input.value

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    @property
    def _offers(self) -> FilterCompletion:
        return self.query_one(FilterCompletion)

    def start(self) -> None:
        """Put the cursor into the input."""
        self._input.focus()

    def clear(self) -> None:
        """Empty the input; the list follows at once."""
        self.set_query("")

    def set_query(self, query: str) -> None:
        """Put these words into the input; the list follows at once, and nothing is offered."""
        with self._input.prevent(Input.Changed):
            self._input.value = query
        self._input.cursor_position = len(query)
        self._offers.close()
        self._announce()

    def show_count(self, words: str) -> None:
        """Show how much there is, at the right end."""
        self.query_one("#count", Static).update(words)

    def show_problem(self, words: str) -> None:
        """Say what is wrong with the filter; empty where nothing is."""
        self._problem = " ".join(words.splitlines())
        self._show_about()

    def show_hint(self, words: str) -> None:
        """Say what may be meant instead; empty where there is nothing to say."""
        self._hint = words
        self._show_about()

    def _show_about(self) -> None:
        words = self._problem or self._hint
        about = self.query_one("#about", Static)
        about.set_class(bool(self._problem), "-problem")
        about.display = bool(words)
        about.update(words)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        if self._pause_s:
            self._timer = self.set_timer(self._pause_s, self._announce)
        else:
            self._announce()
        self._ask()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self._offers.close()
        self._announce()
        self.post_message(self.Submitted())

    def _announce(self) -> None:
        query = self.value.strip()
        if query != self.query_text:
            self.query_text = query
            self.post_message(self.Changed(query))

    # What can be typed next

    def on_descendant_focus(self) -> None:
        self._closed_at = -1
        self._ask()

    def on_descendant_blur(self) -> None:
        self._offers.close()

    def _ask(self) -> None:
        if self._completes and self.typing:
            self.post_message(self.Asked(self.value, self._input.cursor_position))

    def offer(self, text: str, cursor: int, offers: "Sequence[Completion]") -> None:
        """Show what can be typed at `cursor` of `text`; nothing happens where more has been typed meanwhile."""
        if not self.typing or (text, cursor) != (self.value, self._input.cursor_position):
            return
        offers = [offer for offer in offers if offer.insert.casefold() != text[offer.start : offer.end].casefold()]
        start = offers[0].start if offers else -1
        if not offers or start == self._closed_at:
            self._offers.close()
            return
        self._closed_at = -1
        column = self._input.cursor_screen_offset.x - self.content_region.x - (cursor - start)
        self._offers.open(offers, max(0, column - 2))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "take_at_end":
            return self._offers.is_open and self._input.cursor_position == len(self.value)
        if action in ("take", "close"):
            return self._offers.is_open
        if action == "choose":
            return self.typing and (self._offers.is_open or parameters == (1,))
        return super().check_action(action, parameters)

    def action_choose(self, rows: int) -> None:
        """Another offer; with none, down goes to the list."""
        if self._offers.is_open:
            self._offers.choose(rows)
        else:
            self._announce()
            self.post_message(self.Submitted())

    def action_close(self) -> None:
        """Offer nothing more for this term."""
        self._closed_at = self._offers.chosen.start
        self._offers.close()

    def action_take_at_end(self) -> None:
        self.action_take()

    @on(FilterCompletion.Clicked)
    def action_take(self) -> None:
        """Put what is chosen in the place of what was typed of it."""
        from store.completion import completed

        text, cursor = completed(self.value, self._offers.chosen)
        self._input.value = text
        self._input.cursor_position = cursor
        self._input.focus()
