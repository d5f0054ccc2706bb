"""The table of runs: it knows the order of all of them and holds only those around what is on the screen."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.cells import changed_spans, fitted
from tui.widgets.ink import ink
from tui.widgets.run_columns import Beside, fit, gap_of
from tui.widgets.run_orders import NEWEST

if TYPE_CHECKING:
    from store.records import Run

Piece = tuple[str, str]

AHEAD = 50
"""Rows read above and below those on the screen, so that the next page is there before it is asked for."""
HELD = 600
"""The most runs held at once. A run with its recipe and metrics takes some ten kilobytes."""


class RunTable(ScrollView, can_focus=True, inherit_bindings=False):
    """One run a line. The cursor stays on its run when rows come and go; marks are kept by id, in order.

    `show` gives it the order; it asks for the runs themselves by `Wanted`, and `fill` gives it those.
    """

    DEFAULT_CSS = """
    RunTable {
        height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden;
        .run-table--header { color: $text-muted; }
        .run-table--cursor { background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground; }
        .run-table--mark { color: $text-accent; text-style: bold; }
        .run-table--live { color: $text-primary; }
        .run-table--good { color: $text-success; }
        .run-table--look { color: $text-warning; }
        .run-table--act { color: $text-error; }
        .run-table--dim { color: $text-muted; }
        .run-table--curve { color: $series-1; }
        &:focus .run-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"run-table--{name}" for name in ("header", "cursor", "mark", "live", "good", "look", "act", "dim", "curve")
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
        """The cursor is on another run, on none, or its run has newer figures."""

    class Opened(Message):
        """Enter or a double click on a run."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    class MarksChanged(Message):
        """A run was marked or unmarked."""

    class Wanted(Message):
        """Rows are about to be seen whose runs are not held: `wanted` names them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ids: list[str] = []
        """All runs of the list, in order."""
        self.marked: dict[str, None] = {}
        """Ids of marked runs in the order in which they were marked; the first is what the others are measured by."""
        self.cursor = 0
        self.sort = NEWEST
        """What the rows are ordered by, as the store calls it."""
        self.arrow = ""
        """`↑` or `↓`, beside the title of that column."""
        self._places: dict[str, int] = {}
        self._held: dict[str, Run] = {}
        self._sparks: dict[str, Sequence[float]] = {}
        self._voted = False
        """Whether one of the runs that are held was judged in the arena."""
        self._baseline: Run | None = None
        self._told: tuple[str, Run | None] = ("", None)

    # What it shows

    @property
    def runs(self) -> "list[Run]":
        """The runs that are held, in the order of their rows."""
        return [self._held[run_id] for run_id in sorted(self._held, key=self._places.__getitem__)]

    @property
    def highlighted_id(self) -> str:
        """The id of the run under the cursor; empty where there is none."""
        return self.ids[self.cursor] if 0 <= self.cursor < len(self.ids) else ""

    @property
    def highlighted(self) -> "Run | None":
        """The run under the cursor, unless it is still to be read."""
        return self._held.get(self.highlighted_id)

    @property
    def on_screen(self) -> range:
        """The rows that are seen."""
        top = int(self.scroll_offset.y)
        return range(min(top, len(self.ids)), min(top + max(1, self.size.height - 1), len(self.ids)))

    @property
    def shows_sparks(self) -> bool:
        """Whether there is room for the loss curves."""
        return any(column.key == "spark" for column, _ in fit(self.size.width, self.sort, self._voted))

    @property
    def wanted(self) -> list[str]:
        """The runs around the screen that are not held."""
        seen = self.on_screen
        near = self.ids[max(0, seen.start - AHEAD) : seen.stop + AHEAD]
        return [run_id for run_id in near if run_id not in self._held]

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._places

    def show(self, ids: Sequence[str], runs: "Iterable[Run]", *, from_top: bool = False) -> None:
        """Show the runs of these ids in this order; `runs` are some of them, and all that are held from now on.

        The cursor stays on its run, at its height on the screen. Where that is gone it stays on its row, or goes to
        the first one with `from_top`.
        """
        run_id, line = self.highlighted_id, self.cursor - int(self.scroll_offset.y)
        at_top = self.scroll_offset.y == 0
        self.ids = list(ids)
        self._places = {run_id: place for place, run_id in enumerate(self.ids)}
        self._held = {run.id: run for run in runs if run.id in self._places}
        self._voted = any(run.win_votes for run in self._held.values())
        self._sparks = {run_id: curve for run_id, curve in self._sparks.items() if run_id in self._held}
        self._find_baseline()
        last = max(0, len(self.ids) - 1)
        self.cursor = self._places.get(run_id, 0 if from_top else min(self.cursor, last))
        self.virtual_size = Size(self.size.width, len(self.ids) + 1)
        if not at_top:
            self._scroll(max(0, self.cursor - line))
        if 0 <= line < self.size.height - 1:  # where the wheel took the rows away from the cursor, they stay
            self._show_cursor()
        self._after()

    def fill(self, runs: "Iterable[Run]") -> None:
        """Hold these runs too, in the rows that are theirs; nothing moves."""
        newer = {run.id: run for run in runs if run.id in self._places}
        drawn = self._pieces_of(newer)
        self._held |= newer
        if not self._voted and any(run.win_votes for run in newer.values()):
            self._voted = True
            self.refresh()
        if len(self._held) > HELD:
            seen = self.on_screen
            near = range(seen.start - HELD // 4, seen.stop + HELD // 4)
            self._held = {run_id: run for run_id, run in self._held.items() if self._places[run_id] in near}
        if next(iter(self.marked), "") in newer:
            self._find_baseline()
            self.refresh()
        self._refresh_changes(drawn)
        self._tell()

    def set_sparks(self, sparks: Mapping[str, Sequence[float]]) -> None:
        """Loss curves to show beside these runs, of two values a cell."""
        changed = {run_id: curve for run_id, curve in sparks.items() if self._sparks.get(run_id) != curve}
        drawn = self._pieces_of(changed)
        self._sparks |= changed
        self._refresh_changes(drawn)

    def _pieces_of(self, run_ids: Iterable[str]) -> dict[str, list[Piece]]:
        """What the rows of these runs show now, as far as they are on the screen."""
        seen = self.on_screen
        return {run_id: self._pieces(run_id) for run_id in run_ids if self._places.get(run_id, -1) in seen}

    def _refresh_changes(self, drawn: Mapping[str, list[Piece]]) -> None:
        """Draw what is other than in `drawn` anew, and nothing else of its row."""
        seen = self.on_screen
        for run_id, before in drawn.items():
            line = self._places[run_id] + 1 - seen.start
            spans = changed_spans(before, self._pieces(run_id))
            if spans:
                self.refresh(*(Region(x, line, end - x, 1) for x, end in spans))

    def _after(self) -> None:
        """The order, the cursor or the scroll is another."""
        self._tell()
        self._ask()
        self.refresh()

    def _tell(self) -> None:
        told = self.highlighted_id, self.highlighted
        if told[0] != self._told[0] or told[1] is not self._told[1]:
            self._told = told
            self.post_message(self.Highlighted())

    def _ask(self) -> None:
        """Ask for runs while there is still half of what is read ahead."""
        seen = self.on_screen
        near = self.ids[max(0, seen.start - AHEAD // 2) : seen.stop + AHEAD // 2]
        if any(run_id not in self._held for run_id in near):
            self.post_message(self.Wanted())

    # The cursor and the marks

    def action_move(self, rows: int) -> None:
        self.action_to(max(0, self.cursor + rows))

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.size.height - 2))

    def action_to(self, row: int) -> None:
        """Put the cursor on a row; -1 is the last one."""
        last = len(self.ids) - 1
        self.cursor = max(0, last if row < 0 else min(row, last))
        self._show_cursor()
        self._after()

    def _show_cursor(self) -> None:
        rows = self.size.height - 1
        top = int(self.scroll_offset.y)
        if self.cursor < top:
            self._scroll(self.cursor)
        elif rows > 0 and self.cursor >= top + rows:
            self._scroll(self.cursor - rows + 1)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=top, animate=False, immediate=True, force=True)  # the scrollbar may be yet to come

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._ask()

    def action_open(self) -> None:
        if self.highlighted_id:
            self.post_message(self.Opened(self.highlighted_id))

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor and go down a row."""
        run_id = self.highlighted_id
        if not run_id:
            return
        if run_id in self.marked:
            del self.marked[run_id]
        else:
            self.marked[run_id] = None
        self._marks_changed()
        self.action_move(1)

    def clear_marks(self) -> None:
        """Unmark every run."""
        self.marked.clear()
        self._marks_changed()

    def _marks_changed(self) -> None:
        self._find_baseline()
        self.post_message(self.MarksChanged())
        self.refresh()

    def _find_baseline(self) -> None:
        """The run that was marked first, as it was seen last: it may be out of sight, or filtered out."""
        first = next(iter(self.marked), "")
        before = self._baseline if self._baseline is not None and self._baseline.id == first else None
        self._baseline = self._held.get(first, before)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.ids) if action in ("open", "mark") else True

    def on_click(self, event: events.Click) -> None:
        row = event.y + int(self.scroll_offset.y) - 1
        if event.y > 0 and row < len(self.ids):
            self.action_to(row)
            if event.chain == 2:
                self.action_open()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.ids) + 1)
        self._show_cursor()
        self._ask()

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y == 0:
            return self._header(width, base)
        row = y - 1 + int(self.scroll_offset.y)
        if row >= len(self.ids):
            return Strip.blank(width, base)
        under_cursor = row == self.cursor
        if under_cursor:
            base += self.get_component_rich_style("run-table--cursor")
        segments = [
            Segment(text, base + ink(self, f"run-table--{tone}") if tone and not under_cursor else base)
            for text, tone in self._pieces(self.ids[row])
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def _pieces(self, run_id: str) -> list[Piece]:
        """A row from the left: texts with their tones."""
        width = self.size.width
        pieces = [("✱ " if run_id in self.marked else "  ", "mark")]
        run = self._held.get(run_id)
        if run is None:
            return [*pieces, ("…", "dim")]
        beside = Beside(self._baseline, self._sparks)
        gap = " " * gap_of(width)
        for column, space in fit(width, self.sort, self._voted):
            text, tone = column.cell(run, space, beside)
            pieces += [(fitted(text, space, right=column.right), tone), (gap, "")]
        return pieces

    def _header(self, width: int, base: Style) -> Strip:
        style = base + ink(self, "run-table--header")
        segments = [Segment("  ", style)]
        gap = " " * gap_of(width)
        for column, space in fit(width, self.sort, self._voted):
            title = column.title
            if column.key == "delta" and self._baseline is not None:
                title = "Δ first"
            if column.sort == self.sort:
                title = f"{self.arrow}{title}" if column.right else f"{title}{self.arrow}"
            segments.append(Segment(fitted(title, space, right=column.right) + gap, style))
        return Strip(segments).adjust_cell_length(width, style)
