"""Bars of one line: how much of a whole."""

import math

from textual.content import Content

FULL, EMPTY = "━", "─"


def bar(share: float | None, width: int) -> str:
    """`width` cells, filled up to `share` (0 to 1). Never full before it is whole, never empty once it began."""
    if share is None or not math.isfinite(share):
        return EMPTY * width
    filled = math.floor(min(1.0, max(0.0, share)) * width)
    if filled == 0 and share > 0 and width > 0:
        filled = 1
    return FULL * filled + EMPTY * (width - filled)


def styled_bar(share: float | None, width: int, style: str = "$primary") -> Content:
    """`bar` with the filled part in `style` and the rest dim."""
    text = bar(share, width)
    filled = text.count(FULL)
    return Content.assemble((FULL * filled, style), (EMPTY * (width - filled), "$text-disabled"))


def gauge_bar(share: float, width: int, *, warm: bool = True) -> Content:
    """A bar of something that should not become full: with `warm` it is amber from 85 % on and red from 95 %."""
    return styled_bar(share, width, warm_tone(share) if warm else "$primary")


def warm_tone(share: float) -> str:
    """The colour of how full something is."""
    return "$text-error" if share >= 0.95 else "$text-warning" if share >= 0.85 else "$primary"
