"""Tabs on one line: names, counts, which one is open."""

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class TabLine(Widget):
    """The names of the tabs; the open one is marked. `counts` puts a figure behind a name."""

    DEFAULT_CSS = """
    TabLine { height: 1; text-wrap: nowrap; color: $text-muted; padding: 0 1; }
    """
    ALLOW_SELECT = False

    active: reactive[str] = reactive("")
    counts: reactive[dict[str, int]] = reactive(dict)

    class Chosen(Message):
        """Another tab was opened."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, tabs: dict[str, str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tabs = tabs
        self.set_reactive(TabLine.active, next(iter(tabs)))
        self._spans: list[tuple[int, int, str]] = []

    def render(self) -> Content:
        parts: list[tuple[str, str]] = []
        self._spans = []
        column = 0
        for tab, title in self.tabs.items():
            count = f" {self.counts[tab]}" if self.counts.get(tab) else ""
            label = f" {title}{count} "
            active = tab == self.active
            parts += [
                (label, "bold $block-cursor-foreground on $block-cursor-background" if active else ""),
                (" ", ""),
            ]
            self._spans.append((column, column + len(label), tab))
            column += len(label) + 1
        return Content.assemble(*parts)

    def move(self, places: int) -> None:
        """Open the tab so many places further on."""
        tabs = list(self.tabs)
        self.choose(tabs[(tabs.index(self.active) + places) % len(tabs)])

    def choose(self, tab: str) -> None:
        """Open a tab."""
        if tab != self.active:
            self.active = tab
            self.post_message(self.Chosen(tab))

    def on_click(self, event: events.Click) -> None:
        for start, end, tab in self._spans:
            if start <= event.x - 1 < end:
                self.choose(tab)
