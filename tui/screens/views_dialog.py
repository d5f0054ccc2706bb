"""Filters with their order that are kept under names: show one, keep the one at hand, delete one."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets import option_list as options

from tui.screens.dialogs import ConfirmDialog, Dialog, TextDialog, key_words
from tui.text import clean_line, shorten
from tui.widgets.run_orders import order_of

if TYPE_CHECKING:
    from store import Store
    from store.records import View

KIND = "runs"
NONE_YET = "No views yet. s keeps the filter and the order at hand under a name; this list brings them back."


@dataclass(frozen=True)
class CountedView:
    """A view, and how many runs it shows now; `None` for one whose filter is not understood any more."""

    view: "View"
    count: int | None


class ViewsDialog(Dialog["View | None"]):
    """Enter gives the view to show, Esc `None`. What is kept and deleted is done here."""

    CSS = """
    ViewsDialog OptionList { height: auto; max-height: 14; border: none; background: $surface; padding: 0; }
    ViewsDialog OptionList { text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,V", "cancel", "close", id="views.close"),
        Binding("s", "keep", "keep this one", id="views.keep"),
        Binding("d", "delete", "delete", id="views.delete"),
        Binding("j", "move('down')", "down", id="views.down", show=False),
        Binding("k", "move('up')", "up", id="views.up", show=False),
    ]

    def __init__(self, store: "Store", current: "View", views: Sequence[CountedView]) -> None:
        """`current` is what the list shows now, under the name that it has, if it has one."""
        super().__init__()
        self.title_text = "Views"
        self._store = store
        self._current = current
        self._views = views

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield OptionList(markup=False)
            yield Static(NONE_YET, markup=False, id="none", classes="part muted")
            yield Static(
                key_words(("enter", "show it"), ("s", "keep this one"), ("d", "delete"), ("esc", "close")),
                classes="keys",
            )

    def on_mount(self) -> None:
        self._show(self._views, self._current.name)
        self.query_one(OptionList).focus()

    def _show(self, views: Sequence[CountedView], name: str) -> None:
        self._views = views
        listing = self.query_one(OptionList)
        listing.clear_options()
        width = min(28, max((len(clean_line(one.view.name)) for one in views), default=0))
        counts = [_count(one) for one in views]
        for one, count in zip(views, counts, strict=True):
            current = one.view.name == self._current.name
            listing.add_option(options.Option(_words(one, width, count.ljust(max(map(len, counts))), current=current)))
        listing.display = bool(views)
        self.query_one("#none").display = not views
        names = [one.view.name for one in views]
        if names:
            listing.highlighted = names.index(name) if name in names else 0

    @property
    def _chosen(self) -> "View | None":
        row = self.query_one(OptionList).highlighted
        return self._views[row].view if row is not None and row < len(self._views) else None

    def action_move(self, direction: str) -> None:
        listing = self.query_one(OptionList)
        listing.action_cursor_down() if direction == "down" else listing.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _taken(self) -> None:
        self.dismiss(self._chosen)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_keep(self) -> None:
        """Keep what the list shows now; a name that is taken is asked about."""

        def named(name: str | None) -> None:
            if not name:
                return
            if name != self._current.name and any(one.view.name == name for one in self._views):
                body = "It is replaced by the filter and the order at hand."
                self.app.push_screen(
                    ConfirmDialog(f"There is a view “{name}”", body, "replace it"),
                    lambda yes: self._keep(name) if yes else None,
                )
            else:
                self._keep(name)

        hint = f"for {_about(self._current)}"
        self.app.push_screen(TextDialog("Keep this view as", self._current.name, hint=hint), named)

    def _keep(self, name: str) -> None:
        self._current = replace(self._current, name=name)
        self._write(partial(self._store.views.save, self._current))

    def _delete(self, name: str) -> None:
        self._write(partial(self._store.views.delete, KIND, name))

    def action_delete(self) -> None:
        if view := self._chosen:
            self.app.push_screen(
                ConfirmDialog(
                    f"Delete the view “{clean_line(view.name)}”?", f"{_about(view)}\nRuns stay.", "delete it"
                ),
                lambda yes: self._delete(view.name) if yes else None,
            )

    @work(group="views")
    async def _write(self, change: Callable[[], None]) -> None:
        from tui.errors import show_error

        def write() -> list[CountedView]:
            change()
            return read_views(self._store)

        try:
            views = await asyncio.to_thread(write)
        except Exception as error:  # whatever the store says is shown
            show_error(self.app, error, "The view was not kept")
            return
        if self.is_running:
            self._show(views, self._current.name)


def read_views(store: "Store") -> list[CountedView]:
    """The views of runs with what they show now. Call it in a thread."""
    from store.errors import QueryError

    found = []
    for view in store.views.all(KIND):
        try:
            found.append(CountedView(view, store.runs.count(view.query)))
        except QueryError:
            found.append(CountedView(view, None))
    return found


def _count(one: CountedView) -> str:
    return "not understood" if one.count is None else f"{one.count:,} {'run' if one.count == 1 else 'runs'}"


def _words(one: CountedView, width: int, count: str, *, current: bool) -> Content:
    name = shorten(clean_line(one.view.name), width).ljust(width)
    return Content.assemble(("● " if current else "  "), (name, "bold"), f"  {count}  {_about(one.view)}")


def _about(view: "View") -> str:
    """What a view shows, in words: `status:failed · by started`."""
    order = order_of(view.sort)
    turned = "" if view.descending == order.descending else ", turned round"
    return f"{clean_line(view.query) or 'all runs'} · by {order.title}{turned}"
