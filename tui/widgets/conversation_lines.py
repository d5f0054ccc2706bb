"""A turn of a conversation in lines: the prompt across, the answers in columns or below each other."""

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from rich.cells import cell_len
from textual.content import Content

from tui.text import clean
from tui.widgets.cells import fitted
from tui.widgets.chat_seats import Seat
from tui.widgets.chat_turns import Answer, Stage, Turn
from tui.widgets.light_markdown import markdown_line, markdown_lines
from tui.widgets.word_diff import word_diff

RULE = " │ "
LEAST_COLUMN = 28
"""Narrower columns are hard to read: the answers then stand below each other."""
CARET = "▌"

Piece = tuple[str, str]
"""Text and its tone: words with blanks between them."""
Line = list[Piece]


class Against(StrEnum):
    """What answers are compared with, word by word."""

    NOTHING = ""
    FIRST = "first"
    """The answer of the first pane."""
    EARLIER = "earlier"
    """The answer that the same pane gave before it was asked again."""


def columns_of(width: int, count: int) -> list[int]:
    """The widths of `count` columns; empty where they would be too narrow."""
    if count < 1:
        return []
    room = width - len(RULE) * (count - 1)
    if count > 1 and room // count < LEAST_COLUMN:
        return []
    return [room // count] * (count - 1) + [room - room // count * (count - 1)]


def turn_lines(
    turn: Turn, seats: Sequence[Seat], width: int, against: Against = Against.NOTHING, *, unfolded: bool = False
) -> list[Line]:
    """A turn in lines of at most `width` cells."""
    lines: list[Line] = []
    for number, text in enumerate(_wrapped(turn.prompt, width - 2)):
        lines.append([("  " if number else "› ", "live"), (text, "prompt")])
    columns = columns_of(width, len(seats))
    drawn = _Drawn(turn, seats, against, unfolded)
    lines += _side_by_side(drawn, columns) if columns else _stacked(drawn, width)
    return [*lines, []]


class _Drawn:
    """The answers of a turn, as they are looked at."""

    def __init__(self, turn: Turn, seats: Sequence[Seat], against: Against, unfolded: bool) -> None:
        self.turn = turn
        self.seats = seats
        self.against = against
        self.unfolded = unfolded

    def answer(self, seat: Seat) -> Answer | None:
        return self.turn.answers.get(seat.place)

    def lines(self, seat: Seat, width: int) -> list[Line]:
        """A seat's answer in lines, and what was found for it in notes."""
        before, now = self._before(seat), self.turn.text_of(seat.place)
        answer = self.answer(seat)
        if before is not None and now is not None:
            lines = _content_lines(word_diff(before, now), width)
        else:
            lines = _answer_lines(answer, width)
        if answer is not None and answer.passages:
            lines += _passage_lines(answer, self.turn.prompt, width, unfolded=self.unfolded)
        return lines

    def figures(self, seat: Seat) -> str:
        """Under an answer: its figures, and how often it was given anew."""
        answer = self.answer(seat)
        earlier = len(self.turn.earlier.get(seat.place, ()))
        parts = [answer.figures] if answer is not None and answer.figures else []
        parts += [f"{earlier + 1}. answer"] if earlier else []
        return " · ".join(parts)

    def _before(self, seat: Seat) -> str | None:
        match self.against:
            case Against.FIRST if seat is not self.seats[0]:
                return self.turn.text_of(self.seats[0].place)
            case Against.EARLIER if seat.place in self.turn.earlier:
                return self.turn.earlier[seat.place][-1].text
        return None


def _side_by_side(drawn: _Drawn, columns: Sequence[int]) -> list[Line]:
    cells: list[list[Line]] = []
    for seat, width in zip(drawn.seats, columns, strict=True):
        cell = drawn.lines(seat, width)
        if figures := drawn.figures(seat):
            cell.append([(fitted(figures, width), "dim")])
        cells.append(cell)
    lines: list[Line] = []
    for row in range(max((len(cell) for cell in cells), default=0)):
        line: Line = []
        for number, (cell, width) in enumerate(zip(cells, columns, strict=True)):
            line += [(RULE, "rule")] if number else []
            pieces = cell[row] if row < len(cell) else []
            line += pieces
            line.append((" " * max(0, width - sum(cell_len(text) for text, _ in pieces)), ""))
        lines.append(line)
    return lines


def _stacked(drawn: _Drawn, width: int) -> list[Line]:
    lines: list[Line] = []
    for seat in drawn.seats:
        figures = drawn.figures(seat)
        label = fitted(seat.label, min(cell_len(seat.label), max(8, width - len(figures) - 4)))
        lines.append([(label, seat.letter or "prompt"), (f"  {figures}", "dim")])
        lines += [[("│ ", "rule"), *pieces] for pieces in drawn.lines(seat, width - 2)]
    return lines


def _answer_lines(answer: Answer | None, width: int) -> list[Line]:
    if answer is None:
        return [[("–", "dim")]]
    if answer.stage is Stage.WAITING:
        return [[("…", "dim")]]
    text = answer.text + (CARET if answer.stage is Stage.WRITING else "")
    lines = _markdown(text, width) if text.strip() else []
    if answer.stage is Stage.FAILED:
        lines += [[(line, "act")] for line in _wrapped(f"✗ {answer.error}", width)]
    if not lines and answer.stage is Stage.DONE:
        return [[("(an empty answer)", "dim")]]
    return lines


def _passage_lines(answer: Answer, question: str, width: int, *, unfolded: bool) -> list[Line]:
    from tui.widgets.knowledge_passages import passages_content

    return _content_lines(passages_content(answer.passages, folded=not unfolded, question=question), width)


def _markdown(text: str, width: int) -> list[Line]:
    """Markdown as lines of at most `width` cells. What streamed in before comes from a cache, but for its last line."""
    return [
        list(pieces)
        for line, kind in markdown_lines(clean(text).rstrip("\n"))
        for pieces in _drawn_line(line, kind, max(1, width))
    ]


@lru_cache(4096)
def _drawn_line(line: str, kind: str, width: int) -> tuple[tuple[Piece, ...], ...]:
    return tuple(tuple(pieces) for pieces in _content_lines(markdown_line(line, kind, width), width))


def _content_lines(content: Content, width: int) -> list[Line]:
    return [_pieces(line) for line in content.wrap(max(1, width))] or [[]]


def _pieces(content: Content) -> Line:
    """A line of styled text in pieces, the names of its styles as their tones."""
    plain, spans = content.plain, content.spans
    cuts = sorted({0, len(plain), *(span.start for span in spans), *(span.end for span in spans)})
    return [
        (plain[start:end], " ".join(str(span.style) for span in spans if span.start <= start and span.end >= end))
        for start, end in pairwise(cuts)
        if end <= len(plain)
    ]


def _wrapped(text: str, width: int) -> list[str]:
    """Plain `text` in lines of at most `width` cells, at the ends of words where that is possible."""
    return [line for paragraph in clean(text).split("\n") for line in _wrapped_paragraph(paragraph, max(1, width))]


@lru_cache(1024)
def _wrapped_paragraph(paragraph: str, width: int) -> tuple[str, ...]:
    return tuple(line.plain for line in Content(paragraph).wrap(width)) or ("",)
