"""The heads of the panes: who answers in which column."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.chat_seats import Seat
from tui.widgets.conversation_lines import RULE, columns_of

if TYPE_CHECKING:
    from engine.inference.trust import Trust

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
        self.trust: Mapping[int, Trust] = {}

    def show(self, seats: Sequence[Seat], trust: "Mapping[int, Trust] | None" = None) -> None:
        """Show these seats, and what is known of the adapters at their places."""
        self.seats, self.trust = seats, trust or {}
        self.refresh()

    def render(self) -> Content:
        width = self.content_size.width
        columns = columns_of(width, len(self.seats))
        rule = ("─" * width, "$border-blurred")
        if not columns:
            return Content.assemble(*_in_a_row(self.seats, self.trust, width), "\n", rule)
        parts: list[Piece] = []
        line = ""
        for number, (seat, space) in enumerate(zip(self.seats, columns, strict=True)):
            if number:
                parts.append((RULE, "$border-blurred"))
                line += "─┼─"
            parts += _head(seat, self.trust.get(seat.place), space)
            line += "─" * space
        return Content.assemble(*parts, "\n", (line, "$border-blurred"))


def _details(seat: Seat, trust: "Trust | None") -> tuple[tuple[str, ...], str]:
    """What more there is to say of a seat, in ever fewer words, and in which colour."""
    if trust is None or seat.pane is None:
        return seat.details, "$text-muted"
    words = clean_line(trust.words())
    if trust.warnings:
        return (f"⚠ {words}", f"⚠ {words.partition(',')[0]}", "⚠ look below", "⚠"), "$text-warning"
    return (f"✓ {words}", "✓ adapter on", "✓", ""), "$text-muted"


def _head(seat: Seat, trust: "Trust | None", width: int) -> list[Piece]:
    """The label, and as much of the details as there is room for."""
    label = seat.label if cell_len(seat.label) <= width else fitted(seat.label, width)
    room = width - cell_len(label)
    details, tone = _details(seat, trust)
    detail = next((f"  {words}" for words in details if words and len(words) + 2 <= room), "")
    return [(label, f"bold {seat.color}"), (fitted(detail, room), tone)]


def _in_a_row(seats: Sequence[Seat], trust: "Mapping[int, Trust]", width: int) -> list[Piece]:
    """The labels one after the other, all with details of about the same length."""
    most = max(4, (width - 3 * (len(seats) - 1)) // max(1, len(seats)))
    known = [_details(seat, trust.get(seat.place)) for seat in seats]
    parts: list[Piece] = []
    for level in range(max((len(details) for details, _ in known), default=0)):
        parts = []
        for number, (seat, (details, tone)) in enumerate(zip(seats, known, strict=True)):
            words = details[min(level, len(details) - 1)]
            label = seat.label if cell_len(seat.label) <= most else fitted(seat.label, most)
            parts += [(" · " if number else "", "$text-muted"), (label, f"bold {seat.color}")]
            parts.append((f"  {words}" if words else "", tone))
        if sum(cell_len(text) for text, _ in parts) <= width:
            break
    return parts


def warnings_of(seats: Sequence[Seat], trust: "Mapping[int, Trust]") -> list[str]:
    """What is wrong with the adapters that answer, a line each, with what to do."""
    return [
        f"⚠ {seat.label}: {clean_line(warning)}"
        for seat in seats
        if seat.place in trust
        for warning in trust[seat.place].warnings
    ]
