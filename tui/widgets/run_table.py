"""The table of runs: drawn line by line, so that ten thousand rows cost no more than the ones on the screen."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.ink import ink
from tui.widgets.run_columns import fit, gap_of

if TYPE_CHECKING:
    from store.records import Run


class RunTable(ScrollView, can_focus=True):
    """One run a line. The cursor stays on its run when rows come and go; marks are kept by id, in order."""

    DEFAULT_CSS = """
    RunTable {
        height: 1fr;
        .run-table--header { color: $text-muted; }
        .run-table--cursor { background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground; }
        .run-table--mark { color: $text-accent; text-style: bold; }
        .run-table--live { color: $text-primary; }
        .run-table--good { color: $text-success; }
        .run-table--look { color: $text-warning; }
        .run-table--act { color: $text-error; }
        .run-table--dim { color: $text-muted; }
        &:focus .run-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"run-table--{name}" for name in ("header", "cursor", "mark", "live", "good", "look", "act", "dim")
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="runs.down", show=False),
        Binding("up,k", "move(-1)", "up", id="runs.up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "page down", id="runs.page_down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "page up", id="runs.page_up", show=False),
        Binding("home,g", "to(0)", "first", id="runs.first", show=False),
        Binding("end,G", "to(-1)", "last", id="runs.last", show=False),
        Binding("enter", "open", "open", id="runs.open", tooltip="Open the run"),
        Binding("space", "mark", "mark", id="runs.mark", tooltip="Mark the run, to compare or chat with several"),
    ]
    ALLOW_SELECT = False

    class Highlighted(Message):
        """The cursor is on another run, or on none."""

        def __init__(self, run: "Run | None") -> None:
            super().__init__()
            self.run = run

    class Opened(Message):
        """Enter or a double click on a run."""

        def __init__(self, run: "Run") -> None:
            super().__init__()
            self.run = run

    class MarksChanged(Message):
        """A run was marked or unmarked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.runs: list[Run] = []
        self.marked: dict[str, None] = {}
        """Ids of marked runs in the order in which they were marked."""
        self.cursor = 0
        self.sort_title = ""
        """The title of the column that the rows are ordered by, and `↑` or `↓`."""
        self.sort_arrow = ""
        self._told: Run | None = None

    @property
    def highlighted(self) -> "Run | None":
        """The run under the cursor."""
        return self.runs[self.cursor] if 0 <= self.cursor < len(self.runs) else None

    def set_runs(self, runs: Sequence["Run"]) -> None:
        """Show these runs in this order."""
        before = self.highlighted
        self.runs = list(runs)
        places = {run.id: place for place, run in enumerate(self.runs)}
        if before is not None and before.id in places:
            self.cursor = places[before.id]
        else:
            self.cursor = max(0, min(self.cursor, len(self.runs) - 1))
        self.virtual_size = Size(self.size.width, len(self.runs) + 1)
        self._show_cursor()
        self._tell()
        self.refresh()

    def update_runs(self, runs: Iterable["Run"]) -> None:
        """Put newer figures in the rows of runs that are already shown; nothing moves."""
        newer = {run.id: run for run in runs}
        for place, run in enumerate(self.runs):
            if run.id in newer:
                self.runs[place] = newer[run.id]
                line = place + 1 - self.scroll_offset.y
                if 0 < line < self.size.height:
                    self.refresh(Region(0, line, self.size.width, 1))
        self._tell()

    def _tell(self) -> None:
        if self.highlighted is not self._told:
            self._told = self.highlighted
            self.post_message(self.Highlighted(self._told))

    def action_move(self, rows: int) -> None:
        self.action_to(max(0, self.cursor + rows))

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.size.height - 2))

    def action_to(self, row: int) -> None:
        """Put the cursor on a row; -1 is the last one."""
        last = len(self.runs) - 1
        self.cursor = max(0, last if row < 0 else min(row, last))
        self._show_cursor()
        self._tell()
        self.refresh()

    def _show_cursor(self) -> None:
        rows = self.size.height - 1
        top = int(self.scroll_offset.y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif rows > 0 and self.cursor >= top + rows:
            self.scroll_to(y=self.cursor - rows + 1, animate=False, immediate=True)

    def action_open(self) -> None:
        if self.highlighted is not None:
            self.post_message(self.Opened(self.highlighted))

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor and go down a row."""
        run = self.highlighted
        if run is None:
            return
        if run.id in self.marked:
            del self.marked[run.id]
        else:
            self.marked[run.id] = None
        self.post_message(self.MarksChanged())
        self.action_move(1)

    def clear_marks(self) -> None:
        """Unmark every run."""
        self.marked.clear()
        self.post_message(self.MarksChanged())
        self.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.runs) if action in ("open", "mark") else True

    def on_click(self, event: events.Click) -> None:
        row = event.y + int(self.scroll_offset.y) - 1
        if event.y > 0 and row < len(self.runs):
            self.action_to(row)
            if event.chain == 2:
                self.action_open()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.runs) + 1)
        self._show_cursor()

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y == 0:
            return self._header(width, base)
        row = y - 1 + int(self.scroll_offset.y)
        if row >= len(self.runs):
            return Strip.blank(width, base)
        run = self.runs[row]
        under_cursor = row == self.cursor
        if under_cursor:
            base += self.get_component_rich_style("run-table--cursor")
        mark_style = base if under_cursor else base + ink(self, "run-table--mark")
        segments = [Segment("✱ " if run.id in self.marked else "  ", mark_style)]
        gap = " " * gap_of(width)
        for column, space in fit(width):
            text, tone = column.cell(run, space)
            style = base + ink(self, f"run-table--{tone}") if tone and not under_cursor else base
            segments += [Segment(_fitted(text, space, right=column.right), style), Segment(gap, base)]
        return Strip(segments).adjust_cell_length(width, base)

    def _header(self, width: int, base: Style) -> Strip:
        style = base + ink(self, "run-table--header")
        segments = [Segment("  ", style)]
        for column, space in fit(width):
            title = column.title
            if title == self.sort_title:
                title = f"{self.sort_arrow}{title}" if column.right else f"{title}{self.sort_arrow}"
            segments.append(Segment(_fitted(title, space, right=column.right) + " " * gap_of(width), style))
        return Strip(segments).adjust_cell_length(width, style)


def _fitted(text: str, width: int, *, right: bool) -> str:
    """`text` in exactly `width` cells, with an ellipsis where it was cut."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…"
    return " " * (width - length) + text if right else text + " " * (width - length)
