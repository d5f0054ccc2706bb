"""Queue: what is running, and what comes next?"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.format import NONE, fmt_bytes, fmt_duration, fmt_percent
from tui.messages import OpenRun, OpenSweeps
from tui.screens.run_actions import RunActions
from tui.text import clean_line
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.queue_words import Entry, read_queue
from tui.widgets.row_list import RowList
from tui.widgets.run_words import progress_of, short_time, state_of

if TYPE_CHECKING:
    from store.records import Run

CLOCK_S = 1.0

LOOK_S = 2.0
"""Time between two looks at what changes without a run: free memory, and what others do to the order."""

EMPTY = """\
Nothing is running, and nothing waits.

Launch more runs than the devices have room for, and they wait
here and start by themselves, in an order that you can change.

Press 3 to launch one."""


def _place(entry: Entry) -> tuple[str, str]:
    return ("▸" if entry.at_work else str(entry.place or "·")), "dim"


def _state(entry: Entry) -> tuple[str, str]:
    state = state_of(entry.run)
    return f"{state.symbol} {state.word}", state.tone


def _priority(entry: Entry) -> tuple[str, str]:
    return ("" if entry.place is None else f"{entry.priority:+d}" if entry.priority else "0"), "dim"


def _when(entry: Entry) -> tuple[str, str]:
    """How far a run at work is and how long it goes on; when a waiting one starts."""
    if entry.at_work:
        share = fmt_percent(entry.run.progress) if entry.run.progress is not None else ""
        return f"{share} {short_time(entry.run.eta_s)}".strip(), "live"
    if entry.starts_s is None:
        return "", "dim"
    return f"in {short_time(entry.starts_s)}", "dim"


COLUMNS = (
    Column("#", 3, _place, right=True),
    Column("name", 18, lambda entry: (clean_line(entry.run.name), ""), share=1),
    Column("state", 12, _state),
    Column("device", 17, lambda entry: (entry.device, "" if entry.at_work else "dim"), share=2),
    Column("prio", 4, _priority, right=True),
    Column("when", 10, _when, right=True),
    Column("memory", 8, lambda entry: (fmt_bytes(entry.needs_bytes or None), "dim"), right=True, needs=100),
    Column("takes", 9, lambda entry: (fmt_duration(entry.takes_s), "dim"), right=True, needs=100),
    Column("since", 10, lambda entry: (fmt_duration(time.time() - entry.since), "dim"), right=True, needs=118),
    Column("progress", 34, lambda entry: (progress_of(entry.run, 34) if entry.at_work else "", ""), needs=160),
    Column("model", 14, lambda entry: (clean_line(entry.run.model), "dim"), share=1, needs=180),
)


class QueueScreen(RunActions):
    """Live runs: those at work, then those that wait, in the order in which they will start."""

    MODE = "queue"
    TITLE = "Queue"
    CSS_PATH = "queue.tcss"
    AUTO_FOCUS = "ItemTable"
    HELP = """
**What is running, and what comes next?** ▸ is at work; numbers say the order in which the others start. Runs share a
GPU while their planned memory fits beside what others use; on the processor one runs at a time, or as many as
`cpu_runs` under `[queue]` in `settings.toml` says. A run whose turn it is gets its device before smaller ones behind
it. The queue does not need finetui to be open, and is as it was after a restart of the machine.

