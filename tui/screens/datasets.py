"""Datasets: what is there to train on?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from tui.format import fmt_when
from tui.screens.dataset import DatasetScreen
from tui.screens.dataset_actions import DatasetActions
from tui.text import clean_line
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from store.records import Dataset
    from tui.services import Services

FILTER_S = 0.12

EMPTY = """\
No datasets yet.

A dataset is a file of conversations: questions, and the answers to learn.
Press i to import one. Nothing leaves this machine.

Understood, in JSONL (one object a line) or JSON, plain or gzipped:

messages         {"messages": [{"role": "user", "content": …}, …]}
sharegpt         {"conversations": [{"from": "human", "value": …}, …]}
alpaca           {"instruction": …, "input": …, "output": …}
prompt-response  {"prompt": …, "response": …}  also question and answer
input-output     {"input": …, "output": …}"""


def _splits(dataset: "Dataset") -> tuple[str, str]:
    counts = [dataset.splits.get(split, 0) for split in ("train", "validation", "test")]
    return " / ".join(f"{count:,}" if count else "–" for count in counts), ""


COLUMNS = (
    Column("name", 16, lambda one: (clean_line(one.name), ""), share=2),
    Column("", 1, lambda one: ("⚠", "look") if one.warnings else ("", "")),
    Column("version", 7, lambda one: (f"v{one.version}", "dim")),
    Column("rows", 9, lambda one: (f"{one.rows:,}", ""), right=True),
    Column("train / val / test", 20, _splits, right=True),
    Column("shape", 15, lambda one: (one.shape, "dim"), needs=96),
    Column("source", 14, lambda one: (clean_line(one.source), "dim"), share=2, needs=100),
    Column("imported", 11, lambda one: (fmt_when(one.created), "dim")),
    Column("id", 11, lambda one: (one.id, "dim"), needs=140),
)


class DatasetsScreen(DatasetActions):
    """Every dataset version, newest first."""

    MODE = "datasets"
    TITLE = "Datasets"
    CSS_PATH = "datasets.tcss"
    AUTO_FOCUS = "ItemTable"
    HELP = """
**What is there to train on?** Each import makes a version that never changes, so that a run's data can always be read
again. Importing a file again under the same name makes the next version; the same rows make none.

`i` imports a file, `Enter` shows its conversations, `n` opens the form for a new run on it. Filter with `/`: words look
in name, id and source. ⚠ says that something was left out, or cannot be split; the dataset's own screen says what.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "import_file", "import", id="datasets.import", tooltip="Import a file as a dataset"),
        Binding("n", "new_run", "new run", id="datasets.new_run", tooltip="A new run on this dataset"),
        Binding("slash", "filter", "filter", id="datasets.filter", key_display="/", tooltip="Filter the list"),
        Binding("d", "remove", "remove", id="datasets.remove", tooltip="Remove this version and its files"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._query = ""
        self._select: str | None = None
        self._timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="filter-line"):
            yield Static("/", id="slash")
            yield Input(placeholder="filter", id="filter", compact=True)
            yield Static("", id="count", markup=False)
        yield Static("", id="query-problem", markup=False)
        yield ItemTable(COLUMNS, id="table")
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.add_class("-bare")
        self.when_ready(self._reload)

    def on_screen_resume(self) -> None:
        """Something may have been imported from another screen."""
        if self.finetui.is_ready:
            self._reload()

    def show_dataset(self, dataset_id: str) -> None:
        """Open a dataset's own screen."""
        self._select = dataset_id
        self.app.push_screen(DatasetScreen(dataset_id))

    @property
    def current_dataset(self) -> "Dataset | None":
        return self.query_one(ItemTable).highlighted if self.is_mounted else None

    # The list

    def _reload(self) -> None:
        read = partial(_read_datasets, self.services, self._query)
        self.in_thread(read, self._show, group="list", failed=self._read_failed)

    def _show(self, found: "tuple[list[Dataset], int]") -> None:
        datasets, total = found
        self._show_problem("")
        select, self._select = self._select, None
        self.query_one(ItemTable).set_items(datasets, select)
        self.set_class(not datasets, "-empty")
        self.set_class(not total, "-bare")
        words = f"No dataset matches “{self._query}”.\n\nEsc clears the filter." if total else EMPTY
        self.query_one("#empty", Static).update(Content(words))
        self.query_one("#empty").set_class(not total, "-words")
        noun = "dataset" if total == 1 else "datasets"
        count = f"{len(datasets):,} of {total:,} {noun}" if self._query else f"{total:,} {noun}"
        self.query_one("#count", Static).update(count)
        self.refresh_bindings()

    def _read_failed(self, error: Exception) -> None:
        if type(error).__name__ == "QueryError":
            self._show_problem(str(error))
            return
        from tui.errors import show_error

        show_error(self.app, error, "The datasets cannot be read")

    def _show_problem(self, words: str) -> None:
        problem = self.query_one("#query-problem", Static)
        problem.display = bool(words)
        problem.update(words)

    def dataset_changed(self, dataset_id: str | None) -> None:
        self._select = dataset_id
        self._reload()

    @on(RowList.Highlighted)
    def _highlighted(self) -> None:
        self.refresh_bindings()

    @on(RowList.Opened)
    def _opened(self) -> None:
        if dataset := self.current_dataset:
            self.app.push_screen(DatasetScreen(dataset.id))

    # The filter

    def action_filter(self) -> None:
        self.query_one("#filter", Input).focus()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(FILTER_S, self._apply_filter)

    @on(Input.Submitted, "#filter")
    def _submitted(self) -> None:
        self._apply_filter()
        self.query_one(ItemTable).focus()

    def _apply_filter(self) -> None:
        query = self.query_one("#filter", Input).value.strip()
        if query != self._query and self.finetui.is_ready:
            self._query = query
            self._reload()

    def action_back(self) -> None:
        """Clear the filter."""
        entry = self.query_one("#filter", Input)
        if entry.value:
            entry.value = ""
            self._apply_filter()
        self.query_one(ItemTable).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "filter":
            return not self.has_class("-bare")
        return super().check_action(action, parameters)

    def action_import_file(self) -> None:
        """Import a file."""
        from tui.screens.import_dialog import ImportDialog

        if self.finetui.is_ready:
            self.app.push_screen(ImportDialog(self.services.library), self._imported)

    def _imported(self, dataset: "Dataset | None") -> None:
        if dataset is not None:
            self.notify(f"{dataset.rows:,} rows", title=f"{clean_line(dataset.name)} v{dataset.version}", markup=False)
            self.dataset_changed(dataset.id)


def _read_datasets(services: "Services", query: str) -> "tuple[list[Dataset], int]":
    """Datasets that match, and how many there are at all."""
    everything = services.library.list()
    return (services.library.list(query) if query else everything), len(everything)
