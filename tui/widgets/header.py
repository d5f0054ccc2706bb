"""The line on top: the app's name, the modes, how busy the machine is."""

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.figures import Figures
from tui.format import fmt_pair
from tui.widgets.cells import fitted
from tui.widgets.gauge import bar

MODE_TITLES = {
    "runs": "Runs",
    "datasets": "Datasets",
    "new_run": "New run",
    "compare": "Compare",
    "chat": "Chat",
    "queue": "Queue",
}
"""The modes by the order of their keys, 1 to 6."""


class HeaderStrip(Widget):
    """One line, the same on every screen. Narrow terminals lose the figures first, then the app's name."""

    DEFAULT_CSS = """
    HeaderStrip { height: 1; dock: top; background: $surface; color: $text-muted; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    mode: reactive[str] = reactive("")
    figures: reactive[Figures | None] = reactive(None)
    problem: reactive[str] = reactive("")
    """What is wrong with the store just now; takes the place of the figures."""

    class ModeClicked(Message):
        """A mode's title was clicked."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.set_reactive(HeaderStrip.mode, mode)
        self._spans: list[tuple[int, int, str]] = []

    def render(self) -> Content:
        left = self._left(numbers_alone=False)
        room = self.size.width - left.cell_length - 2
        if len(self.problem) > room:  # what is wrong matters more than what the other modes are called
            left = self._left(numbers_alone=True)
            room = self.size.width - left.cell_length - 2
        right = self._right(room)
        return left + Content(" " * max(0, self.size.width - left.cell_length - right.cell_length - 1)) + right

    def _left(self, *, numbers_alone: bool) -> Content:
        """The name and the modes; with `numbers_alone`, only the mode at hand has its title."""
        labels = {
            mode: f" {number} " if numbers_alone and mode != self.mode else f" {number} {title} "
            for number, (mode, title) in enumerate(MODE_TITLES.items(), 1)
        }
        parts: list[Content | tuple[str, str]] = []
        column = 1
        if self.size.width >= sum(map(len, labels.values())) + 10:
            parts.append((" finetui ", "bold $foreground"))
            column = 10
        self._spans = []
        for mode, label in labels.items():
            style = "bold $block-cursor-foreground on $block-cursor-background" if mode == self.mode else ""
            parts.append((label, style))
            self._spans.append((column, column + len(label), mode))
            column += len(label)
        return Content.assemble(*parts)

    def _right(self, room: int) -> Content:
        if self.problem:
            return Content(fitted(self.problem, room).rstrip()).stylize("$text-error")
        figures = self.figures
        if figures is None:
            return Content("")
        used = figures.used_bytes / max(1, figures.total_bytes)
        percent = f"{figures.busy:.0%}"
        memory = fmt_pair(figures.used_bytes, figures.total_bytes, "/")
        for text in (
            f"{figures.device} {bar(used, 6)} {memory} {percent}",
            f"{figures.device} {memory} {percent}",
            f"{figures.device} {percent}",
            percent,
        ):
            if len(text) <= room:
                return Content(text)
        return Content("")

    def on_click(self, event: events.Click) -> None:
        for start, end, mode in self._spans:
            if start <= event.x < end:
                self.post_message(self.ModeClicked(mode))
