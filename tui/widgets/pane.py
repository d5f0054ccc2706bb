"""The heads of the panes: who answers in which column."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from tui.widgets.cells import fitted
from tui.widgets.chat_seats import Seat
from tui.widgets.conversation_lines import RULE, columns_of

Piece = tuple[str, str]


class PaneHeads(Widget):
    """A label a pane, above its column; where the answers are stacked, the labels in a row."""

    DEFAULT_CSS = """
    PaneHeads { height: 2; padding: 0 1; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self.seats: Sequence[Seat] = ()

    def show(self, seats: Sequence[Seat]) -> None:
        """Show these seats."""
        self.seats = seats
        self.refresh()

    def render(self) -> Content:
        width = self.content_size.width
        columns = columns_of(width, len(self.seats))
        rule = ("─" * width, "$border-blurred")
        if not columns:
            return Content.assemble(*_in_a_row(self.seats, width), "\n", rule)
        parts: list[Piece] = []
        line = ""
        for number, (seat, space) in enumerate(zip(self.seats, columns, strict=True)):
            if number:
                parts.append((RULE, "$border-blurred"))
                line += "─┼─"
            parts += _head(seat, space)
            line += "─" * space
        return Content.assemble(*parts, "\n", (line, "$border-blurred"))


def _head(seat: Seat, width: int) -> list[Piece]:
    """The label, and as much of the details as there is room for."""
    label = seat.label if cell_len(seat.label) <= width else fitted(seat.label, width)
    room = width - cell_len(label)
    detail = next((f"  {words}" for words in seat.details if words and len(words) + 2 <= room), "")
    return [(label, f"bold {seat.color}"), (fitted(detail, room), "$text-muted")]


def _in_a_row(seats: Sequence[Seat], width: int) -> list[Piece]:
    """The labels one after the other, all with details of about the same length."""
    most = max(4, (width - 3 * (len(seats) - 1)) // max(1, len(seats)))
    parts: list[Piece] = []
    for level in range(len(max((seat.details for seat in seats), key=len, default=()))):
        parts = []
        for number, seat in enumerate(seats):
            words = seat.details[min(level, len(seat.details) - 1)]
            label = seat.label if cell_len(seat.label) <= most else fitted(seat.label, most)
            parts += [(" · " if number else "", "$text-muted"), (label, f"bold {seat.color}")]
            parts.append((f"  {words}" if words else "", "$text-muted"))
        if sum(cell_len(text) for text, _ in parts) <= width:
            break
    return parts
