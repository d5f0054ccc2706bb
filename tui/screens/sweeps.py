"""Sweeps: what was searched, how far is it, what is the best so far?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_number, fmt_when
from tui.screens.sweep_actions import SweepActions
from tui.text import clean_line
from tui.widgets.gauge import bar
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.row_list import RowList
from tui.widgets.sweep_words import sweep_state, varied_words

if TYPE_CHECKING:
    from engine.sweeps.analysis import SweepView
    from store.records import Sweep
    from tui.services import Services

EMPTY = """\
No sweeps yet.

A sweep runs one recipe many times with some of its fields varied, and says
which values did best and which field mattered. Its runs wait in the queue
like any other, and it goes on without finetui.

Press 3 for a new run, fill the form, then press w to vary its fields."""


class Entry:
    """A sweep with what it came to."""

    def __init__(self, view: "SweepView") -> None:
        self.view = view
        self.sweep = view.sweep

    @property
    def id(self) -> str:
        return self.sweep.id


def _state(entry: Entry) -> tuple[str, str]:
    state = sweep_state(entry.sweep)
    return f"{state.symbol} {state.word}", state.tone


def _done(entry: Entry) -> tuple[str, str]:
    view = entry.view
    share = view.done / view.total if view.total else None
    return f"{bar(share, 6)} {view.done}/{view.total}", "live" if view.sweep.status.live else ""


def _best(entry: Entry) -> tuple[str, str]:
    best = entry.view.best
    return (f"★ {fmt_number(best.value)}" if best else "", "good")


def _best_run(entry: Entry) -> tuple[str, str]:
    best = entry.view.best
    return (clean_line(best.run.name) if best and best.run else "", "")


COLUMNS = (
    Column("name", 16, lambda entry: (clean_line(entry.sweep.name), ""), share=2),
    Column("state", 10, _state),
    Column("done", 14, _done),
    Column("best", 9, _best, right=True),
    Column("run", 14, _best_run, share=1, needs=92),
    Column("varies", 20, lambda entry: (varied_words(entry.sweep.spec), "dim"), share=3, needs=100),
    Column("started", 10, lambda entry: (fmt_when(entry.sweep.created), "dim"), right=True, needs=70),
)


class SweepsScreen(SweepActions):
    """The sweeps of this home, newest first."""

    TITLE = "Sweeps"
    CSS_PATH = "sweeps.tcss"
    AUTO_FOCUS = "ItemTable"
    HELP = """
**What was searched, how far is it, what is the best so far?** A sweep runs one recipe many times with some of its
fields varied: every combination (`grid`), or where the runs before it say it is worth looking (`tpe`). Its runs wait in
the queue like any other; the sweep goes on without finetui.

`n` starts one like the sweep under the cursor. `w` on the New run screen starts one from the form.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="sweeps.back", tooltip="Back to the queue"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._reading = False

    def compose_body(self) -> ComposeResult:
        yield ItemTable(COLUMNS, id="table")
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.when_ready(self.start_reading)

    def reload(self) -> None:
        """Read the sweeps anew, unless a reading is under way."""
        if not self._reading:
            self._reading = True
            read = partial(read_sweeps, self.services)
            self.in_thread(read, self._show, group="sweeps", failed=self._failed)

    def _show(self, entries: list[Entry]) -> None:
        self._reading = False
        self.query_one(ItemTable).set_items(entries)
        self.set_class(not entries, "-empty")
        self.refresh_bindings()

    def _failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self._reading = False
        show_error(self.app, error, "The sweeps cannot be read")

    @property
    def current_sweep(self) -> "Sweep | None":
        entry = self.query_one(ItemTable).highlighted if self.is_mounted else None
        return entry.sweep if entry is not None else None

    @on(RowList.Highlighted)
    def _highlighted(self) -> None:
        self.refresh_bindings()

    @on(RowList.Opened)
    def _opened(self) -> None:
        from tui.screens.sweep import SweepScreen

        if sweep := self.current_sweep:
            self.app.push_screen(SweepScreen(sweep.id))


def read_sweeps(services: "Services") -> list[Entry]:
    """Every sweep with what it came to. Reads files and the store: use it from a thread."""
    from engine.sweeps.analysis import read_sweep

    return [Entry(read_sweep(services.store, sweep)) for sweep in services.sweeps.list()]
