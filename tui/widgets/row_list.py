"""Lists drawn line by line: a cursor, a header, and no more work than the lines on the screen."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

Cells = Sequence[tuple[str, str]]
"""Pieces of a line from the left: text, and a tone (`live`, `good`, `look`, `act`, `dim`, `mark`, or empty)."""


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, with an ellipsis where it was cut."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


class RowList(ScrollView, can_focus=True):
    """One thing a line. Subclasses say how many there are and what a line shows."""

    DEFAULT_CSS = """
    RowList {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        .row-list--header { color: $text-muted; }
        .row-list--cursor { background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground; }
        .row-list--mark { color: $text-accent; text-style: bold; }
        .row-list--live { color: $text-primary; }
        .row-list--good { color: $text-success; }
        .row-list--look { color: $text-warning; }
        .row-list--act { color: $text-error; }
        .row-list--dim { color: $text-muted; }
        &:focus .row-list--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"row-list--{name}" for name in ("header", "cursor", "mark", "live", "good", "look", "act", "dim")
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="list.down", show=False),
        Binding("up,k", "move(-1)", "up", id="list.up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "page down", id="list.page_down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "page up", id="list.page_up", show=False),
        Binding("home,g", "first", "first", id="list.first", show=False),
        Binding("end,G", "last", "last", id="list.last", show=False),
        Binding("enter", "open", "open", id="list.open", tooltip="Open what is under the cursor"),
    ]
    ALLOW_SELECT = False
    HEADER_ROWS: ClassVar[int] = 0

    class Highlighted(Message):
        """The cursor is on another row, or the row holds something else."""

        def __init__(self, rows: "RowList") -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> "RowList":
            return self.rows

    class Opened(Highlighted):
        """Enter or a double click on the row under the cursor."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.count = 0
        self.cursor = 0

    def header_cells(self, width: int) -> Cells:
        """The line on top, where `HEADER_ROWS` is 1."""
        return ()

    def cells(self, row: int, width: int) -> Cells:
        """What a line shows, in `width` cells."""
        raise NotImplementedError

    def selectable(self, row: int) -> bool:
        """Whether the cursor may rest on a row."""
        return True

    def set_count(self, count: int) -> None:
        """There are `count` rows now; the cursor stays where it can."""
        self.count = count
        self.virtual_size = Size(self.size.width, count + self.HEADER_ROWS)
        self.move_to(self.cursor)

    def move_to(self, row: int, direction: int = 1) -> None:
        """Put the cursor on a row, or on the next that can be selected."""
        before = self.cursor
        row = max(0, min(row, self.count - 1))
        place = row
        while 0 <= place < self.count and not self.selectable(place):
            place += direction
        if not 0 <= place < self.count:
            place = before if self.count and before < self.count and self.selectable(before) else row
            row = min(row, place) if direction < 0 else row
        self.cursor = place
        self._show_cursor(min(row, place))
        self.refresh()
        self.post_message(self.Highlighted(self))

    def _show_cursor(self, top_row: int) -> None:
        rows = self.size.height - self.HEADER_ROWS
        top = int(self.scroll_offset.y)
        if top_row < top:
            self.scroll_to(y=top_row, animate=False, immediate=True)
        elif rows > 0 and self.cursor >= top + rows:
            self.scroll_to(y=self.cursor - rows + 1, animate=False, immediate=True)

    def action_move(self, rows: int) -> None:
        self.move_to(self.cursor + rows, 1 if rows > 0 else -1)

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.size.height - self.HEADER_ROWS - 1))

    def action_first(self) -> None:
        self.move_to(0)
        self.scroll_to(y=0, animate=False, immediate=True)

    def action_last(self) -> None:
        self.move_to(self.count - 1, -1)

    def action_open(self) -> None:
        if self.count:
            self.post_message(self.Opened(self))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.count > 0 if action == "open" else True

    def on_click(self, event: events.Click) -> None:
        row = event.y + int(self.scroll_offset.y) - self.HEADER_ROWS
        if event.y >= self.HEADER_ROWS and row < self.count and self.selectable(row):
            self.move_to(row)
            if event.chain == 2:
                self.action_open()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self.count + self.HEADER_ROWS)
        self._show_cursor(self.cursor)

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y < self.HEADER_ROWS:
            style = base + self._style("header")
            return Strip([Segment(text, style) for text, _ in self.header_cells(width)]).adjust_cell_length(
                width, style
            )
        row = y - self.HEADER_ROWS + int(self.scroll_offset.y)
        if row >= self.count:
            return Strip.blank(width, base)
        cells = self.cells(row, width)
        if row == self.cursor:
            base += self._style("cursor")
            # Dim is not seen on the cursor, and of sixteen colours hardly any is.
            few = base.bgcolor is not None and base.bgcolor.is_system_defined
            cells = [(text, "" if few or tone == "dim" else tone) for text, tone in cells]
        segments = [
            Segment(text, base + self._style(tone) + Style(bgcolor=base.bgcolor) if tone else base)
            for text, tone in cells
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"row-list--{name}", partial=True)
