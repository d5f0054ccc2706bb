"""Parallel coordinates as lines of text: an axis a setting, a line a run. No widget and no theme in here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tui.widgets.braille import CHARS, Braille
from tui.widgets.parallel_axes import Axis
from tui.widgets.row_list import fitted

TONES = 5
"""Colours from the worst run (`rank-0`) to the best."""
LEAST = 9
"""Cells from one axis to the next."""
ENDS = 14
"""Cells to the right of the last axis: its ticks, and the letters of the runs."""

Span = tuple[str, str]
"""Text and its tone: `rank-0` … `rank-4`, `current`, `axis`, `label`, `title`, `picked`, `dim`, or empty."""
Cell = Span
"""Of one character."""


@dataclass(frozen=True)
class Line:
    """One run: its letter, its height on each axis, its tone."""

    letter: str
    heights: Sequence[float | None]
    tone: str


def columns_of(count: int, width: int) -> list[int]:
    """The columns of so many axes, from the left."""
    apart = max(0.0, (width - ENDS - 2) / (count - 1)) if count > 1 else 0.0
    return [min(1 + round(place * apart), max(0, width - 1)) for place in range(count)]


def room_for(width: int) -> int:
    """How many axes can be told apart."""
    return max(2, (width - ENDS - 2) // LEAST + 1)


def draw(axes: Sequence[Axis], lines: Sequence[Line], picked: int, width: int, height: int) -> list[list[Span]]:
    """Two lines of titles, then the plot. `lines` are drawn in their order, the last one on top.

    `picked` is the axis that the keys are for. Labels stand beside their axis, the letters of the runs at the right.
    """
    columns = columns_of(len(axes), width)
    rows = max(2, height - 2)
    grid = Braille(width, rows)
    deep = rows * 4 - 1
    tones = [""]
    for line in lines:
        if line.tone not in tones:
            tones.append(line.tone)
        points = [
            (column * 2.0, (1 - at) * deep) for column, at in zip(columns, line.heights, strict=True) if at is not None
        ]
        for (x0, y0), (x1, y1) in pairwise(points):
            grid.line(x0, y0, x1, y1, tones.index(line.tone))
    cells: list[list[Cell]] = [
        [(CHARS[mask], tones[owner]) for mask, owner in zip(grid.masks[row], grid.owners[row], strict=True)]
        for row in range(rows)
    ]
    for place, (axis, column) in enumerate(zip(axes, columns, strict=True)):
        after = columns[place + 1] if place + 1 < len(columns) else width - 5
        _put_axis(cells, axis, column, after - column - 2, "picked" if place == picked else "axis")
    if columns:
        _put_letters(cells, lines, columns[-1])
    return [*_titles(axes, columns, picked, width), *(_joined(row) for row in cells)]


def _put_axis(cells: list[list[Cell]], axis: Axis, column: int, room: int, tone: str) -> None:
    for line in cells:
        line[column] = ("│", tone)
    taken: set[int] = set()
    for height, words in sorted(axis.ticks, key=lambda tick: min(tick[0], 1 - tick[0])):  # the ends first
        row = round((1 - height) * (len(cells) - 1))
        if row in taken:
            continue
        taken.add(row)
        cells[row][column] = ("┤", tone)
        _put(cells[row], column + 1, words if len(words) <= room else fitted(words, room), "label")


def _put_letters(cells: list[list[Cell]], lines: Sequence[Line], column: int) -> None:
    """The letters of the runs at the right, as many as fit into a line; the one on top first."""
    ends: dict[int, int] = {}
    start = column + ENDS - 6
    for line in reversed(lines):
        at = line.heights[-1] if line.heights else None
        if at is None:
            continue
        row = round((1 - at) * (len(cells) - 1))
        begin = ends.get(row, start)
        if begin + len(line.letter) <= len(cells[row]):
            _put(cells[row], begin, line.letter, line.tone)
            ends[row] = begin + len(line.letter) + 1


def _put(row: list[Cell], column: int, text: str, tone: str) -> None:
    for place, character in enumerate(text, column):
        if 0 <= place < len(row):
            row[place] = (character, tone)


def _titles(axes: Sequence[Axis], columns: Sequence[int], picked: int, width: int) -> list[list[Span]]:
    """In two lines by turns, so that each has twice the room."""
    found = []
    for turn in (0, 1):
        row: list[Cell] = [(" ", "")] * width
        for column in columns[::2] if turn else []:
            row[column] = ("│", "axis")
        for place in range(turn, len(axes), 2):
            end = columns[place + 2] if place + 2 < len(columns) else width
            name = axes[place].title + (" log" if axes[place].log else "")
            _put(row, columns[place], _cut(name, end - columns[place] - 1), "picked" if place == picked else "title")
        found.append(_joined(row))
    return found


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else name[: max(0, room - 1)] + "…"


def _joined(row: Sequence[Cell]) -> list[Span]:
    spans: list[Span] = []
    for text, tone in row:
        if spans and spans[-1][1] == tone:
            spans[-1] = (spans[-1][0] + text, tone)
        else:
            spans.append((text, tone))
    return spans
