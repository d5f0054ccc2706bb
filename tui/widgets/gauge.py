"""Bars of one line: how much of a whole."""

import math

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

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


class Gauge(Widget):
    """A label, a bar and figures on one line. The bar turns amber from 85 % and red from 95 %."""

    DEFAULT_CSS = """
    Gauge { height: 1; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    share: reactive[float | None] = reactive(None)
    figures: reactive[str] = reactive("")

    def __init__(self, label: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.label = label

    def render(self) -> Content:
        room = self.size.width - len(self.label) - len(self.figures) - 4
        share = self.share
        style = "$primary"
        if share is not None:
            style = "$text-error" if share >= 0.95 else "$text-warning" if share >= 0.85 else style
        bars = styled_bar(share, min(40, max(4, room)), style) if share is not None else Content("")
        return Content.assemble(
            (f"{self.label}  ", "$text-muted"), bars, "  " if share is not None else "", self.figures
        )
