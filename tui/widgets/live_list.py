"""The cards of live runs, one below the other, as high as there is room: what did not change is not drawn again."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.cells import changed_spans
from tui.widgets.ink import ink
from tui.widgets.live_card import MARK, LiveRun, Piece, card, card_height

CURSOR = "▌"


class LiveList(ScrollView, can_focus=True, inherit_bindings=False):
    """A card a run. The cursor stays on its run; marks are kept by id, in order."""

    DEFAULT_CSS = """
    LiveList {
        height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden;
        .live-list--cursor { color: $primary; }
        .live-list--name { color: $foreground; text-style: bold; }
        .live-list--mark { color: $text-accent; text-style: bold; }
        .live-list--live { color: $text-primary; }
        .live-list--good { color: $text-success; }
        .live-list--look { color: $text-warning; }
        .live-list--act { color: $text-error; }
        .live-list--dim { color: $text-muted; }
        .live-list--curve { color: $series-1; }
        .live-list--row { background: $boost; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"live-list--{name}"
        for name in ("cursor", "name", "mark", "live", "good", "look", "act", "dim", "curve", "row")
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="live.down", show=False),
        Binding("up,k", "move(-1)", "up", id="live.up", show=False),
        Binding("pagedown,ctrl+d", "move(5)", "page down", id="live.page_down", show=False),
        Binding("pageup,ctrl+u", "move(-5)", "page up", id="live.page_up", show=False),
        Binding("home,g", "to(0)", "first", id="live.first", show=False),
        Binding("end,G", "to(-1)", "last", id="live.last", show=False),
        Binding("enter", "open", "open", id="live.open", tooltip="Open the run"),
        Binding("space", "mark", "mark", id="live.mark", tooltip="Mark the run, to compare or chat with several"),
    ]
    ALLOW_SELECT = False

    class Highlighted(Message):
        """The cursor is on another run, or marks or figures changed."""

    class Opened(Message):
        """Enter or a double click on a run."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.runs: list[LiveRun] = []
        self.marked: dict[str, None] = {}
        """Ids of marked runs in the order in which they were marked."""
        self.cursor = 0
        self._fitted_to = 1
        """So many cards are to be seen at once."""
        self._cards: dict[tuple[int, int, int], list[list[Piece]]] = {}

    @property
    def highlighted(self) -> LiveRun | None:
        """What is under the cursor."""
        return self.runs[self.cursor] if 0 <= self.cursor < len(self.runs) else None

    @property
    def card_height(self) -> int:
        """Lines of a card."""
        return card_height(self.size.height, self._fitted_to)

    @property
    def curve_points(self) -> int:
        """How many values of a curve are worth reading: two a cell of half the width."""
        return max(16, self.size.width)

    def show(self, runs: Sequence[LiveRun], *, at_once: int) -> None:
        """Show these runs in this order, with `at_once` of them on the screen where there is room."""
        before, height, current = self.runs, self.card_height, self.highlighted
        self.runs = list(runs)
        self._fitted_to = max(1, at_once)
        if current is not None:
            places = {live.run.id: place for place, live in enumerate(self.runs)}
            self.cursor = places.get(current.run.id, min(self.cursor, max(0, len(self.runs) - 1)))
        changed = [place for place, live in enumerate(self.runs) if place >= len(before) or live != before[place]]
        if [live.run.id for live in before] != [live.run.id for live in self.runs] or height != self.card_height:
            self._redraw()
        else:
            for place in changed:
                self._redraw_changes(place)
        if changed:
            self.post_message(self.Highlighted())

    def _redraw(self) -> None:
        self._cards.clear()
        self.virtual_size = Size(self.size.width, len(self.runs) * self.card_height)
        self._show_cursor()
        self.refresh()

    def _redraw_changes(self, place: int) -> None:
        """Draw the figures of a card that are others than before."""
        before, after = self._cards.pop(self._key(place), None), self._card(place)
        top = place * self.card_height - int(self.scroll_offset.y)
        for line, (old, new) in enumerate(zip(before or [], after, strict=False)):
            if 0 <= top + line < self.size.height:
                spans = changed_spans(old, new)
                if spans:  # without a region, all of it is drawn
                    self.refresh(*(Region(MARK + x, top + line, end - x, 1) for x, end in spans))
        if before is None:
            self._refresh_card(place)

    def _refresh_card(self, place: int) -> None:
        top = place * self.card_height - int(self.scroll_offset.y)
        if -self.card_height < top < self.size.height:
            self.refresh(Region(0, max(0, top), self.size.width, self.card_height + min(0, top)))

    # The cursor and the marks

    def action_move(self, cards: int) -> None:
        self.action_to(max(0, self.cursor + cards))

    def action_to(self, place: int) -> None:
        """Put the cursor on a card; -1 is the last one."""
        last = len(self.runs) - 1
        before, self.cursor = self.cursor, max(0, last if place < 0 else min(place, last))
        self._show_cursor()
        for changed in {before, self.cursor}:
            self._refresh_card(changed)
        self.post_message(self.Highlighted())

    def _show_cursor(self) -> None:
        top, height = int(self.scroll_offset.y), self.card_height
        if self.cursor * height < top:
            self._scroll(self.cursor * height)
        elif (bottom := (self.cursor + 1) * height) > top + self.size.height:
            self._scroll(bottom - self.size.height)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=top, animate=False, immediate=True, force=True)  # the scrollbar may be yet to come

    def action_open(self) -> None:
        if self.highlighted is not None:
            self.post_message(self.Opened(self.highlighted.run.id))

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor and go on to the next."""
        if self.highlighted is None:
            return
        run_id = self.highlighted.run.id
        if run_id in self.marked:
            del self.marked[run_id]
        else:
            self.marked[run_id] = None
        self.action_move(1)

    def clear_marks(self) -> None:
        """Unmark every run."""
        self.marked.clear()
        self.refresh()
        self.post_message(self.Highlighted())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.runs) if action in ("open", "mark") else True

    def on_click(self, event: events.Click) -> None:
        place = (event.y + int(self.scroll_offset.y)) // self.card_height
        if place < len(self.runs):
            self.action_to(place)
            if event.chain == 2:
                self.action_open()

    def on_resize(self) -> None:
        self._redraw()

    def notify_style_update(self) -> None:
        self._cards.clear()
        super().notify_style_update()

    # Drawing

    def _key(self, place: int) -> tuple[int, int, int]:
        """What a drawn card is kept by: lines may be asked for before a new size is heard of."""
        return place, self.size.width, self.card_height

    def _card(self, place: int) -> list[list[Piece]]:
        key = self._key(place)
        if key not in self._cards:
            self._cards[key] = card(self.runs[place], max(1, self.size.width - MARK), self.card_height)
        return self._cards[key]

    def render_line(self, y: int) -> Strip:
        width, height = self.size.width, self.card_height
        base = self.rich_style
        place, line = divmod(y + int(self.scroll_offset.y), height)
        if place >= len(self.runs):
            return Strip.blank(width, base)
        pieces = self._card(place)[line]
        under_cursor = place == self.cursor
        if under_cursor and pieces:
            base += self.get_component_rich_style("live-list--row")
        mark = "✱" if line == 0 and self.runs[place].run.id in self.marked else " "
        segments = [
            Segment(CURSOR if under_cursor and pieces else " ", base + ink(self, "live-list--cursor")),
            Segment(mark, base + ink(self, "live-list--mark")),
        ]
        segments += [Segment(text, base + ink(self, f"live-list--{tone}") if tone else base) for text, tone in pieces]
        return Strip(segments).adjust_cell_length(width, base)
