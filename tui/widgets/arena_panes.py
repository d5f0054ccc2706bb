"""Two answers side by side, whose models nobody names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from tui.text import clean
from tui.widgets.light_markdown import has_marks, markdown_content
from tui.widgets.pane_scroll import PaneScroll

if TYPE_CHECKING:
    from engine.arena.matches import Match

CARET = "▌"
LETTERS = ("A", "B")


@dataclass
class Side:
    """One answer as far as it has come."""

    text: str = ""
    done: bool = False
    error: str = ""


@dataclass
class Bout:
    """A match and its two answers, left and right."""

    match: "Match"
    sides: list[Side] = field(default_factory=lambda: [Side(), Side()])
    note: str = ""

    @property
    def complete(self) -> bool:
        """Whether there is something to judge."""
        return all(side.done and not side.error for side in self.sides)

    @property
    def failed(self) -> bool:
        return any(side.error for side in self.sides)

    @property
    def texts(self) -> tuple[str, str]:
        left, right = self.sides
        return left.text, right.text


class AnswerPane(Vertical):
    """A letter, and the answer below it."""

    DEFAULT_CSS = """
    AnswerPane { width: 1fr; height: 1fr; }
    AnswerPane > .letter { height: 1; padding: 0 1; text-style: bold; color: $text-primary; background: $panel; }
    AnswerPane > PaneScroll { padding: 0 1; }
    """

    def __init__(self, letter: str) -> None:
        super().__init__(id=f"answer-{letter}")
        self._letter = letter

    def compose(self) -> ComposeResult:
        yield Static(self._letter, markup=False, classes="letter")
        yield PaneScroll()

    def show(self, side: Side | None) -> None:
        """Show this answer as it is now; nothing without one."""
        self.query_one(PaneScroll).show(_content(side))

    def scroll(self, lines: int) -> None:
        self.query_one(PaneScroll).scroll_relative(y=lines, animate=False)

    def to_top(self) -> None:
        self.query_one(PaneScroll).scroll_home(animate=False)


class AnswerPair(Horizontal):
    """Left and right, scrolled together."""

    DEFAULT_CSS = """
    AnswerPair { height: 1fr; }
    AnswerPair > #answer-A { border-right: vkey $border-blurred; }
    """

    def compose(self) -> ComposeResult:
        for letter in LETTERS:
            yield AnswerPane(letter)

    def show(self, sides: Sequence[Side], *, from_top: bool = False) -> None:
        """Show these two answers; none where there are none."""
        for place, pane in enumerate(self.query(AnswerPane)):
            pane.show(sides[place] if sides else None)
            if from_top:
                pane.to_top()

    def scroll_lines(self, lines: int) -> None:
        for pane in self.query(AnswerPane):
            pane.scroll(lines)

    def scroll_pages(self, pages: int) -> None:
        self.scroll_lines(pages * max(1, self.size.height - 2))


def _content(side: Side | None) -> Content:
    if side is None:
        return Content("")
    text = clean(side.text)
    if side.error:
        return Content.assemble(text, "\n" if text else "", (clean(side.error), "$text-error"))
    if not side.done:
        return Content.assemble(text, (CARET, "$text-primary"))
    if not text.strip():
        return Content("(an empty answer)").stylize("$text-muted")
    return markdown_content(text) if has_marks(text) else Content(text)
