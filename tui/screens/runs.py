"""Runs: how are my runs, and which one matters now?"""

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from tui.messages import ChatWith, CompareRuns
from tui.screens.run_list import Listing, RunList
from tui.text import clean, clean_line
from tui.widgets.run_orders import order_of
from tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from store.completion import Completion
    from store.records import View
    from tui.widgets.filter_line import FilterLine

TABLE_ROWS = 6
"""The least rows that the table gets above the preview."""
SIDE_WIDTH = 160

EMPTY = """\
No runs yet.

Press 2 to import a dataset, then 3 to launch a run on it.
Or quit and type: finetui demo
It trains a small model on sample data, here, in two minutes, with no GPU.

I imports runs of W&B, TensorBoard, Trackio, MLflow and the Trainer."""
PLACEHOLDER = "filter: words, status:failed, eval/loss.min<1.2, cfg.lora_r>=16, started<7d …"

AHEAD_S = 0.3
"""After so long, what Enter opens is imported: it is likely to be next."""


class RunsScreen(RunList):
    """Every run, live, with a preview of the one under the cursor."""

    MODE = "runs"
    TITLE = "Runs"
    CSS_PATH = "runs.tcss"
    AUTO_FOCUS = "RunTable"
    HELP = """
**How are my runs, and which one matters now?** The list is live; runs go on when you leave. `v` shows those at work
side by side.

Filter with `/`: words look in name, id, tags, notes, dataset and model; `status:running`, `model:qwen`, `tag:a` look in
one field; `cfg.lora_r>=16` asks for a field of the recipe, `eval/loss.min<1.2` for what a metric came to, `started<7d`
for an age; `AND`, `OR`, `NOT` and parentheses join them. Tab takes what is offered. `V` keeps filters under names.

`o` orders by a column, a metric or a field of the recipe, and shows it; `O` turns the order round.

States: ○ queued, ◌ starting, ◎ rehearsing, ● training, ◉ evaluating, ◑ stopping, ✓ done, ■ stopped, ✗ failed,
? lost (its process is gone without a word), ⚠ look at it. ↑ beside the eval loss: it rose above the best. Δ is the
distance to the run's own best; once runs are marked, to the one that was marked first. A run that failed says why: `a`
does what is suggested, `w` shows the evidence.

`I` imports runs of W&B, TensorBoard, Trackio, MLflow and the Trainer. `$` says what the runs that match the filter
cost.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "fix_run", "fix", id="run.fix", tooltip="Do what is suggested: a changed launch, or a resume"),
        Binding("c", "compare", "compare", id="runs.compare", tooltip="Compare the marked runs, or this and the next"),
        Binding("t", "chat", "chat", id="run.chat", tooltip="Chat with the marked runs, or this one, beside the base"),
        Binding("n", "new_like", "new like this", id="run.new_like", tooltip="A new run that starts from this recipe"),
        Binding("s", "stop_run", "stop", id="run.stop", tooltip="Stop the run; it saves a checkpoint"),
        Binding("r", "resume_run", "resume", id="run.resume", tooltip="Resume the run from its last checkpoint"),
        Binding("slash", "filter", "filter", id="runs.filter", key_display="/", tooltip="Filter the list"),
        Binding("v", "live", "live", id="runs.live", tooltip="The runs at work, side by side"),
        Binding(
            "escape", "back", "clear", id="page.back", key_display="esc", tooltip="Clear the filter, then the marks"
        ),
        Binding("w", "why_run", "why", id="run.why", show=False, tooltip="Why it ended, and what is suggested"),
        Binding("o", "sort", "order", id="runs.sort", show=False, tooltip="Order by a column, a metric or a setting"),
        Binding("O", "reverse", "turn round", id="runs.reverse", show=False, tooltip="Turn the order round"),
        Binding("V", "views", "views", id="runs.views", show=False, tooltip="Filters kept under names"),
        Binding("d", "remove_run", "remove", id="run.remove", show=False, tooltip="Remove the run and its files"),
        Binding("M", "evaluate", "evaluate", id="run.evaluate", show=False, tooltip="Measure the marked runs, or this"),
        Binding("e", "rename_run", "rename", id="run.rename", show=False, tooltip="Rename the run"),
        Binding("number_sign", "tag_run", "tags", id="run.tag", show=False, key_display="#", tooltip="Edit its tags"),
        Binding("i", "ignore_finding", "ignore", id="run.ignore", show=False, tooltip="Ignore what was found"),
        Binding("N", "note_run", "note", id="run.note", show=False, tooltip="Write a note on the run"),
        Binding("K", "kill_run", "kill", id="run.kill", show=False, tooltip="End the run at once, without saving"),
        Binding("I", "import_history", "import past runs", id="runs.import", show=False, tooltip="W&B, TensorBoard …"),
        Binding(
            "dollar_sign", "costs", "costs", id="runs.costs", show=False, key_display="$", tooltip="What runs cost"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._filter: FilterLine | None = None
        self._view = ""
        """The name of the view that is shown; empty once its filter or order was changed."""
        self._is_whole = False

    def compose_body(self) -> ComposeResult:
        """No more than the first frame shows; `_start` adds the rest."""
        with Container(id="body"):
            yield RunTable(id="table")

    def on_mount(self) -> None:
        self.add_class("-bare")
        self.when_ready(self._start)

    def _start(self) -> None:
        from tui.widgets.filter_line import FilterLine

        self._filter = FilterLine(PLACEHOLDER, pause_s=0, completes=True)
        body = self.query_one("#body")
        self.mount(self._filter, before=body)
        self.mount(Static(Content(EMPTY), id="empty"), after=body)
        self.on_runs_changed(self._changed)
        self.call_after_refresh(self._reload)

    async def _add_preview(self) -> None:
        """After the list is shown: it imports more than the list does."""
        from tui.widgets.run_preview import RunPreview

        preview = RunPreview()
        preview.set_class(self.has_class("-side"), "-side")
        await self.query_one("#body").mount(preview)
        self._preview = preview
        self.call_after_refresh(self._highlighted)
        self.set_timer(AHEAD_S, lambda: self.in_thread(partial(import_module, "tui.screens.run"), group="ahead"))

    # What the list shows

    def list_shown(self, found: Listing) -> None:
        self._fit_table()
        self.set_class(not found.ids, "-empty")
        self.set_class(not found.total, "-bare")
        if found.total:
            self._say_empty(f"No run matches “{clean_line(self._query)}”.\n\nEsc clears the filter.")
        else:
            self.in_thread(self._look_for_folders, self._say_empty, group="folders")
        total = f"{found.total:,} {'run' if found.total == 1 else 'runs'}"
        count = f"{len(found.ids):,} of {total}" if self._query and not found.problem else total
        if self._filter is not None:
            self._filter.show_problem(found.problem)
            self._filter.show_hint(found.hint)
            view = f"{clean_line(self._view)} · " if self._view else ""
            self._filter.show_count(f"{view}{count} · by {self._order.title}")
        if not self._is_whole:
            self._is_whole = True
            self.call_after_refresh(self._add_preview)

    def _say_empty(self, words: str) -> None:
        self.query_one("#empty", Static).update(Content(words))

    def _look_for_folders(self) -> str:
        """What is said of an empty list: a store that was lost and begun anew has none of the runs that are there."""
        from engine.insight.checks.storing import check_runs

        check = check_runs(self.services.home, self.services.store)
        return EMPTY if check.ok else clean(f"{check.found}.\n\n{check.fix}")

    def _fit_table(self) -> None:
        """As high as all runs need, filtered or not, so that the preview stays where it is while one types."""
        self._table.styles.height = "1fr" if self.has_class("-side") else max(TABLE_ROWS, self._total + 1)

    def on_resize(self, event: events.Resize) -> None:
        side = event.size.width >= SIDE_WIDTH
        self.set_class(side, "-side")
        if self._preview is not None:
            self._preview.set_class(side, "-side")
        self.set_class(event.size.height < 20, "-low")
        self._fit_table()
        self._highlighted()

    # The filter

    def action_filter(self) -> None:
        if self._filter is not None:
            self._filter.start()

    def on_filter_line_changed(self, event: "FilterLine.Changed") -> None:
        self._query = event.query
        self._view = ""
        self._from_top = True
        self._reload()

    def on_filter_line_asked(self, event: "FilterLine.Asked") -> None:
        complete = partial(self.services.store.runs.complete, event.text, event.cursor)

        def show(offers: "list[Completion]") -> None:
            if self._filter is not None:
                self._filter.offer(event.text, event.cursor, offers)

        self.in_thread(complete, show, group="complete")

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

    # The order and the views

    def action_sort(self) -> None:
        """Choose what to order by."""
        from tui.screens.order_dialog import OrderDialog, read_orders

        self.in_thread(
            partial(read_orders, self.services.store),
            lambda found: self.app.push_screen(OrderDialog(found, self._order.key), self._order_by),
            group="orders",
        )

    def _order_by(self, key: str | None) -> None:
        if key is not None:
            self._order = order_of(key)
            self._set_order(self._order.descending)

    def action_reverse(self) -> None:
        """The last ones first."""
        self._set_order(not self._descending)

    def _set_order(self, descending: bool) -> None:
        self._descending = descending
        self._view = ""
        if self.finetui.is_ready:
            self._reload()

    def action_views(self) -> None:
        """Choose a view, keep this one under a name, or delete one."""
        from store.records import View
        from tui.screens.views_dialog import ViewsDialog, read_views

        store = self.services.store
        shown = View("runs", self._view, self._query, self._order.key, self._descending)
        self.in_thread(
            partial(read_views, store),
            lambda views: self.app.push_screen(ViewsDialog(store, shown, views), self._show_view),
            group="views",
        )

    def _show_view(self, view: "View | None") -> None:
        if view is None or self._filter is None:
            return
        self._query, self._order, self._descending = view.query, order_of(view.sort), view.descending
        self._from_top = True
        with self._filter.prevent(type(self._filter).Changed):
            self._filter.set_query(view.query)
        self._view = view.name
        self._table.focus()
        self._reload()

    # What one does to runs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return False
        if action == "compare":
            return len(self._table.ids) > 1
        if action in ("filter", "sort", "reverse", "views"):
            return self._total > 0 and not self._typing
        if action == "live":
            return self.finetui.is_ready
        if action == "back":
            return bool(self._query or self._table.marked) or self._typing
        return super().check_action(action, parameters)

    def action_compare(self) -> None:
        """The marked runs, or the highlighted one with the one below it (above, at the end)."""
        table = self._table
        ids = list(table.marked)
        current = table.highlighted_id
        if len(ids) < 2 and current:
            if ids and current not in ids:
                ids = [*ids, current]
            else:
                place = table.cursor
                ids = [current, table.ids[place + 1 if place + 1 < len(table.ids) else place - 1]]
        self.post_message(CompareRuns(ids))

    def action_chat(self) -> None:
        table = self._table
        ids = list(table.marked) or ([table.highlighted_id] if table.highlighted_id else [])
        if ids:
            self.post_message(ChatWith(ids))

    def action_evaluate(self) -> None:
        """Measure the marked runs, or this one, beside the base."""
        from tui.screens.evaluation_start import evaluate

        table = self._table
        ids = list(table.marked) or ([table.highlighted_id] if table.highlighted_id else [])
        if ids:
            evaluate(self, ids)

    def action_import_history(self) -> None:
        """Take in what other trackers and machines have recorded."""
        from tui.screens.import_history import ImportHistoryDialog

        if self.finetui.is_ready:
            self.app.push_screen(ImportHistoryDialog(self.services), self._imported)

    def _imported(self, ids: list[str] | None) -> None:
        if ids:
            self.tracker.announce(*ids)

    def action_costs(self) -> None:
        """Put together what the runs that match the filter cost."""
        from tui.screens.costs import CostsScreen

        self.app.push_screen(CostsScreen(self._query))

    def action_live(self) -> None:
        """The runs at work, side by side."""
        from tui.screens.live import LiveScreen

        self.app.push_screen(LiveScreen())
