"""A list of runs that follows what they do: its order read whole, the runs themselves as they come into sight."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.timer import Timer

from tui.messages import OpenRun
from tui.screens.run_actions import RunActions
from tui.widgets.run_orders import COLUMNS as ORDERS
from tui.widgets.run_orders import SETTING, Order
from tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from store import Store
    from store.records import Run
    from tui.widgets.run_preview import Preview, RunPreview
    from tui.widgets.spark_reader import SparkReader

PREVIEW_S = 0.08
"""How long the cursor rests on a run before its preview is read."""
PREVIEW_AGAIN_S = 2.0
"""Between two previews of one run, while it goes on."""
FIRST_ROWS = 40
"""Rows read with the order itself, before the size of the screen is asked for more."""
STEADY = ("created", "model", "dataset", "method")
"""Orders that a run does not change its place in while it goes on."""


@dataclass(frozen=True)
class Listing:
    """What a filter and an order come to. `runs` are those of the rows that are seen first."""

    ids: list[str]
    runs: "list[Run]"
    total: int
    problem: str = ""
    """What is wrong with the filter; everything is listed then."""
    hint: str = ""
    """What may be meant instead, where nothing matches."""


class RunList(RunActions):
    """Keeps a `RunTable` and a preview up to date with the store. Subclasses compose them and say what is listed."""

    def __init__(self) -> None:
        super().__init__()
        self._query = ""
        self._order: Order = ORDERS[0]
        self._descending = ORDERS[0].descending
        self._total = 0
        self._stale: set[str] = set()
        self._reading = False
        self._again = False
        self._missed = False
        self._from_top = False
        self._preview_timer: Timer | None = None
        self._previewed = "", 0.0
        """The run whose preview was read last, and when."""
        self._preview: RunPreview | None = None
        self._sparks: SparkReader | None = None

    @property
    def _table(self) -> RunTable:
        return self.query_one(RunTable)

    @property
    def current_run(self) -> "Run | None":
        return self._table.highlighted if self.is_mounted else None

    def _reload(self) -> None:
        """Read the list anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        seen = self._table.on_screen
        rows = slice(0, FIRST_ROWS) if self._from_top else slice(seen.start, max(seen.stop, seen.start + FIRST_ROWS))
        read = partial(_read_list, self.services.store, self._query, self._order.key, self._descending, rows)
        self.in_thread(read, self._show_list, group="list", failed=self._not_read)

    def _show_list(self, found: Listing) -> None:
        self._total = found.total
        table = self._table
        table.sort, table.arrow = self._order.key, "↓" if self._descending else "↑"
        from_top, self._from_top = self._from_top, False
        table.show(found.ids, found.runs, from_top=from_top)
        self.list_shown(found)
        self._read_sparks(found.runs)
        self.refresh_bindings()
        self._read_done()

    def list_shown(self, found: Listing) -> None:
        """The table shows another list."""

    def _not_read(self, error: Exception) -> None:
        from tui.errors import show_error

        show_error(self.app, error, "The runs cannot be read")
        self._read_done()

    def _read_done(self) -> None:
        self._reading = False
        if self._again:
            self._again = False
            self._reload()

    # What comes into sight

    @on(RunTable.Wanted)
    def _wanted(self) -> None:
        wanted = self._table.wanted
        if wanted and self.finetui.is_ready:
            read = partial(self.services.store.runs.some, wanted)
            self.in_thread(read, self._show_rows, group="rows")

    def _show_rows(self, runs: "Sequence[Run]") -> None:
        self._table.fill(runs)
        self._read_sparks(runs)
        self.refresh_bindings()

    def _read_sparks(self, runs: "Sequence[Run]") -> None:
        """The loss curves of these runs, where there is room for them."""
        if not runs or not self._table.shows_sparks:
            return
        from tui.widgets.run_columns import SPARK_WIDTH
        from tui.widgets.spark_reader import SparkReader

        if self._sparks is None:
            self._sparks = SparkReader(self.services.store, SPARK_WIDTH * 2)
        reader = self._sparks
        self.in_thread(lambda: reader.read(runs), self._table.set_sparks, group="sparks", exclusive=False)

    # What changes by itself

    def _changed(self, ids: set[str]) -> None:
        """Runs went on: a new order where that may be another, else newer figures in their rows."""
        if not ids:
            return
        if not self.is_current:
            self._missed = True
            return
        steady = self._order.key in STEADY or self._order.key.startswith(SETTING)
        if self._query or not steady or not all(run_id in self._table for run_id in ids):
            self._reload()
            return
        self._stale |= ids
        stale = sorted(self._stale)
        self.in_thread(lambda: (stale, self.services.store.runs.some(stale)), self._show_changed, group="stale")

    def _show_changed(self, found: "tuple[list[str], list[Run]]") -> None:
        asked, runs = found
        self._stale -= set(asked)
        if len(runs) < len(asked):
            self._reload()  # one was removed
            return
        self._show_rows(runs)

    def on_screen_resume(self) -> None:
        """While another screen was in front, nothing was read."""
        if self._missed:
            self._missed = False
            self._reload()

    # The highlighted run

    @on(RunTable.Highlighted)
    def _highlighted(self) -> None:
        run_id = self._table.highlighted_id
        wait = PREVIEW_S
        if run_id and run_id == self._previewed[0]:
            wait = max(wait, self._previewed[1] + PREVIEW_AGAIN_S - time.monotonic())
        if self._preview_timer is not None:
            self._preview_timer.stop()
        self._preview_timer = self.set_timer(wait, self._read_preview)
        self.refresh_bindings()

    def _read_preview(self) -> None:
        run = self.current_run
        if run is None or self._preview is None or not self._preview.display:
            return
        if not self.is_current:
            self._missed = True
            return
        self._previewed = run.id, time.monotonic()
        read = partial(_read_preview, self.services.store, run.id, self._preview.columns)
        self.in_thread(read, self._preview.show, group="preview")

    @on(RunTable.Opened)
    def _opened(self, event: RunTable.Opened) -> None:
        self.post_message(OpenRun(event.run_id))

    @on(RunTable.MarksChanged)
    def _marks_changed(self) -> None:
        self.refresh_bindings()


def _read_list(store: "Store", query: str, sort: str, descending: bool, rows: slice) -> Listing:
    from store.errors import QueryError

    problem = ""
    try:
        ids = store.runs.order(query, sort=sort, descending=descending)
    except QueryError as error:
        problem, ids = str(error), store.runs.order(sort=sort, descending=descending)
    runs = store.runs.some(ids[rows] or ids[-FIRST_ROWS:])  # of a list that got shorter, its end is seen
    total = store.runs.count() if query and not problem else len(ids)
    hint = store.runs.hint(query) if query and not ids else ""
    return Listing(ids, runs, total, problem, hint)


def _read_preview(store: "Store", run_id: str, columns: int) -> "Preview | None":
    from tui.widgets.run_preview import read_preview

    return read_preview(store, run_id, columns)
