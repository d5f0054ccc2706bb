"""What differs between the recipes of runs: one setting a line, one run a column."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from tui.format import NONE, fmt_number
from tui.text import clean_line
from tui.widgets.cells import fitted

if TYPE_CHECKING:
    from tui.widgets.lanes import Lane

GAP = 2
NAME_WIDTH = 26
WIDEST = 24
"""Of a run's column."""
LEAST_WIDTH = 40


class SettingsDiff(Widget):
    """A value that is the baseline's is dim. Where not all runs fit, the baseline and the run at the cursor stay."""

    DEFAULT_CSS = """
    SettingsDiff { height: auto; width: 1fr; text-wrap: nowrap; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lanes: Sequence[Lane] = ()
        self.differing: dict[str, list[Any]] = {}
        self.baseline = ""
        self.current = ""

    def show(self, lanes: Sequence["Lane"], differing: dict[str, list[Any]], baseline: str, current: str) -> None:
        """Show the settings that differ. `current` is the id of the run at the cursor."""
        self.lanes, self.differing = lanes, differing
        self.baseline, self.current = baseline, current
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self.differing)) + 1

    def render(self) -> Content:
        width = max(LEAST_WIDTH, self.size.width)
        if not self.differing:
            words = "their recipes are the same" if len(self.lanes) > 1 else ""
            return Content.assemble(("what differs\n", "$text-muted"), words)
        names = min(NAME_WIDTH, max(len(name) for name in self.differing))
        shown = list(range(len(self.lanes)))
        widths = self._widths(shown)
        if names + sum(widths) + GAP * len(widths) > width:
            shown = [index for index in shown if self.lanes[index].run.id in (self.baseline, self.current)]
            widths = self._widths(shown)
        most = max(6, (width - names - GAP * len(shown)) // max(1, len(shown)))
        widths = [min(space, most) for space in widths]
        head: list[tuple[str, str]] = [(fitted("what differs", names), "$text-muted")]
        for index, space in zip(shown, widths, strict=True):
            lane = self.lanes[index]
            head.append((" " * GAP + fitted(f"{lane.letter} {lane.short}", space), f"bold {lane.color}"))
        lines = [Content.assemble(*head)]
        for name, values in self.differing.items():
            parts: list[tuple[str, str]] = [(fitted(clean_line(name), names), "")]
            ids = [lane.run.id for lane in self.lanes]
            against = values[ids.index(self.baseline)] if self.baseline in ids else None
            for index, space in zip(shown, widths, strict=True):
                same = ids[index] != self.baseline and values[index] == against
                parts.append((" " * GAP + fitted(value_words(values[index]), space), "$text-muted" if same else ""))
            lines.append(Content.assemble(*parts))
        return Content("\n").join(lines)

    def _widths(self, shown: Sequence[int]) -> list[int]:
        widths = []
        for index in shown:
            lane = self.lanes[index]
            longest = max(len(value_words(values[index])) for values in self.differing.values())
            widths.append(min(WIDEST, max(longest, len(lane.short) + 2)))
        return widths


def value_words(value: Any) -> str:
    """A setting's value as people write it."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return fmt_setting(value)
    if isinstance(value, list | tuple):
        return clean_line(", ".join(str(item) for item in value)) or NONE
    return clean_line(str(value))


def fmt_setting(value: float) -> str:
    """A setting as it was typed: `2e-4`, `0.05`, `3`."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return fmt_number(value) if abs(value) < 1e-3 else f"{value:g}"
