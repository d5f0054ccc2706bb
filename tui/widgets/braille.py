"""A grid of braille cells: two by four dots each, and whose dots they are."""

import math

_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Braille:
    """Dots on `width` by `height` cells. Dot (0, 0) is the upper left one.

    Lines that share a cell keep all their dots; the cell's colour is that of the line drawn last.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.masks = [bytearray(width) for _ in range(height)]
        self.owners = [bytearray(width) for _ in range(height)]
        """Who drew last in a cell: the number given to `dot` or `line`, 0 for nobody."""

    def dot(self, x: int, y: int, owner: int) -> None:
        """Set one dot; outside of the grid nothing happens."""
        column, row = x >> 1, y >> 2
        if 0 <= column < self.width and 0 <= row < self.height:
            self.masks[row][column] |= _BITS[y & 3][x & 1]
            self.owners[row][column] = owner

    def line(self, x0: float, y0: float, x1: float, y1: float, owner: int) -> None:
        """A straight line between two dots, clipped to the grid."""
        clipped = _clip(x0, y0, x1, y1, self.width * 2 - 1, self.height * 4 - 1)
        if clipped is None:
            return
        x0, y0, x1, y1 = clipped
        count = math.ceil(max(abs(x1 - x0), abs(y1 - y0)))
        if count == 0:
            self.dot(round(x0), round(y0), owner)
            return
        step_x, step_y = (x1 - x0) / count, (y1 - y0) / count
        for index in range(count + 1):
            self.dot(round(x0 + step_x * index), round(y0 + step_y * index), owner)

    def char(self, column: int, row: int) -> str:
        """The cell's character, a space where there is no dot."""
        mask = self.masks[row][column]
        return chr(0x2800 + mask) if mask else " "


def _clip(
    x0: float, y0: float, x1: float, y1: float, right: float, bottom: float
) -> tuple[float, float, float, float] | None:
    """The part of a line inside the rectangle from (0, 0), by Liang and Barsky; `None` where there is none."""
    start, end = 0.0, 1.0
    dx, dy = x1 - x0, y1 - y0
    for delta, room in ((-dx, x0), (dx, right - x0), (-dy, y0), (dy, bottom - y0)):
        if delta == 0:
            if room < 0:
                return None
        elif delta < 0:
            start = max(start, room / delta)
        else:
            end = min(end, room / delta)
        if start > end:
            return None
    return x0 + start * dx, y0 + start * dy, x0 + end * dx, y0 + end * dy
