"""A curve in a few cells: its shape at a glance, no axes."""

import math
from collections.abc import Sequence

from tui.widgets.braille import Braille


def spark(values: Sequence[float], width: int, height: int = 1) -> list[str]:
    """The curve as `height` lines of `width` cells, two values a cell.

    More values are thinned by their means; fewer are spread over the width. What is not finite is a gap and does not
    touch the bounds. Without two finite values the lines are blank.
    """
    grid = Braille(max(0, width), max(0, height))
    points = _thinned(values, width * 2)
    finite = [value for value in points if math.isfinite(value)]
    if len(finite) < 2 or not width or not height:
        return [" " * max(0, width)] * max(0, height)
    low, high = min(finite), max(finite)
    bottom = height * 4 - 1
    scale = bottom / (high - low) if high > low else 0.0
    rest = 0.0 if scale else bottom / 2  # a flat line lies in the middle
    stride = (width * 2 - 1) / (len(points) - 1)
    before: tuple[float, float] | None = None
    for number, value in enumerate(points):
        if not math.isfinite(value):
            before = None
            continue
        x, y = number * stride, rest + (high - value) * scale
        grid.line(*(before or (x, y)), x, y, 1)
        before = x, y
    return ["".join(grid.char(column, row) for column in range(width)) for row in range(height)]


def _thinned(values: Sequence[float], most: int) -> list[float]:
    """At most `most` values, each the mean of as many; a group without a finite value is a gap."""
    count = len(values)
    if most < 1 or count <= most:
        return [float(value) for value in values]
    thinned = []
    for number in range(most):
        group = values[number * count // most : (number + 1) * count // most]
        finite = [value for value in group if math.isfinite(value)]
        # halves first: the sum of what is nearly too large for a float is infinite
        thinned.append(math.fsum(value / len(finite) for value in finite) if finite else math.nan)
    return thinned
