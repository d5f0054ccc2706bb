"""Two versions of a registered adapter: what differs, and which is better?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.screens.page import Page
from tui.widgets.registry_words import comparison_content

if TYPE_CHECKING:
    from engine.registry.comparing import VersionComparison
    from tui.services import Services


class RegistryCompareScreen(Page):
    """Version `after` of `name` beside version `before`."""

    MODE = "runs"
    TITLE = "Compare versions"
    CSS_PATH = "registry_compare.tcss"
    AUTO_FOCUS = "#scroll"
    HELP = """
**Is the new version better?** Figures that both versions have, measured on the same rows; what was set otherwise; what
both took. A difference within the 95 % intervals may be chance. Figures of training on different data do not compare.

`[` and `]` take another version to compare with.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "other(-1)", "beside another", id="registry_compare.earlier", key_display="[ ]"),
        Binding("right_square_bracket", "other(1)", "later", id="registry_compare.later", show=False),
        Binding("escape", "back", "back", id="registry_compare.back", tooltip="Back to the registry"),
    ]

    def __init__(self, name: str, before: int, after: int) -> None:
        super().__init__()
        self.name_text = name
        self.before = before
        self.after = after
        self._numbers: list[int] = []
        self._found: VersionComparison | None = None

    def compose_body(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        with VerticalScroll(id="scroll"):
            yield Static("", id="body", markup=False)

    def on_mount(self) -> None:
        self.when_ready(self._read_both)

    def on_resize(self, _: events.Resize) -> None:
        self._draw()

    def _read_both(self) -> None:
        read = partial(_compared, self.services, self.name_text, self.before, self.after)
        self.in_thread(read, self._show, group="compare", title="They cannot be compared")

    def _show(self, found: "tuple[list[int], VersionComparison]") -> None:
        self._numbers, self._found = found
        self._draw()
        self.refresh_bindings()

    def _draw(self) -> None:
        if self._found is not None:
            self.query_one("#head", Static).update(f"{self.name_text}   v{self.before} → v{self.after}")
            self.query_one("#body", Static).update(comparison_content(self._found, self.size.width - 4))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "other":
            return len(self._numbers) > 2
        return super().check_action(action, parameters)

    def action_other(self, step: int) -> None:
        """Take the next version, or the one before, to compare with."""
        others = [number for number in self._numbers if number != self.after]
        place = others.index(self.before) if self.before in others else 0
        self.before = others[(place + step) % len(others)]
        self._read_both()


def _compared(services: "Services", name: str, before: int, after: int) -> "tuple[list[int], VersionComparison]":
    from engine.registry.comparing import compare_versions
    from engine.registry.registering import find_version

    numbers = sorted(one.version for one in services.store.registry.versions(name))
    one, other = (find_version(services.store, name, number) for number in (before, after))
    return numbers, compare_versions(one, other)
