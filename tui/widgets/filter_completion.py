"""The list under a filter line: what can be typed next, each with what it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.ink import ink

if TYPE_CHECKING:
    from store.completion import Completion

MOST_ROWS = 8
NARROW, WIDE = 12, 34
DETAIL = 40
"""The most cells of the words beside a completion."""


class FilterCompletion(Widget):
    """Lies over what is below, never in focus: the filter line moves it, takes from it and closes it."""

    DEFAULT_CSS = """
    FilterCompletion {
        overlay: screen; constrain: inside inside; display: none; height: auto; width: auto;
        background: $surface; color: $foreground;
        .filter-completion--chosen { background: $block-cursor-background; color: $block-cursor-foreground; }
        .filter-completion--detail { color: $text-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"filter-completion--chosen", "filter-completion--detail"}
    ALLOW_SELECT = False

    class Clicked(Message):
        """A completion was clicked; it is the chosen one now."""

    def __init__(self) -> None:
        super().__init__()
        self.offers: Sequence[Completion] = ()
        self._chosen = 0
        self._top = 0
        self._widths = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether there is something to choose from."""
        return bool(self.display)

    @property
    def chosen(self) -> "Completion":
        """The one that would be taken."""
        return self.offers[self._chosen]

    def open(self, offers: "Sequence[Completion]", column: int) -> None:
        """Show these, the first one chosen, below the given column of the line."""
        self.offers = offers
        self._chosen = self._top = 0
        names = max(len(clean_line(offer.insert)) for offer in offers)
        details = max(len(clean_line(offer.detail)) for offer in offers)
        self._widths = max(NARROW, min(WIDE, names)), min(DETAIL, details)
        self.styles.offset = (column, 0)
        self.styles.width = sum(self._widths) + 4
        self.styles.height = min(MOST_ROWS, len(offers)) + 1
        self.display = True
        self.refresh()

    def close(self) -> None:
        """Show nothing."""
        self.display = False

    def choose(self, rows: int) -> None:
        """Choose another one; round the ends."""
        self._chosen = (self._chosen + rows) % len(self.offers)
        self._top = max(min(self._top, self._chosen), self._chosen - MOST_ROWS + 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        width = self.size.width
        names, details = self._widths
        dim = base + ink(self, "filter-completion--detail")
        number = self._top + y
        if y == min(MOST_ROWS, len(self.offers)):
            place = f"{self._chosen + 1}/{len(self.offers)}" if len(self.offers) > MOST_ROWS else ""
            return Strip([Segment(fitted(f" tab takes it  ↑↓  esc {place}", width), dim)]).adjust_cell_length(width)
        if number >= len(self.offers):
            return Strip.blank(width, base)
        offer = self.offers[number]
        if number == self._chosen:
            base = dim = base + self.get_component_rich_style("filter-completion--chosen")
        segments = [
            Segment(f" {fitted(clean_line(offer.insert), names)}  ", base),
            Segment(f"{fitted(clean_line(offer.detail), details)} ", dim),
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if self._top + event.y < len(self.offers) and event.y < MOST_ROWS:
            self._chosen = self._top + event.y
            self.post_message(self.Clicked())
