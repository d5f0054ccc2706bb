"""Text in a fixed number of terminal cells: wide characters count as two."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

NEAR = 24
"""Changes with so few cells between are one: a jump of the cursor and the colours anew cost as much as the cells."""


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, with an ellipsis where it was cut."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def changed_spans(before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """From which cells to which (not included) two lines of texts with tones differ.

    What is drawn anew is sent to the terminal anew: over a slow connection, a figure is cheaper than its line.
    """
    old, new = _by_cell(before), _by_cell(after)
    length = max(len(old), len(new))
    old += [("", "")] * (length - len(old))
    new += [("", "")] * (length - len(new))
    spans: list[tuple[int, int]] = []
    for cell in range(length):
        if old[cell] != new[cell]:
            if spans and cell - spans[-1][1] <= NEAR:
                spans[-1] = spans[-1][0], cell + 1
            else:
                spans.append((cell, cell + 1))
    return spans


def _by_cell(line: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """A character and its tone for each cell; wide characters count twice, so that both halves are drawn."""
    return [(char, tone) for text, tone in line for char in text for _ in range(cell_len(char))]
