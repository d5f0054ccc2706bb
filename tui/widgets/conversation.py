"""A conversation with models side by side, with a cursor over its turns."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.chat_seats import Seat
from tui.widgets.chat_turns import Turn
from tui.widgets.conversation_lines import Against, Line, turn_lines
from tui.widgets.ink import ink
from tui.widgets.lanes import LETTERS

GUTTER = 1
CURSOR = "▎"

_THEME_TONES = {
    "$text-muted": "dim",
    "$text-accent": "code",
    "$text-primary": "live",
    "$text-error": "act",
    "$text-warning": "look",
    "$text-success": "good",
}
_TONES = {"prompt", *_THEME_TONES.values(), "rule", *LETTERS}
_WEIGHTS = {name: Style.parse(name) for name in ("bold", "italic", "underline", "strike")}


class Conversation(ScrollView, can_focus=True):
    """Drawn line by line; only turns that changed are laid out anew. Follows the end while the view is there."""

    DEFAULT_CSS = """
    Conversation {
        height: 1fr; overflow-x: hidden; overflow-y: auto;
        scrollbar-gutter: stable; scrollbar-size-vertical: 1;
        .conversation--prompt { color: $foreground; text-style: bold; }
        .conversation--dim { color: $text-muted; }
        .conversation--code { color: $text-accent; }
        .conversation--act { color: $text-error; }
        .conversation--look { color: $text-warning; }
        .conversation--good { color: $text-success; }
        .conversation--live { color: $text-primary; }
        .conversation--rule { color: $border-blurred; }
        .conversation--A { color: $series-1; text-style: bold; }
        .conversation--B { color: $series-2; text-style: bold; }
        .conversation--C { color: $series-3; text-style: bold; }
        .conversation--D { color: $series-4; text-style: bold; }
        .conversation--E { color: $series-5; text-style: bold; }
        .conversation--F { color: $series-6; text-style: bold; }
        .conversation--G { color: $series-7; text-style: bold; }
        .conversation--H { color: $series-8; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"conversation--{name}" for name in _TONES}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "turn(1)", "next turn", id="conversation.down", show=False),
        Binding("k", "turn(-1)", "turn before", id="conversation.up", show=False),
        Binding("g", "first_turn", "first turn", id="conversation.first", show=False),
        Binding("G", "last_turn", "last turn, and follow", id="conversation.last", show=False),
    ]
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.seats: Sequence[Seat] = ()
        self.turns: list[Turn] = []
        self.hint = ""
        """What stands here before the first turn."""
        self.against = Against.NOTHING
        self.unfolded = False
        """Whether passages of notes are shown in full."""
        self.cursor = 0
        """The place of the turn that keys are about. It is seen while this is in focus."""
        self._lines: list[Line] = []
        self._starts: list[int] = []
        """The first line of each turn."""
        self._follows = True
        """Whether the view stays at the end when more comes."""
        self._laid_out: dict[int, tuple[tuple[object, ...], list[Line]]] = {}

    def show(self, seats: Sequence[Seat], turns: list[Turn]) -> None:
        """Show these turns, answered by these seats, and go to the end."""
        self.seats, self.turns = seats, turns
        self.cursor = max(0, len(turns) - 1)
        self._laid_out.clear()
        self._follows = True
        self._lay_out()

    def look(self, against: Against, *, unfolded: bool) -> None:
        """Compare answers with others, or show them as they are; show passages in full, or folded."""
        self.against, self.unfolded = against, unfolded
        self._lay_out()

    def turns_changed(self) -> None:
        """Draw what changed in the turns since the last call."""
        self._lay_out()

    @property
    def _text_width(self) -> int:
        return max(1, self.scrollable_content_region.width - GUTTER)

    def _lay_out(self) -> None:
        width = self._text_width
        key = (width, self.against, self.unfolded, tuple((seat.place, seat.label) for seat in self.seats))
        lines: list[Line] = []
        self._starts = []
        for index, turn in enumerate(self.turns):
            stamp = (id(turn), turn.version, *key)
            known = self._laid_out.get(index)
            if known is None or known[0] != stamp:
                drawn = turn_lines(turn, self.seats, width, self.against, unfolded=self.unfolded)
                known = self._laid_out[index] = (stamp, drawn)
            self._starts.append(len(lines))
            lines += known[1]
        self._lines = lines
        self.virtual_size = Size(width, len(lines))
        if self._follows:
            # Forced, for the scrollbar that would allow it may not be there yet.
            self.scroll_end(animate=False, immediate=True, force=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._follows = new_value >= self.max_scroll_y - 1

    def on_resize(self) -> None:
        self._lay_out()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # The cursor

    def action_turn(self, turns: int) -> None:
        """The next turn, or the one before; of a turn that is higher than the view first the rest of it."""
        if not self.turns:
            return
        top, height = int(self.scroll_offset.y), max(1, self.size.height)
        first, after = self._rows_of(self.cursor)
        if turns > 0 and first < top + height < after:
            self.scroll_to(y=min(after - height, top + height - 2), animate=False, immediate=True)
        elif turns < 0 and first < top < after:
            self.scroll_to(y=max(first, top - height + 2), animate=False, immediate=True)
        else:
            self.move_to(self.cursor + turns)

    def action_first_turn(self) -> None:
        self.move_to(0)
        self.scroll_home(animate=False, immediate=True)

    def action_last_turn(self) -> None:
        self.move_to(len(self.turns) - 1)
        self.scroll_end(animate=False, immediate=True)

    def move_to(self, turn: int) -> None:
        """Put the cursor on a turn, and that into view."""
        if not self.turns:
            return
        self.cursor = max(0, min(turn, len(self.turns) - 1))
        top, height = int(self.scroll_offset.y), max(1, self.size.height)
        first, after = self._rows_of(self.cursor)
        if first < top or after > top + height:
            row = first if first < top or after - first > height else after - height
            self.scroll_to(y=row, animate=False, immediate=True)
        self.refresh()

    def _rows_of(self, turn: int) -> tuple[int, int]:
        """A turn's first line, and the first after it."""
        return self._starts[turn], self._starts[turn + 1] if turn + 1 < len(self._starts) else len(self._lines)

    def on_click(self, event: events.Click) -> None:
        row = event.y + int(self.scroll_offset.y)
        if row < len(self._lines):
            self.cursor = max(turn for turn, start in enumerate(self._starts) if start <= row)
            self.refresh()

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        row = y + int(self.scroll_offset.y)
        if not self.turns and self.hint:
            hint = self.hint.splitlines()
            top = max(0, (self.size.height - len(hint)) // 2)
            words = hint[y - top] if 0 <= y - top < len(hint) else ""
            return Strip([Segment(words.center(width), base + ink(self, "conversation--dim"))])
        if row >= len(self._lines):
            return Strip.blank(width, base)
        segments = [self._gutter(row, base)]
        segments += [Segment(text, base + self._ink(tone)) for text, tone in self._lines[row]]
        return Strip(segments).adjust_cell_length(width, base)

    def _gutter(self, row: int, base: Style) -> Segment:
        first, after = self._rows_of(self.cursor)
        here = self.has_focus and first <= row < after - 1
        return Segment(CURSOR if here else " ", base + ink(self, "conversation--live"))

    def _ink(self, tone: str) -> Style:
        style = Style()
        for word in tone.split():
            name = _THEME_TONES.get(word, word)
            if name in _WEIGHTS:
                style += _WEIGHTS[name]
            elif name in _TONES:
                style += ink(self, f"conversation--{name}")
        return style
