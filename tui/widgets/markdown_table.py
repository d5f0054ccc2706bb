"""Tables of Markdown, drawn in columns that fit the width; where there is no room for columns, row by row."""

import re
from collections.abc import Callable, Sequence
from itertools import zip_longest

from textual.content import Content

MUTED = "$text-muted"
BETWEEN = "  "
"""No bars: those stand between the answers of models."""
LEAST = 6
"""Columns are made no narrower than so many cells."""
UNBOUND = 10_000

_DELIMITER = re.compile(r"^ {0,3}\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$")
_PIPE = re.compile(r"(?<!\\)\|")

Draw = Callable[[str], Content]
"""Draws what stands in a cell."""


def table_length(lines: Sequence[str], start: int) -> int:
    """How many of `lines` from `start` on are a table; 0 where none begins there.

    As GitHub has it: a head, a line of dashes with as many cells, then rows, until a line that has no bar.
    """
    if start + 1 >= len(lines) or "|" not in lines[start] or not _DELIMITER.match(lines[start + 1].rstrip()):
        return 0
    if len(cells_of(lines[start])) != len(cells_of(lines[start + 1])):
        return 0
    end = start + 2
    while end < len(lines) and _PIPE.search(lines[end]):
        end += 1
    return end - start


def cells_of(line: str) -> list[str]:
    """The cells of a row: `| a | b \\| c |` is `a` and `b | c`."""
    text = line.strip().removeprefix("|")
    if text.endswith("|") and not text.endswith("\\|"):
        text = text[:-1]
    return [cell.strip().replace("\\|", "|") for cell in _PIPE.split(text)]


def table_content(source: str, draw: Draw, width: int = 0) -> Content:
    """A table, its lines no longer than `width` cells; 0 is without a bound."""
    head, dashes, *rows = source.split("\n")
    names = [draw(cell).stylize_before("bold") for cell in cells_of(head)]
    sides = [_side(cell) for cell in cells_of(dashes)]
    drawn = [_filled([draw(cell) for cell in cells_of(row)], len(names)) for row in rows]
    widths = _widths([names, *drawn], width or UNBOUND)
    if not widths:
        return _stacked(names, drawn)
    rule = Content(BETWEEN.join("─" * one for one in widths)).stylize(MUTED)
    laid = [_row(cells, widths, sides) for cells in drawn]
    apart = any(len(lines) > 1 for lines in laid)  # lines of one row would be taken for rows
    parts = [*_row(names, widths, sides), rule]
    for number, lines in enumerate(laid):
        parts += [rule] if number and apart else []
        parts += lines
    return Content("\n").join(parts)


def _side(dashes: str) -> str:
    """Where a column's cells stand: `<`, `>` or `^`."""
    left, right = dashes.startswith(":"), dashes.endswith(":")
    return "^" if left and right else ">" if right else "<"


def _filled(cells: list[Content], count: int) -> list[Content]:
    """As many cells as there are columns: a row may have fewer or more."""
    return [*cells[:count], *[Content("")] * (count - len(cells))]


def _widths(rows: Sequence[Sequence[Content]], width: int) -> list[int]:
    """How wide each column is: as wide as its text, the widest made narrower where it must be; empty without room."""
    widths = [max(1, *(cell.cell_length for cell in column)) for column in zip(*rows, strict=True)]
    room = width - len(BETWEEN) * (len(widths) - 1)
    if sum(widths) <= room:
        return widths
    cap = min(max(widths), room)
    while cap >= LEAST and sum(min(one, cap) for one in widths) > room:
        cap -= 1
    if cap < LEAST:
        return []
    left = room - sum(min(one, cap) for one in widths)
    capped = []
    for one in widths:
        more = 1 if one > cap and left else 0
        left -= more
        capped.append(min(one, cap) + more)
    return capped


def _row(cells: Sequence[Content], widths: Sequence[int], sides: Sequence[str]) -> list[Content]:
    """A row in lines, as many as its highest cell has."""
    columns = [cell.wrap(width) or [Content("")] for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for pieces in zip_longest(*columns, fillvalue=Content("")):
        parts = [_padded(piece, width, side) for piece, width, side in zip(pieces, widths, sides, strict=True)]
        lines.append(Content(BETWEEN).join(parts))
    return lines


def _padded(piece: Content, width: int, side: str) -> Content:
    piece = piece.rstrip()
    free = max(0, width - piece.cell_length)
    before = {"<": 0, ">": free, "^": free // 2}[side]
    return Content.assemble(" " * before, piece, " " * (free - before))


def _stacked(names: Sequence[Content], rows: Sequence[Sequence[Content]]) -> Content:
    """A row below the other, a line a cell with the name of its column."""
    blocks = []
    for cells in rows or [[Content("")] * len(names)]:
        told = [Content.assemble(name, ": ", cell) for name, cell in zip(names, cells, strict=True) if cell or not rows]
        blocks.append(Content("\n").join(told))
    return Content.assemble("\n", ("─" * LEAST, MUTED), "\n").join(blocks)
