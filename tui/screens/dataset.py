"""A dataset: what does it teach?"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import ContentSwitcher, Static

from tui.screens.dataset_edits import PendingEdits
from tui.screens.dataset_keys import DATASET_KEYS
from tui.screens.dataset_lineage import LineagePane
from tui.screens.dataset_pane import BY_ITSELF_ROWS, DatasetPane, SeenBy
from tui.screens.dataset_reading import Opened, check_rows, default_eyes, headline, read_dataset
from tui.screens.dataset_report import ReportPane
from tui.screens.dataset_rows import RowsPane
from tui.screens.dataset_tokens import TokensPane
from tui.screens.dataset_trail import Trail, trail_of_report
from tui.screens.dataset_versions import VersionActions
from tui.widgets.report_view import fault_count
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from engine.datasets.quality import Report
    from engine.datasets.rows import Row
    from store.records import Dataset

TABS = {"rows": "Rows", "report": "Report", "tokens": "Tokens", "lineage": "Lineage"}
NARROW = 100


class DatasetScreen(VersionActions):
    """One dataset version: its rows, its report, its tokens, its lineage."""

    MODE = "datasets"
    TITLE = "Dataset"
    CSS_PATH = "dataset.tcss"
    AUTO_FOCUS = "DatasetRows"
    HELP = """
**What does it teach?** `[` and `]` go between the rows, the report on them, their tokens, and where they come from.

`j` `k` go through the rows, `g` `G` to the first and the last, `:` to a number, `/` finds words while you type.
`v` shows the row as a conversation, **as the model sees it**, or raw. As the model sees it, what stands between
`▐` and `▌` is trained, the rest is only read, and what is struck was cut off; `m` `t` `L` `a` change the model,
the template, the length and what is learnt. `n` `p` step through the rows that the report names.

