"""Runs: how are my runs, and which one matters now?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.css.query import NoMatches
from textual.timer import Timer
from textual.widgets import Input, Static

from tui.messages import ChatWith, CompareRuns, OpenRun
from tui.screens.run_actions import RunActions
from tui.widgets.run_preview import Preview, RunPreview, read_preview
from tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from store import Store
    from store.records import Run

FILTER_S = 0.12
PREVIEW_S = 0.08
FIRST_RUNS = 300
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
? lost (its process is gone without a word), ⚠ look at it. ↑ beside the eval loss: it rose above the best.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "compare", "compare", id="runs.compare", tooltip="Compare the marked runs, or this and the next"),
        Binding("t", "chat", "chat", id="run.chat", tooltip="Chat with the marked runs, or this one, beside the base"),
        Binding("n", "new_like", "new like this", id="run.new_like", tooltip="A new run that starts from this recipe"),
        Binding("s", "stop_run", "stop", id="run.stop", tooltip="Stop the run; it saves a checkpoint"),
        Binding("r", "resume_run", "resume", id="run.resume", tooltip="Resume the run from its last checkpoint"),
        Binding("slash", "filter", "filter", id="runs.filter", key_display="/", tooltip="Filter the list"),
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
        self._loaded = False
        self._reading = False
        self._again = False
        self._total = 0
        self._filter_timer: Timer | None = None
        self._preview_timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="filter-line"):
            yield Static("/", id="slash")
            yield Input(
                id="filter", compact=True, placeholder="filter: words, status:running, tag:a …", select_on_focus=False
            )
            yield Static("", id="count", markup=False)
        yield Static("", id="query-problem", markup=False)
        with Container(id="body"):
            yield RunTable(id="table")
            yield RunPreview()
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.add_class("-bare")
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(self._changed)
        self._reload()

    @property
    def _table(self) -> RunTable:
        return self.query_one(RunTable)

    @property
    def current_run(self) -> "Run | None":
        try:
            return self._table.highlighted
        except NoMatches:
            return None

    # The list

    def _reload(self) -> None:
        """Read the list anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        sort, _, descending = SORTS[self._sort]
        read = partial(_read_runs, self.services.store, self._query, sort, descending, self._loaded)
        self.in_thread(read, self._show_runs, group="list", failed=self._query_failed)

    def _show_runs(self, found: "tuple[list[Run], int, int]") -> None:
        runs, matching, total = found
        self._reading = False
        self._total = total
        self._show_problem("")
        _, title, descending = SORTS[self._sort]
        table = self._table
        table.sort_title, table.sort_arrow = title, "↓" if descending else "↑"
        table.set_runs(runs)
        self.set_class(not runs, "-empty")
        self.set_class(not total, "-bare")
        words = f"No run matches “{self._query}”.\n\nEsc clears the filter." if total else EMPTY
        self.query_one("#empty", Static).update(Content(words))
        count = f"{total:,} {'run' if total == 1 else 'runs'}" if not self._query else f"{matching:,} of {total:,} runs"
        self.query_one("#count", Static).update(f"{count} · by {title}")
        self.refresh_bindings()
        more = not self._loaded and len(runs) < matching
        self._loaded = True
        if more or self._again:
            self._again = False
            self._reload()

    def _query_failed(self, error: Exception) -> None:
        self._reading = False
        if type(error).__name__ == "QueryError":
            self._show_problem(str(error))
        else:
            from tui.errors import show_error

            show_error(self.app, error, "The runs cannot be read")
        if self._again:
            self._again = False
            self._reload()

    def _show_problem(self, words: str) -> None:
        problem = self.query_one("#query-problem", Static)
        problem.display = bool(words)
        problem.update(words)

    def _changed(self, ids: set[str]) -> None:
        if not ids:
            return
        shown = {run.id for run in self._table.runs}
        if self._query or not ids <= shown:
            self._reload()
            return
        store = self.services.store
        self.in_thread(lambda: [(run_id, store.runs.get(run_id)) for run_id in ids], self._show_changed, group="rows")

    def _show_changed(self, found: "list[tuple[str, Run | None]]") -> None:
        if any(run is None for _, run in found):
            self._reload()
            return
        runs = [run for _, run in found if run is not None]
        self._table.update_runs(runs)
        self.refresh_bindings()

    # The filter and the order

    def action_filter(self) -> None:
        self.query_one("#filter", Input).focus()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self._filter_timer is not None:
            self._filter_timer.stop()
        self._filter_timer = self.set_timer(FILTER_S, self._apply_filter)

    @on(Input.Submitted, "#filter")
    def _submitted(self) -> None:
        self._apply_filter()
        self._table.focus()

    def _apply_filter(self) -> None:
        query = self.query_one("#filter", Input).value.strip()
        if query != self._query and self.finetui.is_ready:
            self._query = query
            self._reload()

    def action_back(self) -> None:
        """Clear the filter, then the marks."""
        entry = self.query_one("#filter", Input)
        if entry.value:
            entry.value = ""
            self._apply_filter()
        elif not entry.has_focus and self._table.marked:
            self._table.clear_marks()
        self._table.focus()

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
        if run is None or self.has_class("-low") or not self.finetui.is_ready:
            return
        preview = self.query_one(RunPreview)
        read = partial(read_preview, self.services.store, run.id, preview.columns)
        self.in_thread(read, self._show_preview, group="preview")

    def _show_preview(self, preview: Preview | None) -> None:
        if preview is not None:
            self.query_one(RunPreview).show(preview)

    @on(RunTable.Opened)
    def _opened(self, event: RunTable.Opened) -> None:
        self.post_message(OpenRun(event.run.id))

    @on(RunTable.MarksChanged)
    def _marks_changed(self) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "compare":
            return len(self._table.runs) > 1 if self.is_mounted else False
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
        self.query_one(RunPreview).set_class(side, "-side")
        self.set_class(event.size.height < 20, "-low")
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
