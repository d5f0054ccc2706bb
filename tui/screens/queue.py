"""Queue: what is running, and what comes next?"""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_duration
from tui.messages import OpenRun, OpenSweeps
from tui.screens.run_actions import RunActions
from tui.text import clean_line
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.row_list import RowList
from tui.widgets.run_words import progress_of, state_of

if TYPE_CHECKING:
    from store import Store
    from store.records import Run

CLOCK_S = 1.0

EMPTY = """\
Nothing is running, and nothing waits.

A run takes one device. Launch more than there are devices,
and they wait here and start by themselves, first come, first served.

Press 3 to launch one."""


@dataclass(frozen=True)
class Entry:
    """A live run with its place in the queue. `since` is a unix time."""

    run: "Run"
    place: int | None
    """1 for the next to start; `None` for what is at work."""
    device: str
    since: float

    @property
    def id(self) -> str:
        return self.run.id


def _state(entry: Entry) -> tuple[str, str]:
    state = state_of(entry.run)
    return f"{state.symbol} {state.word}", state.tone


def _device(entry: Entry) -> tuple[str, str]:
    return (f"waits for {entry.device}" if entry.place and entry.device else entry.device), "dim"


def _doing(entry: Entry) -> tuple[str, str]:
    return ("" if entry.place else progress_of(entry.run, 34)), ""


COLUMNS = (
    Column("#", 3, lambda entry: (str(entry.place or "▸"), "dim"), right=True),
    Column("name", 18, lambda entry: (clean_line(entry.run.name), ""), share=2),
    Column("state", 12, _state),
    Column("device", 16, _device, share=1),
    Column("since", 10, lambda entry: (fmt_duration(time.time() - entry.since), ""), right=True),
    Column("progress", 34, _doing, needs=110),
    Column("dataset", 14, lambda entry: (clean_line(entry.run.dataset), "dim"), share=1, needs=140),
    Column("model", 14, lambda entry: (clean_line(entry.run.model), "dim"), share=1, needs=140),
)


class QueueScreen(RunActions):
    """Live runs: those at work, then those that wait, in the order in which they will start."""

    MODE = "queue"
    TITLE = "Queue"
    CSS_PATH = "queue.tcss"
    AUTO_FOCUS = "ItemTable"
    HELP = """
**What is running, and what comes next?** ▸ is at work; numbers say the order in which the others start. A run takes
one device, and the first in the queue gets the first that comes free. The queue does not need finetui to be open.

`s` stops a run, which saves a checkpoint first, or cancels one that has not started.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop_run", "stop or cancel", id="run.stop", tooltip="Stop the run, or cancel it while it waits"),
        Binding("n", "new_like", "new like this", id="run.new_like", tooltip="A new run that starts from this recipe"),
        Binding("w", "sweeps", "sweeps", id="queue.sweeps", tooltip="Sweeps: many runs with some fields varied"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._reading = False
        self._again = False

    def compose_body(self) -> ComposeResult:
        yield Static("", id="summary", markup=False)
        yield ItemTable(COLUMNS, id="table")
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(lambda _: self._reload())
        self.set_interval(CLOCK_S, lambda: self.query_one(ItemTable).refresh() if self.is_current else None)
        self._reload()

    def _reload(self) -> None:
        """Read the queue anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        read = partial(read_queue, self.services.store)
        self.in_thread(read, self._show, group="queue", failed=self._read_failed)

    def _show(self, entries: list[Entry]) -> None:
        self._reading = False
        self.query_one(ItemTable).set_items(entries)
        self.set_class(not entries, "-empty")
        waiting = sum(entry.place is not None for entry in entries)
        at_work = len(entries) - waiting
        words = f"{at_work} at work, {waiting} waiting" if waiting else f"{at_work} at work, none waiting"
        self.query_one("#summary", Static).update(words)
        self.refresh_bindings()
        if self._again:
            self._again = False
            self._reload()

    def _read_failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self._reading = False
        show_error(self.app, error, "The queue cannot be read")

    @property
    def current_run(self) -> "Run | None":
        entry = self.query_one(ItemTable).highlighted if self.is_mounted else None
        return entry.run if entry is not None else None

    @on(RowList.Highlighted)
    def _highlighted(self) -> None:
        self.refresh_bindings()

    @on(RowList.Opened)
    def _opened(self) -> None:
        if run := self.current_run:
            self.post_message(OpenRun(run.id))

    def action_sweeps(self) -> None:
        self.post_message(OpenSweeps())

    def action_stop_run(self) -> None:
        """Stop a run at work; cancel one that waits."""
        run = self.current_run
        if run is None or run.status != "queued":
            super().action_stop_run()
            return
        body = "It has not started. It stays in the list of runs, and can be resumed."
        stop = partial(self.services.manager.stop, run.id)
        self._ask(f"Cancel {run.name}?", body, "cancel it", stop, run.id)

    def on_resize(self, _: events.Resize) -> None:
        self.query_one(ItemTable).refresh()


def read_queue(store: "Store") -> list[Entry]:
    """Live runs in the order of the queue. Reads the store: use it from a thread."""
    live = sorted(store.runs.live(), key=lambda run: run.created)
    at_work = [run for run in live if run.status != "queued"]
    waiting = [run for run in live if run.status == "queued"]
    entries = [_entry(store, run, None) for run in at_work]
    return entries + [_entry(store, run, place) for place, run in enumerate(waiting, 1)]


def _entry(store: "Store", run: "Run", place: int | None) -> Entry:
    states = store.runs.events(run.id, ["state"], 1)
    plans = store.runs.events(run.id, ["plan"], 1) if place is None else []
    device = str(plans[-1].body.get("device", "")) if plans else ""
    if place is not None:
        device = run.phase.removeprefix("waiting for ") if run.phase.startswith("waiting for ") else ""
    return Entry(run, place, clean_line(device), states[-1].t if states else run.started or run.created)