A version never changes. `x` drops rows (`Space` marks several), `e` edits one, and `w` writes what came of it as the
next version; `u` takes changes back one by one, and with none left goes to the version this one was made from. `f`
keeps the rows that match a filter, `o` has more ways to make a version. `l` trains on it.
"""
    BINDINGS: ClassVar[list[BindingType]] = DATASET_KEYS

    def __init__(self, dataset_id: str, seen_by: SeenBy | None = None) -> None:
        super().__init__()
        self.dataset_id = dataset_id
        self.seen_by = seen_by or SeenBy()
        self._eyes_given = seen_by is not None
        self._opened: Opened | None = None
        self.report: Report | None = None
        self.validating = False
        """Whether a report is being made in the background."""
        self._share = 0.0

    def compose_body(self) -> ComposeResult:
        yield Static("", id="headline", markup=False)
        yield TabLine(TABS)
        with ContentSwitcher(initial="rows", id="panes"):
            yield RowsPane(id="rows")
            yield ReportPane(id="report")
            yield TokensPane(id="tokens")
            yield LineagePane(id="lineage")

    def on_mount(self) -> None:
        self.when_ready(self._start)

    def _start(self) -> None:
        read = partial(read_dataset, self.services, self.dataset_id)
        self.in_thread(read, self._show, group="dataset", failed=self._read_failed)

    def _read_failed(self, error: Exception) -> None:
        self.cannot_be_shown(error, "The dataset cannot be read")

    def _show(self, opened: Opened) -> None:
        self._opened, self.report = opened, opened.report
        if not self._eyes_given:
            self.seen_by = default_eyes(opened)
        for pane in self._panes:
            pane.start()
        self._show_headline()
        self.refresh_bindings()
        if self.report is None and opened.dataset.rows <= BY_ITSELF_ROWS:
            self._check_by_itself(opened.dataset)

    def _show_headline(self) -> None:
        if self._opened:
            self.query_one("#headline", Static).update(headline(self._opened, self.report, self.size))
            self.query_one(TabLine).counts = {"report": fault_count(self.report)}

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self._show_headline()

    # What the tabs ask

    @property
    def current_dataset(self) -> "Dataset | None":
        return self._opened.dataset if self._opened else None

    @property
    def next_version(self) -> int:
        """The number that a version made from this one gets."""
        return self._opened.next_version if self._opened else 0

    @property
    def _panes(self) -> "list[DatasetPane]":
        return [*self.query(DatasetPane)]

    @property
    def rows(self) -> RowsPane:
        return self.query_one(RowsPane)

    @property
    def edits(self) -> PendingEdits:
        return self.rows.edits

    @property
    def row(self) -> "Row | None":
        return self.rows.row

    @property
    def tab(self) -> str:
        """The tab that is shown."""
        return self.query_one(TabLine).active

    def follow(self, trail: Trail, *, show: bool = True) -> None:
        """Let `n` and `p` go along a trail; with `show`, go to its first row."""
        if show:
            self.query_one(TabLine).choose("rows")
        self.rows.follow(trail, go=show)

    def tokens_counted(self, figures: dict[str, Any]) -> None:
        """The tokens of the dataset are known."""
        if self._opened:
            self._opened = replace(self._opened, tokens=figures)
            self._show_headline()
            self.rows.show_token_total(figures)

    # Tabs

    def action_tab(self, places: int) -> None:
        self.query_one(TabLine).move(places)

    @on(TabLine.Chosen)
    def _chosen(self, event: TabLine.Chosen) -> None:
        self.query_one(ContentSwitcher).current = event.tab
        if self._opened:
            self.query_one(f"#panes > #{event.tab}", DatasetPane).opened()
        self.refresh_bindings()

    # Keys

    def action_rows(self, name: str) -> None:
        self.rows.do(name)

    def action_count(self) -> None:
        self.query_one(TokensPane).do_count()

    def action_see(self, what: str) -> None:
        """Choose other eyes to see the rows with."""
        from tui.screens.dataset_eyes import choose

        choose(self, what)

    def see(self, seen: SeenBy) -> None:
        """See the rows with other eyes from now on."""
        self.seen_by = seen
        if self.tab == "rows":
            self.rows.seen_otherwise(seen)
        self.query_one(TokensPane).seen_otherwise(seen)

    def action_undo(self) -> None:
        """Take the last change back; with none, go to the version this one was made from."""
        if self.rows.edits.can_undo and self.tab == "rows":
            self.rows.do_undo()
        else:
            self.action_parent()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("rows", "see", "count", "make", "filter_rows", "undo"):
            return self.is_mounted and self._opened is not None and self._applies(action, str(*parameters))
        if action == "validate" and self.validating:
            return False
        return super().check_action(action, parameters)

    def _applies(self, action: str, name: str) -> bool:
        tab = self.tab
        if action == "rows":
            return tab == "rows" and self.rows.applies(name)
        if action == "see":
            return (tab == "rows" and self.rows.view == "model") or (tab == "tokens" and name in ("model", "length"))
        if action == "count":
            return tab == "tokens" and self.query_one(TokensPane).applies(name)
        if action == "undo":
            parent = self._opened is not None and self._opened.dataset.parent is not None
            return parent or (tab == "rows" and self.rows.applies("undo"))
        return True

    # The report

    def _check_by_itself(self, dataset: "Dataset") -> None:
        self.validating = True
        self.query_one(ReportPane).show_progress(0.0)
        check = partial(check_rows, self.services, dataset, self._checked_share, lambda: not self.is_running)
        self.in_thread(check, self._checked, group="check", failed=self._check_failed, exclusive=False)

    def _checked_share(self, share: float) -> None:
        """In the thread."""
        if int(share * 20) != int(self._share * 20) and self.is_running:
            self._share = share
            self.call_later(self._show_share)  # by its own messages: there are none once it is left

    def _show_share(self) -> None:
        self.query_one(ReportPane).show_progress(self._share)

    def _checked(self, report: "Report") -> None:
        self.validating, self.report = False, report
        self.query_one(ReportPane).show(report)
        self.rows.follow(trail_of_report(report), go=False)
        self._show_headline()
        self.refresh_bindings()

    def _check_failed(self, error: Exception) -> None:
        """Nobody asked for it: the report's tab says that there is none."""
        self.validating = False
        self.query_one(ReportPane).show_problem(error)
        self.refresh_bindings()

    def dataset_validated(self, dataset: "Dataset", report: "Report") -> None:
        super().dataset_validated(dataset, report)
        self._checked(report)

    # Leaving

    def action_back(self) -> None:
        """End the search or the counting, then leave."""
        if self.tab == "rows" and self.rows.going:
            self.rows.end_going()
        elif self.tab == "rows" and self.rows.has_class("-searching"):
            self.rows.end_search()
        elif self.tab != "tokens" or not self.query_one(TokensPane).stop():
            self.unless_changed(self.leave)
