"""The line at the bottom: the keys that apply now, at most eight."""

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.keys import key_to_character
from textual.screen import Screen
from textual.widget import Widget

MOST = 8


class KeyBar(Widget):
    """Shows the active bindings with `show=True`, the first eight that fit; `?` always keeps its place at the end.

    One line drawn by hand: Textual's `Footer` mounts a widget a key, and does so anew at each change of focus.
    """

    DEFAULT_CSS = """
    KeyBar { height: 1; dock: bottom; background: $footer-background; color: $footer-description-foreground;
             text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[tuple[str, str, Binding]] = []
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._update)
        self._update(self.screen)

    def _update(self, screen: Screen[object]) -> None:
        if not self.is_attached or screen is not self.screen:
            return
        keys: dict[str, tuple[str, str, Binding]] = {}
        for active in screen.active_bindings.values():
            typed = self._is_typed(active.binding.key)
            if active.binding.show and active.enabled and not typed and active.binding.action not in keys:
                shown = self.app.get_key_display(active.binding)
                keys[active.binding.action] = (shown, active.binding.description, active.binding)
        if list(keys.values()) != self._keys:
            self._keys = list(keys.values())
            self.refresh()

    def _is_typed(self, key: str) -> bool:
        """Whether the widget in focus takes the key as text."""
        focused = self.screen.focused
        return focused is not None and focused.check_consume_key(key, key_to_character(key))

    def render(self) -> Content:
        help_keys = [key for key in self._keys if key[2].action == "help"]
        others = [key for key in self._keys if key[2].action != "help"][: MOST - len(help_keys)]
        others.sort(key=lambda key: key[2].id == "page.back")
        gap = 3 if _width(others + help_keys, 3) <= self.size.width else 2
        while others and _width(others + help_keys, gap) > self.size.width:
            others.pop()
        parts: list[tuple[str, str]] = []
        self._spans = []
        column = 0
        for key, text, binding in others + help_keys:
            parts += [(f" {key}", "bold $footer-key-foreground"), (f" {text}" + " " * (gap - 2), "")]
            end = column + len(key) + len(text) + gap
            self._spans.append((column, end, binding.key))
            column = end
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._spans:
            if start <= event.x < end:
                self.app.simulate_key(key)


def _width(keys: list[tuple[str, str, Binding]], gap: int) -> int:
    return sum(len(key) + len(text) + gap for key, text, _ in keys)
