"""A grid of braille cells: two by four dots each, and whose dots they are."""

_LEFT, _RIGHT = (0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)
_STROKES = tuple(
    tuple(tuple(sum(column[first : last + 1]) for last in range(4)) for first in range(4)) for column in (_LEFT, _RIGHT)
)
"""The bits of the dots from `first` to `last` in a cell's left and right column."""
CHARS = (" ", *(chr(0x2800 + mask) for mask in range(1, 256)))
"""The character of each set of dots."""


class Braille:
    """Dots on `width` by `height` cells. Dot (0, 0) is the upper left one.

    A cell belongs to one owner, for a cell has one colour: who draws in it later takes it, with the dots of others.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.masks = [bytearray(width) for _ in range(height)]
        self.owners = [[0] * width for _ in range(height)]
        """Whose the dots of a cell are: the number given to `dot` or `line`, 0 for nobody."""

    def dot(self, x: int, y: int, owner: int) -> None:
        """Set one dot; outside of the grid nothing happens."""
        self.stroke(x, y, y, owner)

    def stroke(self, x: int, y0: int, y1: int, owner: int) -> None:
        """Set the dots of a column from `y0` to `y1`, in either order."""
        if y0 > y1:
            y0, y1 = y1, y0
        y0, y1 = max(y0, 0), min(y1, self.height * 4 - 1)
        column = x >> 1
        if y0 > y1 or not 0 <= column < self.width:
            return
        bits = _STROKES[x & 1]
        first, last = y0 >> 2, y1 >> 2
        for row in range(first, last + 1):
            mask = bits[y0 & 3 if row == first else 0][y1 & 3 if row == last else 3]
            owners = self.owners[row]
            if owners[column] == owner:
                self.masks[row][column] |= mask
            else:
                owners[column] = owner
                self.masks[row][column] = mask

    def line(self, x0: float, y0: float, x1: float, y1: float, owner: int) -> None:
        """A straight line between two dots, clipped to the grid."""
        clipped = _clip(x0, y0, x1, y1, self.width * 2 - 1, self.height * 4 - 1)
        if clipped is None:
            return
        x0, y0, x1, y1 = clipped if clipped[0] <= clipped[2] else (*clipped[2:], *clipped[:2])
        first, last = round(x0), round(x1)
        if first == last:
            self.stroke(first, round(y0), round(y1), owner)
            return
        slope = (y1 - y0) / (x1 - x0)
        if -1 <= slope <= 1:
            for x in range(first, last + 1):
                y = round(y0 + (x - x0) * slope)
                self.stroke(x, y, y, owner)
            return
        way, start = (1 if slope > 0 else -1), round(y0)
        for x in range(first, last):
            end = round(y0 + (x + 0.5 - x0) * slope)
            self.stroke(x, start, end, owner)
            start = end + way if end != round(y1) else end
        self.stroke(last, start, round(y1), owner)

    def char(self, column: int, row: int) -> str:
        """The cell's character, a space where there is no dot."""
        return CHARS[self.masks[row][column]]


def _clip(
    x0: float, y0: float, x1: float, y1: float, right: float, bottom: float
) -> tuple[float, float, float, float] | None:
    """The part of a line inside the rectangle from (0, 0), by Liang and Barsky; `None` where there is none."""
    if 0 <= x0 <= right and 0 <= x1 <= right and 0 <= y0 <= bottom and 0 <= y1 <= bottom:
        return x0, y0, x1, y1
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
