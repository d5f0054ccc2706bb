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
    """What one model said as far as it has come, a text a turn."""

    texts: list[str] = field(default_factory=lambda: [""])
    done: bool = False
    """Whether all turns are answered, or no more will be."""
    error: str = ""


@dataclass
class Bout:
    """A match and its two answers, left and right."""

    match: "Match"
    sides: list[Side] = field(default_factory=lambda: [Side(), Side()])
    note: str = ""
    ready: bool = False
    """Whether it was looked at once both had answered: where they said the same, it is not judged."""

    @property
    def complete(self) -> bool:
        """Whether there is something to judge."""
        return self.ready and not self.failed

    @property
    def failed(self) -> bool:
        return any(side.error for side in self.sides)

    @property
    def texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        left, right = self.sides
        return tuple(left.texts), tuple(right.texts)


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

    def show(self, side: Side | None, more: Sequence[str]) -> None:
        """Show these answers as they are now, `more` questions between them; nothing without any."""
        self.query_one(PaneScroll).show(_content(side, more))

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

    def show(self, bout: Bout | None, *, from_top: bool = False) -> None:
        """Show its two answers; none where there is no bout."""
        for place, pane in enumerate(self.query(AnswerPane)):
            pane.show(bout.sides[place] if bout else None, bout.match.question.more if bout else ())
            if from_top:
                pane.to_top()

    def scroll_lines(self, lines: int) -> None:
        for pane in self.query(AnswerPane):
            pane.scroll(lines)

    def scroll_pages(self, pages: int) -> None:
        self.scroll_lines(pages * max(1, self.size.height - 2))


def _content(side: Side | None, more: Sequence[str]) -> Content:
    if side is None:
        return Content("")
    last = len(side.texts) - 1
    parts = []
    for turn, text in enumerate(side.texts):
        if turn:
            parts.append(Content.assemble(("\n› ", "$text-primary"), (f"{clean(more[turn - 1])}\n", "bold")))
        parts.append(_text(text, writing=turn == last and not side.done, alone=turn < last or not side.error))
    if side.error:
        parts.append(Content(clean(side.error)).stylize("$text-error"))
    return Content("\n").join(part for part in parts if part)


def _text(text: str, *, writing: bool, alone: bool) -> Content:
    """One answer; `alone` where an empty one is all that is said."""
    text = clean(text)
    if writing:
        return Content.assemble(text, (CARET, "$text-primary"))
    if not text.strip():
        return Content("(an empty answer)").stylize("$text-muted") if alone else Content("")
    return markdown_content(text) if has_marks(text) else Content(text)