`J` and `K` move a run that waits; `+` and `-` change its priority: higher starts first. `r` starts it at once, whether
it fits or not. `s` stops a run, which saves a checkpoint first, or cancels one that has not started.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("J,alt+down", "move_run(1)", "later", id="queue.later", tooltip="Let the run start later"),
        Binding("K,alt+up", "move_run(-1)", "earlier", id="queue.earlier", tooltip="Let the run start earlier"),
        Binding(
            "plus,equals_sign", "priority(1)", "priority", id="queue.priority_up", tooltip="Raise the run's priority"
        ),
        Binding(
            "minus", "priority(-1)", "less", id="queue.priority_down", show=False, tooltip="Lower the run's priority"
        ),
        Binding("r", "run_now", "run now", id="queue.run_now", tooltip="Start the run beside those at work"),
        Binding("s", "stop_run", "stop or cancel", id="run.stop", tooltip="Stop the run, or cancel it while it waits"),
        Binding("n", "new_like", "new like this", id="run.new_like", tooltip="A new run that starts from this recipe"),
        Binding("w", "sweeps", "sweeps", id="queue.sweeps", tooltip="Sweeps: many runs with some fields varied"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._reading = False
        self._again = False
        self._overtaken = False
        """Whether what is being read may be from before a change."""
        self._changes: deque[Callable[[], object]] = deque()
        """What a person did to the order and is not written yet; until then the list shows it in advance."""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="summary", markup=False)
        yield ItemTable(COLUMNS, id="table")
        yield Static("", id="why", markup=False)
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(lambda _: self._reload())
        self.set_interval(CLOCK_S, lambda: self.query_one(ItemTable).refresh() if self.is_current else None)
        self.set_interval(LOOK_S, lambda: self._reload() if self.is_current else None)
        self._reload()

    def _reload(self) -> None:
        """Read the queue anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading, self._overtaken = True, bool(self._changes)
        services = self.services
        read = partial(read_queue, services.home, services.store, services.manager.queue)
        self.in_thread(read, self._show, group="queue", failed=self._read_failed)

    def _show(self, entries: list[Entry]) -> None:
        self._reading = False
        if not self._overtaken:  # else it is read again once they are written
            self.query_one(ItemTable).set_items(entries)
        self.set_class(not entries, "-empty")
        at_work = sum(entry.at_work for entry in entries)
        waiting = len(entries) - at_work
        self.query_one("#summary", Static).update(f"{at_work} at work, {waiting or 'none'} waiting")
        self.refresh_bindings()
        if self._again:
            self._again = False
            self._reload()

    def _read_failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self._reading = False
        show_error(self.app, error, "The queue cannot be read")

    @property
    def _current(self) -> Entry | None:
        entry: Entry | None = self.query_one(ItemTable).highlighted if self.is_mounted else None
        return entry

    @property
    def current_run(self) -> "Run | None":
        entry = self._current
        return entry.run if entry is not None else None

    @on(RowList.Highlighted)
    def _highlighted(self) -> None:
        entry = self._current
        self.query_one("#why", Static).update(_in_full(entry) if entry is not None else "")
        self.refresh_bindings()

    @on(RowList.Opened)
    def _opened(self) -> None:
        if run := self.current_run:
            self.post_message(OpenRun(run.id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("move_run", "priority", "run_now"):
            entry = self._current
            return entry is not None and entry.place is not None
        return super().check_action(action, parameters)

    def action_move_run(self, by: int) -> None:
        """Let the run start earlier or later; the cursor goes with it."""
        table = self.query_one(ItemTable)
        moved = self._current
        waiting = [entry for entry in table.items if entry.place is not None]
        if moved is None or moved.place is None or not 1 <= moved.place + by <= len(waiting):
            return
        waiting.insert(moved.place - 1 + by, waiting.pop(moved.place - 1))
        line = iter([replace(entry, place=place) for place, entry in enumerate(waiting, 1)])
        table.set_items([next(line) if entry.place is not None else entry for entry in table.items], select=moved.id)
        self._alter(partial(self.services.manager.queue.move, moved.id, moved.place + by))

    def action_priority(self, by: int) -> None:
        """Raise or lower the run's priority."""
        table = self.query_one(ItemTable)
        entry = self._current
        if entry is None or entry.place is None:
            return
        changed = replace(entry, priority=entry.priority + by)
        table.set_items([changed if one.id == entry.id else one for one in table.items])
        self._alter(partial(self.services.manager.queue.set_priority, entry.id, changed.priority))

    def action_run_now(self) -> None:
        """Ask, then start a waiting run beside those at work."""
        entry = self._current
        if entry is None:
            return
        needs = f"{fmt_bytes(entry.needs_bytes)} are planned" if entry.needs_bytes else "Nobody knows what it needs"
        body = f"It starts beside what is at work, whether it fits or not.\n{needs}; it waits because: {entry.device}."
        start = partial(self.services.manager.queue.run_now, entry.id)
        self._ask(f"Start {entry.run.name} now?", body, "start it", start, entry.id)

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

    def _alter(self, change: Callable[[], object]) -> None:
        """Write a change of the order, after those before it."""
        self._changes.append(change)
        self._overtaken = True
        if len(self._changes) == 1:
            self._write_next()

    def _write_next(self) -> None:
        self.in_thread(self._changes[0], self._written, group="order", failed=self._not_written, exclusive=False)

    def _written(self, _: object) -> None:
        self._changes.popleft()
        if self._changes:
            self._write_next()
        else:
            self._reload()

    def _not_written(self, error: Exception) -> None:
        from tui.errors import show_error

        self._changes.clear()
        self._reload()
        show_error(self.app, error, "The order was not changed")

    def on_resize(self, _: events.Resize) -> None:
        self.query_one(ItemTable).refresh()


def _in_full(entry: Entry) -> str:
    """What the columns have no room for, in one line."""
    name = clean_line(entry.run.name)
    if entry.at_work:
        planned = f", {fmt_bytes(entry.needs_bytes)} planned" if entry.needs_bytes else ""
        return f"{name}: {entry.device or clean_line(entry.run.phase) or NONE}{planned}"
    takes = f" · takes about {fmt_duration(entry.takes_s)}" if entry.takes_s is not None else ""
    planned = f" · {fmt_bytes(entry.needs_bytes)} planned" if entry.needs_bytes else ""
    return f"{name}: {entry.device or 'has not queued up yet'}{planned}{takes}"
