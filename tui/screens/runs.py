"""Runs: how are my runs, and which one matters now?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from tui.messages import ChatWith, CompareRuns, OpenRun
from tui.screens.run_actions import RunActions
from tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from store import Store
    from store.records import Run
    from tui.widgets.filter_line import FilterLine
    from tui.widgets.run_preview import Preview, RunPreview

PREVIEW_S = 0.08
FIRST_RUNS = 300
TABLE_ROWS = 6
"""The least rows that the table gets above the preview."""
SIDE_WIDTH = 160

SORTS = (
    ("created", "started", True),
    ("name", "name", False),
    ("status", "state", False),
    ("eval/loss", "eval loss", False),
)
"""The store's order, the column that shows it, and whether the largest come first."""

EMPTY = """\
No runs yet.

Press 2 to import a dataset, then 3 to launch a run on it.
Or quit and type: finetui demo
It trains a small model on sample data, here, in two minutes, with no GPU."""


class RunsScreen(RunActions):
    """Every run, live, with a preview of the one under the cursor."""

    MODE = "runs"
    TITLE = "Runs"
    CSS_PATH = "runs.tcss"
    AUTO_FOCUS = "RunTable"
    HELP = """
**How are my runs, and which one matters now?** The list is live; runs go on when you leave.

Filter with `/`: words look in name, id, tags, notes, dataset and model; `status:running`, `model:qwen`, `tag:a`,
`method:qlora`, `dataset:support` look in one field; `-word` leaves out; quotes keep words together.

States: ○ queued, ◌ starting, ◎ rehearsing, ● training, ◉ evaluating, ◑ stopping, ✓ done, ■ stopped, ✗ failed,
? lost (its process is gone without a word), ⚠ look at it. ↑ beside the eval loss: it rose above the best. A run that
failed says why: `a` does what is suggested, `w` shows the evidence.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "fix_run", "fix", id="run.fix", tooltip="Do what is suggested: a changed launch, or a resume"),
        Binding("c", "compare", "compare", id="runs.compare", tooltip="Compare the marked runs, or this and the next"),
        Binding("t", "chat", "chat", id="run.chat", tooltip="Chat with the marked runs, or this one, beside the base"),
        Binding("n", "new_like", "new like this", id="run.new_like", tooltip="A new run that starts from this recipe"),
        Binding("s", "stop_run", "stop", id="run.stop", tooltip="Stop the run; it saves a checkpoint"),
        Binding("r", "resume_run", "resume", id="run.resume", tooltip="Resume the run from its last checkpoint"),
        Binding("slash", "filter", "filter", id="runs.filter", key_display="/", tooltip="Filter the list"),
        Binding(
            "escape", "back", "clear", id="page.back", key_display="esc", tooltip="Clear the filter, then the marks"
        ),
        Binding("w", "why_run", "why", id="run.why", show=False, tooltip="Why it ended, and what is suggested"),
        Binding("o", "sort", "order", id="runs.sort", show=False, tooltip="Order by the next column"),
        Binding("d", "remove_run", "remove", id="run.remove", show=False, tooltip="Remove the run and its files"),
        Binding("e", "rename_run", "rename", id="run.rename", show=False, tooltip="Rename the run"),
        Binding("number_sign", "tag_run", "tags", id="run.tag", show=False, key_display="#", tooltip="Edit its tags"),
        Binding("i", "note_run", "note", id="run.note", show=False, tooltip="Write a note on the run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._query = ""
        self._sort = 0
        self._total = 0
        self._all_read = False
        self._stale: set[str] = set()
        self._reading = False
        self._again = False
        self._preview_timer: Timer | None = None
        self._filter: FilterLine | None = None
        self._preview: RunPreview | None = None

    def compose_body(self) -> ComposeResult:
        """No more than the first frame shows; `_start` adds the rest."""
        with Container(id="body"):
            yield RunTable(id="table")

    def on_mount(self) -> None:
        self.add_class("-bare")
        self.when_ready(self._start)

    def _start(self) -> None:
        from tui.widgets.filter_line import FilterLine
        from tui.widgets.run_preview import RunPreview

        self._filter = FilterLine("filter: words, status:running, tag:a …")
        self._preview = RunPreview()
        self._preview.set_class(self.has_class("-side"), "-side")
        body = self.query_one("#body")
        self.mount(self._filter, before=body)
        body.mount(self._preview)
        self.mount(Static(Content(EMPTY), id="empty"), after=body)
        self.on_runs_changed(self._changed)
        self.call_after_refresh(self._reload)

    @property
    def _table(self) -> RunTable:
        return self.query_one(RunTable)

    @property
    def current_run(self) -> "Run | None":
        return self._table.highlighted if self.is_mounted else None

    # The list

    def _reload(self) -> None:
        """Read the list anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        sort, _, descending = SORTS[self._sort]
        read = partial(_read_runs, self.services.store, self._query, sort, descending, self._all_read)
        self.in_thread(read, self._show_runs, group="list", failed=self._query_failed)

    def _show_runs(self, found: "tuple[list[Run], int, int]") -> None:
        runs, matching, total = found
        self._total = total
        _, title, descending = SORTS[self._sort]
        table = self._table
        table.sort_title, table.sort_arrow = title, "↓" if descending else "↑"
        table.set_runs(runs)
        self._fit_table()
        self.set_class(not runs, "-empty")
        self.set_class(not total, "-bare")
        words = f"No run matches “{self._query}”.\n\nEsc clears the filter." if total else EMPTY
        self.query_one("#empty", Static).update(Content(words))
        count = f"{matching:,} of {total:,} runs" if self._query else f"{total:,} {'run' if total == 1 else 'runs'}"
        if self._filter is not None:
            self._filter.show_problem("")
            self._filter.show_count(f"{count} · by {title}")
        self.refresh_bindings()
        self._again |= not self._all_read and len(runs) < matching
        self._all_read = True
        self._read_done()

    def _read_done(self) -> None:
        self._reading = False
        if self._again:
            self._again = False
            self._reload()

    def _fit_table(self) -> None:
        """As high as all runs need, filtered or not, so that the preview stays where it is while one types."""
        self._table.styles.height = "1fr" if self.has_class("-side") else max(TABLE_ROWS, self._total + 1)

    def _query_failed(self, error: Exception) -> None:
        if type(error).__name__ == "QueryError" and self._filter is not None:
            self._filter.show_problem(str(error))
        else:
            from tui.errors import show_error

            show_error(self.app, error, "The runs cannot be read")
        self._read_done()

    def _changed(self, ids: set[str]) -> None:
        if not ids:
            return
        shown = {run.id for run in self._table.runs}
        if self._query or not ids <= shown:
            self._reload()
            return
        self._stale |= ids
        stale = sorted(self._stale)
        store = self.services.store
        self.in_thread(lambda: [(run_id, store.runs.get(run_id)) for run_id in stale], self._show_changed, group="rows")

    def _show_changed(self, found: "list[tuple[str, Run | None]]") -> None:
        self._stale -= {run_id for run_id, _ in found}
        if any(run is None for _, run in found):
            self._reload()
            return
        runs = [run for _, run in found if run is not None]
        self._table.update_runs(runs)
        self.refresh_bindings()

    # The filter and the order

    def action_filter(self) -> None:
        if self._filter is not None:
            self._filter.start()

    def on_filter_line_changed(self, event: "FilterLine.Changed") -> None:
        self._query = event.query
        self._reload()

    def on_filter_line_submitted(self) -> None:
        self._table.focus()

    def action_back(self) -> None:
        """Clear the filter, then the marks."""
        if self._filter is not None and self._filter.value:
            self._filter.clear()
        elif not self._typing:
            self._table.clear_marks()
        self._table.focus()

    @property
    def _typing(self) -> bool:
        return self._filter is not None and self._filter.is_mounted and self._filter.typing

    def action_sort(self) -> None:
        self._sort = (self._sort + 1) % len(SORTS)
        if self.finetui.is_ready:
            self._reload()

    # The highlighted run

    @on(RunTable.Highlighted)
    def _highlighted(self) -> None:
        if self._preview_timer is not None:
            self._preview_timer.stop()
        self._preview_timer = self.set_timer(PREVIEW_S, self._read_preview)
        self.refresh_bindings()

    def _read_preview(self) -> None:
        run = self.current_run
        if run is None or self.has_class("-low") or self._preview is None:
            return
        read = partial(_read_preview, self.services.store, run.id, self._preview.columns)
        self.in_thread(read, self._preview.show, group="preview")

    @on(RunTable.Opened)
    def _opened(self, event: RunTable.Opened) -> None:
        self.post_message(OpenRun(event.run.id))

    @on(RunTable.MarksChanged)
    def _marks_changed(self) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return False
        if action == "compare":
            return len(self._table.runs) > 1
        if action == "filter":
            return self._total > 0 and not self._typing
        if action == "back":
            return bool(self._query or self._table.marked) or self._typing
        return super().check_action(action, parameters)

    def action_compare(self) -> None:
        """The marked runs, or the highlighted one with the one below it (above, at the end)."""
        table = self._table
        ids = list(table.marked)
        if len(ids) < 2 and table.highlighted is not None:
            place = table.cursor
            other = table.runs[place + 1] if place + 1 < len(table.runs) else table.runs[place - 1]
            ids = [*ids, table.highlighted.id] if ids and table.highlighted.id not in ids else [table.highlighted.id]
            ids = ids if len(ids) > 1 else [*ids, other.id]
        self.post_message(CompareRuns(ids))

    def action_chat(self) -> None:
        table = self._table
        ids = list(table.marked) or ([table.highlighted.id] if table.highlighted else [])
        if ids:
            self.post_message(ChatWith(ids))

    def on_resize(self, event: events.Resize) -> None:
        side = event.size.width >= SIDE_WIDTH
        self.set_class(side, "-side")
        if self._preview is not None:
            self._preview.set_class(side, "-side")
        self.set_class(event.size.height < 20, "-low")
        self._fit_table()
        self._highlighted()


def _read_runs(
    store: "Store", query: str, sort: str, descending: bool, everything: bool
) -> "tuple[list[Run], int, int]":
    """Runs that match, how many there are of them, and how many runs there are at all."""
    limit = None if everything else FIRST_RUNS
    runs = store.runs.list(query, sort=sort, descending=descending, limit=limit)
    total = store.runs.count()
    matching = len(runs) if everything else store.runs.count(query) if query else total
    return runs, matching, total


def _read_preview(store: "Store", run_id: str, columns: int) -> "Preview | None":
    from tui.widgets.run_preview import read_preview

    return read_preview(store, run_id, columns)
