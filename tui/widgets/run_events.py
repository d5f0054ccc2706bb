"""What happened to a run, as one timeline that can be searched."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.widgets.cells import fitted
from tui.widgets.event_words import KINDS, LEVELS, Entry, entries_of
from tui.widgets.find_line import FindLine
from tui.widgets.row_list import Cells, RowList
from tui.widgets.run_pane import RunPane

if TYPE_CHECKING:
    from store.records import Run
    from tui.services import Services

MOST_EVENTS = 2000
SHOWN = {"": "all", "warning": "warnings and errors", "error": "errors"}
"""What `L` goes through: the least level that is shown, and its name."""


@dataclass(frozen=True)
class Timeline:
    """What happened, the newest first, and what it was made from."""

    entries: Sequence[Entry]
    stamp: Any
    """Equal for two timelines where nothing happened between them."""
    live: bool
    cut: bool
    """Whether there is more than was read."""


class EventList(RowList):
    """One thing that happened a line: when, at which step, what."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: Sequence[Entry] = ()
        self._format = ""

    def show(self, entries: Sequence[Entry]) -> None:
        """Show these. The cursor stays on its entry; on the newest it stays on the newest."""
        at = self.entries[self.cursor].key if 0 < self.cursor < len(self.entries) else ""
        self.entries = entries
        today = datetime.fromtimestamp(time.time()).date()
        old = any(one.t is not None and datetime.fromtimestamp(one.t).date() != today for one in entries)
        self._format = "%d %b %H:%M:%S" if old else "%H:%M:%S"
        self.cursor = next((place for place, one in enumerate(entries) if one.key == at), 0)
        self.set_count(len(entries))

    @property
    def highlighted(self) -> Entry | None:
        """What is under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def cells(self, row: int, width: int) -> Cells:
        entry = self.entries[row]
        when = f"{datetime.fromtimestamp(entry.t):{self._format}}" if entry.t is not None else ""
        room = 15 if "%b" in self._format else 8
        step = f"{entry.step:,}" if entry.step is not None else ""
        plain = "dim" if entry.dim else entry.tone if entry.level in ("warning", "error") else ""
        return [
            (f" {fitted(when, room)} {fitted(step, 9, right=True)} ", "dim"),
            (f" {entry.mark} ", "dim" if entry.dim else entry.tone),
            (fitted(entry.words, max(0, width - room - 15)), plain),
        ]


class EventsPane(RunPane):
    """The timeline. `L` leaves out what asks for nothing, `/` looks for words, Enter shows one as a whole."""

    DEFAULT_CSS = """
    EventsPane {
        layout: vertical;
        #about { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        #none { height: auto; padding: 1 2; display: none; }
        &.-none #none { display: block; }
    }
    """
    KEYS_TO = "#timeline"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "find", "filter", id="events.find", key_display="/", tooltip="Show what has these words in it"
        ),
        Binding("L", "level", "levels", id="events.level", tooltip="All, warnings and errors, errors"),
        Binding("escape", "end_find", "show all", id="events.end_find", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._timeline = Timeline((), None, live=True, cut=False)
        self._level = ""

    def compose(self) -> ComposeResult:
        yield Static("", id="about", markup=False)
        yield EventList(id="timeline")
        yield Static("", id="none", markup=False)
        yield FindLine("words of an event: checkpoint, best, memory …")

    def read(self, services: "Services", run: "Run") -> Timeline | None:
        """`None` where nothing has happened since it was shown last."""
        store = services.store
        newest = store.runs.events(run.id, KINDS, limit=1)
        findings = store.findings.of(run.id)
        found = [(row.code, row.level, row.step, row.dismissed) for row in findings]
        stamp = (run.id, newest[-1].seq if newest else -1, run.warnings, run.status.live, found)
        if stamp == self._timeline.stamp:
            return None
        events = store.runs.events(run.id, KINDS, limit=MOST_EVENTS)
        entries = entries_of(run, events, findings, store.runs.problems(run.id))
        return Timeline(entries, stamp, run.status.live, len(events) == MOST_EVENTS)

    def show(self, found: Timeline | None) -> None:
        if found is not None:
            self._timeline = found
            self._show()

    def _show(self) -> None:
        words = self.query_one(FindLine).text.casefold().split()
        least = LEVELS.index(self._level)
        matching = [
            entry
            for entry in self._timeline.entries
            if LEVELS.index(entry.level) >= least and all(word in entry.words.casefold() for word in words)
        ]
        self.query_one(EventList).show(matching)
        total = len(self._timeline.entries)
        count = f"{len(matching):,} of {total:,}"
        self.query_one(FindLine).show_count(count, none=not matching)
        cut = f" (the last {MOST_EVENTS:,})" if self._timeline.cut else ""
        events = "event" if total == 1 else "events"
        about = f"{count if len(matching) < total else f'{total:,}'} {events}{cut}, the newest first"
        if self._level:
            about += f" · {SHOWN[self._level]} only, L shows more"
        self.query_one("#about", Static).update(about if total else "")
        self.set_class(not matching, "-none")
        if not matching:
            self.query_one("#none", Static).update(self._nothing(total, words))

    def _nothing(self, total: int, words: Sequence[str]) -> Content:
        muted = "$text-muted"
        if not total:
            later = "They come here as the run starts, evaluates and saves." if self._timeline.live else ""
            return Content.assemble(
                "Nothing has happened yet. " if self._timeline.live else "No events.", (later, muted)
            )
        if words:
            return Content.assemble(f"No event has “{' '.join(words)}” in it. ", ("Esc shows all of them.", muted))
        nothing = "No errors." if self._level == "error" else "No warnings and no errors."
        return Content.assemble((f"{nothing} ", "$text-success"), ("L shows everything that happened.", muted))

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "end_find":
            return self.is_mounted and self.query_one(FindLine).is_open
        return True

    def action_find(self) -> None:
        self.query_one(FindLine).start()

    def action_end_find(self) -> None:
        self.query_one(FindLine).action_close()

    def action_level(self) -> None:
        """Show the next lesser share of what happened."""
        levels = list(SHOWN)
        self._level = levels[(levels.index(self._level) + 1) % len(levels)]
        self._show()
        self.focus()

    @on(FindLine.Changed)
    def _looked_for(self, event: FindLine.Changed) -> None:
        event.stop()
        self._show()

    @on(FindLine.Left)
    def _left(self, event: FindLine.Left) -> None:
        event.stop()
        self.focus()
        self.refresh_bindings()

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()

    @on(RowList.Opened)
    def _opened(self, event: RowList.Opened) -> None:
        from tui.screens.reading import ReadingDialog

        event.stop()
        entry = self.query_one(EventList).highlighted
        if entry is not None:
            when = f"{datetime.fromtimestamp(entry.t):%d %b %Y %H:%M:%S}" if entry.t is not None else "event log"
            step = f", step {entry.step:,}" if entry.step is not None else ""
            self.app.push_screen(ReadingDialog(f"{when}{step}", entry.whole))
