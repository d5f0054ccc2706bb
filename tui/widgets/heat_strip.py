"""A figure over time in one line of blocks: how full or how busy something was."""

import math
from collections.abc import Sequence
from itertools import pairwise

from textual.content import Content

from tui.widgets.gauge import warm_tone

BLOCKS = "▁▂▃▄▅▆▇█"

Sample = tuple[float, float]
"""When (unix seconds), and the share of the whole, 0 to 1."""


def heat_strip(samples: Sequence[Sample], first: float, last: float, width: int, *, warm: bool = False) -> Content:
    """`width` cells from the time `first` to `last`, each with the highest share that was measured in it.

    A cell without a sample repeats the one before it for as long as samples usually lie apart; a longer silence stays
    blank. With `warm`, 85 % is amber and 95 % red, as on a gauge.
    """
    cells = _cells(samples, first, last, width)
    parts: list[tuple[str, str]] = []
    for share in cells:
        if share is None:
            parts.append((" ", ""))
            continue
        block = BLOCKS[min(len(BLOCKS) - 1, math.floor(min(1.0, max(0.0, share)) * len(BLOCKS)))]
        parts.append((block, warm_tone(share) if warm else "$primary"))
    return Content.assemble(*parts)


def _cells(samples: Sequence[Sample], first: float, last: float, width: int) -> list[float | None]:
    cells: list[float | None] = [None] * max(0, width)
    span = last - first
    kept = sorted(one for one in samples if first <= one[0] <= last and math.isfinite(one[1]))
    if not cells or not kept or span <= 0:
        return cells
    for t, value in kept:
        place = min(width - 1, int((t - first) / span * width))
        cells[place] = max(value, cells[place] or 0.0)
    apart = sorted(after[0] - before[0] for before, after in pairwise(kept))
    usual = apart[len(apart) // 2] if apart else 0.0
    reach = math.ceil(2 * usual / span * width)
    since, held = reach + 1, 0.0
    for place in range(width):
        share = cells[place]
        since = 0 if share is not None else since + 1
        if share is not None:
            held = share
        elif since <= reach:
            cells[place] = held
    return cells
