"""Live: what is at work now, and which of it needs me?"""

import time
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from tui.format import fmt_rate
from tui.messages import ChatWith, CompareRuns, OpenRun
from tui.screens.run_actions import RunActions
from tui.text import clean_line
from tui.widgets.live_card import LiveRun, in_order
from tui.widgets.live_list import LiveList

if TYPE_CHECKING:
    from store import Store
    from store.records import Run
    from tui.widgets.spark_reader import SparkReader

UPDATE_S = 1.0
"""At least so long between two readings, however much the runs say: figures that change faster are not read."""

EMPTY = """\
Nothing is at work.

Press 3 to launch a run, or esc for the list of all runs.
Runs that you launch elsewhere show up here by themselves."""


class LiveScreen(RunActions):
    """A card for each run at work, those that need a look first. One that ends stays until the screen is left."""

    MODE = "runs"
    TITLE = "Live runs"
    CSS_PATH = "live.tcss"
    AUTO_FOCUS = "LiveList"
    HELP = """
**What is at work now, and which of it needs me?** A card for each live run: its state, how far it is and how long it
goes on, loss now and best, speed, memory, and what is wrong with it, with its training loss beside it. Those that
need an act come first, then those that need a look. A run that ends stays here until you leave.

Enter opens a run; `a` does what is suggested for it, `w` says why, `i` ignores what was found.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "fix_run", "fix", id="run.fix", tooltip="Do what is suggested for the run"),
        Binding("s", "stop_run", "stop", id="run.stop", tooltip="Stop the run; it saves a checkpoint"),
        Binding("c", "compare", "compare", id="runs.compare", tooltip="Compare the marked runs, or all that are here"),
        Binding("w", "why_run", "why", id="run.why", tooltip="Why, and what is suggested"),
        Binding("escape,v", "back", "all runs", id="page.back", key_display="esc", tooltip="Back to the list of runs"),
        Binding("i", "ignore_finding", "ignore", id="run.ignore", show=False, tooltip="Ignore what was found"),
        Binding("K", "kill_run", "kill", id="run.kill", show=False, tooltip="End the run at once, without saving"),
        Binding("r", "resume_run", "resume", id="run.resume", show=False, tooltip="Resume a run that has ended"),
        Binding("t", "chat", "chat", id="run.chat", show=False, tooltip="Chat with the marked runs, or this one"),
        Binding("n", "new_like", "new like this", id="run.new_like", show=False, tooltip="A new run from this recipe"),
        Binding("e", "rename_run", "rename", id="run.rename", show=False, tooltip="Rename the run"),
        Binding("number_sign", "tag_run", "tags", id="run.tag", show=False, key_display="#", tooltip="Edit its tags"),
        Binding("N", "note_run", "note", id="run.note", show=False, tooltip="Write a note on the run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._followed: set[str] = set()
        """Ids of runs that were live since this screen was opened."""
        self._reading = False
        self._again = False
        self._missed = False
        self._timer: Timer | None = None
        self._read_at = 0.0
        self._sparks: SparkReader | None = None

    def compose_body(self) -> ComposeResult:
        yield Static("", id="summary", markup=False)
        yield LiveList(id="live")
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(self._changed)
        self.call_after_refresh(self._reload)

    @property
    def _list(self) -> LiveList:
        return self.query_one(LiveList)

    @property
    def current_run(self) -> "Run | None":
        live = self._list.highlighted if self.is_mounted else None
        return live.run if live is not None else None

    # What it shows

    def _changed(self, ids: set[str]) -> None:
        if not ids:
            return
        if not self.is_current:
            self._missed = True
        elif self._timer is None:
            wait = max(0.01, self._read_at + UPDATE_S - time.monotonic())
            self._timer = self.set_timer(wait, self._reload)

    def on_screen_resume(self) -> None:
        """While another screen was in front, nothing was read."""
        if self._missed:
            self._missed = False
            self._reload()

    def _reload(self) -> None:
        """Read all of them anew; while a reading is under way, once more after it."""
        from tui.widgets.spark_reader import SparkReader

        self._timer = None
        if self._reading:
            self._again = True
            return
        self._reading = True
        self._read_at = time.monotonic()
        points = self._list.curve_points
        if self._sparks is None or self._sparks.points != points:
            self._sparks = SparkReader(self.services.store, points)
        read = partial(_read_live, self.services.store, self._sparks, frozenset(self._followed))
        self.in_thread(read, self._show, group="live", failed=self._not_read)

    def _show(self, found: list[LiveRun]) -> None:
        self._followed |= {live.run.id for live in found}
        at_work = sum(live.run.status.value != "queued" for live in found)
        self.set_class(not found, "-empty")
        self.query_one("#summary", Static).update(_summary(found))
        self._list.show(found, at_once=at_work or len(found))
        self.refresh_bindings()
        self._read_done()

    def _not_read(self, error: Exception) -> None:
        from tui.errors import show_error

        show_error(self.app, error, "The runs cannot be read")
        self._read_done()

    def _read_done(self) -> None:
        self._reading = False
        if self._again:
            self._again = False
            self._reload()

    # What one does

    @on(LiveList.Highlighted)
    def _highlighted(self) -> None:
        self.refresh_bindings()

    @on(LiveList.Opened)
    def _opened(self, event: LiveList.Opened) -> None:
        self.post_message(OpenRun(event.run_id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return False
        if action == "compare":
            return len(self._list.runs) > 1
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        """Clear the marks, then leave."""
        if self._list.marked:
            self._list.clear_marks()
        else:
            super().action_back()

    def action_compare(self) -> None:
        """The marked runs, or all that are here."""
        marked = list(self._list.marked)
        self.post_message(CompareRuns(marked if len(marked) > 1 else [live.run.id for live in self._list.runs]))

    def action_chat(self) -> None:
        if self._list.marked:
            self.post_message(ChatWith(list(self._list.marked)))
        else:
            super().action_chat()


def _read_live(store: "Store", sparks: "SparkReader", followed: Collection[str]) -> list[LiveRun]:
    """All live runs, and those that were live a moment ago. Two queries for all of them, and their curves."""
    runs = store.runs.live()
    live = {run.id for run in runs}
    if ended := [run_id for run_id in followed if run_id not in live]:
        runs += store.runs.some(ended)
    curves = sparks.read(runs)
    return in_order([LiveRun(run, curves.get(run.id, ()), _warning(store, run)) for run in runs])


def _warning(store: "Store", run: "Run") -> str:
    """The worst that is to be said of a run, in a line; empty where all is well."""
    from tui.widgets.run_words import FINDINGS

    if run.status.value == "failed":
        return clean_line(run.reason)
    if run.stalled is not None:
        return "its worker says nothing: s stops it, K kills it"
    if run.finding in FINDINGS:
        for row in store.findings.of(run.id):
            if row.code == run.finding:
                return clean_line(str(row.body.get("title", row.code)))
    if run.alerts and run.status.live:
        for event in store.runs.events(run.id, ["alert"], limit=1):
            return clean_line(str(event.body.get("message", "")))
    return ""


def _summary(found: list[LiveRun]) -> Content:
    """How many there are of which kind, and how fast they are together."""
    at_work = [live for live in found if live.run.status.live and live.run.status.value != "queued"]
    parts: list[tuple[str, str]] = [(f"{len(at_work)} at work", "bold")]
    if look := sum(live.rank < 2 for live in found):
        parts.append((f" · {look} to look at", "$text-warning"))
    if waiting := sum(live.run.status.value == "queued" for live in found):
        parts.append((f" · {waiting} waiting", "$text-muted"))
    if ended := sum(not live.run.status.live for live in found):
        parts.append((f" · {ended} ended", "$text-muted"))
    if speed := sum(live.run.tokens_per_s or 0.0 for live in at_work):
        parts.append((f" · {fmt_rate(speed)} tok/s together", "$text-muted"))
    return Content.assemble(*parts)
