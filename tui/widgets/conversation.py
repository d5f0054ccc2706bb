"""A conversation with models side by side: each prompt across, the answers in columns, or below each other."""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.text import clean
from tui.widgets.cells import fitted
from tui.widgets.chat_seats import Seat
from tui.widgets.chat_turns import Answer, Stage, Turn
from tui.widgets.ink import ink
from tui.widgets.lanes import LETTERS

RULE = " │ "
LEAST_COLUMN = 28
"""Narrower columns are hard to read: the answers then stand below each other."""
CARET = "▌"

Piece = tuple[str, str]
"""Text and its tone."""
Line = list[Piece]


def columns_of(width: int, count: int) -> list[int]:
    """The widths of `count` columns; empty where they would be too narrow."""
    if count < 1:
        return []
    room = width - len(RULE) * (count - 1)
    if count > 1 and room // count < LEAST_COLUMN:
        return []
    return [room // count] * (count - 1) + [room - room // count * (count - 1)]


class Conversation(ScrollView, can_focus=True):
    """Drawn line by line; only turns that changed are laid out anew. Follows the end while the view is there."""

    DEFAULT_CSS = """
    Conversation {
        height: 1fr; padding: 0 0 0 1; overflow-x: hidden; overflow-y: auto;
        scrollbar-gutter: stable; scrollbar-size-vertical: 1;
        .conversation--prompt { color: $foreground; text-style: bold; }
        .conversation--dim { color: $text-muted; }
        .conversation--act { color: $text-error; }
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
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"conversation--{name}" for name in ("prompt", "dim", "act", "live", "rule", *LETTERS)
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", id="conversation.down", show=False),
        Binding("k", "scroll_up", "up", id="conversation.up", show=False),
        Binding("g", "scroll_home", "first", id="conversation.first", show=False),
        Binding("G", "scroll_end", "last, and follow", id="conversation.last", show=False),
    ]
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.seats: Sequence[Seat] = ()
        self.turns: list[Turn] = []
        self.hint = ""
        """What stands here before the first turn."""
        self._lines: list[Line] = []
        self._follows = True
        """Whether the view stays at the end when more comes."""
        self._laid_out: dict[int, tuple[tuple[object, ...], list[Line]]] = {}

    def show(self, seats: Sequence[Seat], turns: list[Turn]) -> None:
        """Show these turns, answered by these seats, and go to the end."""
        self.seats, self.turns = seats, turns
        self._laid_out.clear()
        self._follows = True
        self._lay_out()

    def turns_changed(self) -> None:
        """Draw what changed in the turns since the last call."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        key = (width, tuple((seat.place, seat.label) for seat in self.seats))
        lines: list[Line] = []
        for index, turn in enumerate(self.turns):
            stamp = (id(turn), turn.version, *key)
            known = self._laid_out.get(index)
            if known is None or known[0] != stamp:
                known = self._laid_out[index] = (stamp, turn_lines(turn, self.seats, width))
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
        segments = [Segment(text, base + self._ink(tone)) for text, tone in self._lines[row]]
        return Strip(segments).adjust_cell_length(width, base)

    def _ink(self, tone: str) -> Style:
        return ink(self, f"conversation--{tone}") if tone else Style()


def turn_lines(turn: Turn, seats: Sequence[Seat], width: int) -> list[Line]:
    """A turn in lines of at most `width` cells."""
    lines: list[Line] = []
    for number, text in enumerate(_wrapped(turn.prompt, width - 2)):
        lines.append([("  " if number else "› ", "live"), (text, "prompt")])
    columns = columns_of(width, len(seats))
    lines += _side_by_side(turn, seats, columns) if columns else _stacked(turn, seats, width)
    return [*lines, []]


def _side_by_side(turn: Turn, seats: Sequence[Seat], columns: Sequence[int]) -> list[Line]:
    cells: list[list[Piece]] = []
    for seat, width in zip(seats, columns, strict=True):
        answer = turn.answers.get(seat.place)
        cell = _answer_lines(answer, width)
        if answer is not None and answer.figures:
            cell.append((answer.figures, "dim"))
        cells.append(cell)
    lines: list[Line] = []
    for row in range(max((len(cell) for cell in cells), default=0)):
        line: Line = []
        for number, (cell, width) in enumerate(zip(cells, columns, strict=True)):
            if number:
                line.append((RULE, "rule"))
            text, tone = cell[row] if row < len(cell) else ("", "")
            line.append((fitted(text, width), tone))
        lines.append(line)
    return lines


def _stacked(turn: Turn, seats: Sequence[Seat], width: int) -> list[Line]:
    lines: list[Line] = []
    for seat in seats:
        answer = turn.answers.get(seat.place)
        figures = answer.figures if answer is not None else ""
        label = fitted(seat.label, min(len(seat.label), max(8, width - len(figures) - 4)))
        lines.append([(label, seat.letter or "prompt"), (f"  {figures}", "dim")])
        lines += [[("│ ", "rule"), piece] for piece in _answer_lines(answer, width - 2)]
    return lines


def _answer_lines(answer: Answer | None, width: int) -> list[Piece]:
    if answer is None:
        return [("–", "dim")]
    if answer.stage is Stage.WAITING:
        return [("…", "dim")]
    text = answer.text + (CARET if answer.stage is Stage.WRITING else "")
    lines: list[Piece] = [(line, "") for line in _wrapped(text, width)] if text.strip() else []
    if answer.stage is Stage.FAILED:
        lines += [(line, "act") for line in _wrapped(f"✗ {answer.error}", width)]
    if not lines and answer.stage is Stage.DONE:
        return [("(an empty answer)", "dim")]
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, at the ends of words where that is possible."""
    return [line for paragraph in clean(text).split("\n") for line in _wrapped_paragraph(paragraph, max(1, width))]


@lru_cache(4096)
def _wrapped_paragraph(paragraph: str, width: int) -> tuple[str, ...]:
    # While an answer streams in, all paragraphs but its last one come from here.
    return tuple(line.plain for line in Content(paragraph).wrap(width)) or ("",)
