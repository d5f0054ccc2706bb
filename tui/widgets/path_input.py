"""A path that is typed, with what it could become below it."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.text import clean_line, shorten
from tui.widgets.path_candidates import Candidate, common_start

PAUSE_S = 0.15
"""So long nobody types until it is looked where a path leads."""
BESIDE = 18
"""Cells beside the candidates: the label, the margins, the scrollbar."""
LEAST = 30


class PathInput(Vertical):
    """Says when there is a path to look at (`Typed`), and is told what it could be completed to (`show`).

    Tab and the arrow keys are about the candidates as long as there are some; then they are the form's.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", id="import.complete"),
        Binding("down", "move(1)", "down", id="import.down"),
        Binding("up", "move(-1)", "up", id="import.up"),
    ]
    DEFAULT_CSS = """
    PathInput { height: auto; }
    PathInput > OptionList { display: none; }
    PathInput.-completes > OptionList { display: block; }
    """

    class Typed(Message):
        """Nobody types any more: here is a path to look at."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, value: str = "", *, label: str = "from", placeholder: str = "") -> None:
        super().__init__()
        self.found: Sequence[Candidate] = ()
        """What the path could become."""
        self._first = value
        self._label = label
        self._placeholder = placeholder
        self._timer: Timer | None = None
        self._put_in = ""

    def compose(self) -> ComposeResult:
        with Horizontal(classes="line"):
            yield Static(self._label, classes="label", markup=False)
            yield Input(self._first, id="path", compact=True, placeholder=self._placeholder, select_on_focus=False)
        listing = OptionList(id="candidates", markup=False)
        listing.can_focus = False
        yield listing

    def on_mount(self) -> None:
        self._input.action_end()

    @property
    def _input(self) -> Input:
        return self.query_one("#path", Input)

    @property
    def _listing(self) -> OptionList:
        return self.query_one("#candidates", OptionList)

    @property
    def value(self) -> str:
        """What is typed."""
        return self._input.value

    @property
    def typing(self) -> bool:
        """Whether the cursor is in it."""
        return self.screen.focused is self._input

    def start(self) -> None:
        """Put the cursor into it."""
        self._input.focus()

    def show(self, found: Sequence[Candidate]) -> None:
        """Offer these below it, the first one marked."""
        self.found = found
        listing = self._listing
        listing.clear_options()
        room = max(LEAST, self.size.width - BESIDE)
        for one in found:
            label = shorten(clean_line(one.label), room)
            detail = shorten(clean_line(one.detail), max(0, room - len(label) - 2))
            listing.add_option(Option(Content.assemble(label, (f"  {detail}" if detail else "", "dim"))))
        if found:
            listing.highlighted = 0
        self.set_class(bool(found), "-completes")

    def take(self) -> None:
        """Put the marked candidate in."""
        if self.found:
            self._put(self.found[self._listing.highlighted or 0].text)

    def _put(self, text: str) -> None:
        self._put_in = text
        self._input.value = text
        self._input.cursor_position = len(text)
        self.start()

    @on(Input.Changed, "#path")
    def _changed(self, event: Input.Changed) -> None:
        if self._timer is not None:
            self._timer.stop()
        chosen, self._put_in = event.value == self._put_in, ""
        if chosen and event.value:  # nobody is in the middle of a word
            self._look()
        else:
            self._timer = self.set_timer(PAUSE_S, self._look)

    def _look(self) -> None:
        self.post_message(self.Typed(self.value))

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._put(self.found[event.option_index].text)

    def action_complete(self) -> None:
        """Complete the path as far as it is certain, else take the marked candidate."""
        shared = common_start(list(self.found), self.value) if self.value else ""
        if len(shared) > len(self.value):
            self._put(shared)
        else:
            self.take()

    def action_move(self, rows: int) -> None:
        """Mark another candidate."""
        self._listing.highlighted = ((self._listing.highlighted or 0) + rows) % len(self.found)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.found) if action in ("complete", "move") else True
