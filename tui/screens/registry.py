"""Registered adapters: which version does each name mean, and what is known about it?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.screens.registry_actions import RegistryActions
from tui.widgets.item_table import ItemTable
from tui.widgets.registry_table import COLUMNS, Listed, read_card, read_listing
from tui.widgets.registry_words import card_content
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from store.evaluation_records import RegistryVersion
    from store.records import Run

EMPTY = """\
Nothing is registered yet.

A registered adapter has a name, versions that do not change, and a model card.
The chat and the server find it by its name: the promoted version, else the newest.

Press n to register the adapter of a run."""


class RegistryScreen(RegistryActions):
    """The versions above, the card of the one under the cursor below. `select` is where the cursor begins: `NAME@2`."""

    MODE = "runs"
    TITLE = "Registry"
    CSS_PATH = "registry.tcss"
    AUTO_FOCUS = "#versions"
    HELP = """
**Which adapter is in use, and what is known about it?** Above are the registered names with their versions, the newest
first; ★ is the promoted one, which the name means. Below is the model card of the version under the cursor.

`p` promotes a version and `b` goes back to the one before, both after a question. `c` compares with the version before.
`d` changes description and tags, `u` takes evaluations onto the card that came since. `v` checks the files, `o` opens
the run, `x` removes the version. `n` registers the adapter of another run. `Enter` reads the card, `Esc` leaves it.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "register", "register", id="registry.new", tooltip="Register the adapter of a run"),
        Binding("tab", "switch", "card", id="registry.switch", show=False, tooltip="To the card and back"),
        Binding("escape", "back", "back", id="registry.back", tooltip="Back to where you came from"),
    ]

    def __init__(self, select: str = "") -> None:
        super().__init__()
        self._select = select
        self._card = ("", "")
        """The version whose card is shown, and its text."""

    def compose_body(self) -> ComposeResult:
        yield ItemTable(COLUMNS, id="versions")
        with VerticalScroll(id="card"):
            yield Static("", id="text", markup=False)
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.query_one("#card", VerticalScroll).can_focus = True
        self.when_ready(self.reload)

    def on_screen_resume(self) -> None:
        if self.finetui.is_ready:
            self.reload()

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size.height)
        self.call_after_refresh(self._draw)

    def reload(self, select: str = "") -> None:
        self._select = select or self._select
        self.in_thread(partial(read_listing, self.services), self._show, group="registry", title="The registry")

    def _show(self, found: list[Listed]) -> None:
        self._versions.set_items(found, select=self._select or None)
        self._select = ""
        self.set_class(not found, "-empty")
        self._fit(self.size.height)
        self._card = ("", "")
        self._read_card()
        self.refresh_bindings()

    def _fit(self, height: int) -> None:
        """The list takes the lines that it needs, and two fifths of the screen at most."""
        self._versions.styles.height = 1 + max(1, min(len(self._versions.items), height * 2 // 5))

    @property
    def _versions(self) -> ItemTable:
        return self.query_one("#versions", ItemTable)

    @property
    def current(self) -> Listed | None:
        return self._versions.highlighted if self.is_mounted else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "switch":
            return self.current is not None
        return super().check_action(action, parameters)

    @on(RowList.Highlighted, "#versions")
    def _read_card(self) -> None:
        """Read the card of the version under the cursor, unless it is the one that is shown."""
        one = self.current
        self.refresh_bindings()
        if one is None or one.id == self._card[0]:
            return
        read = partial(read_card, self.services, one)
        self.in_thread(read, partial(self._show_card, one), group="card", failed=partial(self._no_card, one))

    def _show_card(self, one: Listed, text: str) -> None:
        self._card = (one.id, text)
        self.query_one("#card", VerticalScroll).scroll_home(animate=False)
        self._draw()

    def _no_card(self, one: Listed, error: Exception) -> None:
        self._show_card(one, str(error))

    def _draw(self) -> None:
        room = self.query_one("#card", VerticalScroll).size.width - 3
        self.query_one("#text", Static).update(card_content(self._card[1], max(20, room)))

    @on(RowList.Opened, "#versions")
    def action_switch(self) -> None:
        """To the card, which then has the whole screen, and back."""
        reading = self.has_class("-reading")
        self.set_class(not reading, "-reading")
        (self._versions if reading else self.query_one("#card")).focus()
        self.call_after_refresh(self._draw)

    def action_back(self) -> None:
        """Leave the card first, then the screen."""
        if self.has_class("-reading"):
            self.action_switch()
        else:
            super().action_back()

    def action_register(self) -> None:
        """Choose a run, then its name."""
        from tui.widgets.chat_seats import runs_with_adapter

        read = partial(runs_with_adapter, self.services.store)
        self.in_thread(read, self._choose, group="register", title="The runs cannot be read")

    def _choose(self, runs: "list[Run]") -> None:
        from tui.screens.dialogs import Option, PickDialog

        if not runs:
            self.notify("No run has an adapter yet: finetui demo makes one.", severity="warning", markup=False)
            return
        choices = [Option(run.id, run.name, f"{run.model}, {run.method}, {run.id}") for run in runs]
        self.app.push_screen(PickDialog("Register the adapter of", choices), self._register)

    def _register(self, run_id: str | None) -> None:
        from tui.screens.registry_add import register_run

        if run_id:
            register_run(self, run_id, self._registered)

    def _registered(self, version: "RegistryVersion") -> None:
        self.reload(f"{version.name}@{version.version}")
