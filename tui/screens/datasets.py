"""Datasets: what is there to train on?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.screens.dataset_actions import DatasetActions
from tui.screens.working import GivenUp, Progress, run_long
from tui.widgets.dataset_table import DatasetTable
from tui.widgets.dataset_words import count_words, made_words, title_of
from tui.widgets.filter_line import FilterLine
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.datasets.quality import Report
    from engine.datasets.versions import Made
    from store.records import Dataset
    from tui.screens.mix import Recipe
    from tui.services import Services

EMPTY = """\
No datasets yet. A dataset is a file of conversations: questions, answers.
Press i to import one: JSONL, JSON, CSV, TSV, Parquet or text, also gzipped;
a file, a folder, a pattern such as data/*.jsonl, or hub:NAME from the hub.

What rows may look like. Columns with other names are asked for.

messages         {"messages": [{"role": "user", "content": …}, …]}
sharegpt         {"conversations": [{"from": "human", "value": …}, …]}
alpaca           {"instruction": …, "input": …, "output": …}
prompt-response  {"prompt": …, "response": …}   also question and answer …
input-output     {"input": …, "output": …}
text             {"text": …}   or plain text
preference       {"prompt": …, "chosen": …, "rejected": …}
kto              {"prompt": …, "completion": …, "label": true}
prompts          {"turns": [question, …]}   no answers: to try models on

A file that is imported stays on this machine and is never changed."""


class DatasetsScreen(DatasetActions):
    """Every dataset version, newest first."""

    MODE = "datasets"
    TITLE = "Datasets"
    CSS_PATH = "datasets.tcss"
    AUTO_FOCUS = "DatasetTable"
    HELP = """
**What is there to train on?** Each import makes a version that never changes, so that a run's data can always be read
again. Filtering, mixing and every other change makes a new version beside the old one; `u` goes back to what a version
was made from. The same rows make no new version.

`i` imports, `Enter` shows the conversations, `v` looks for what may be wrong and grades it: A and B are ready, C wants
a look, D to F want something done. `n` opens the form for a new run, `e` writes the rows into a file.

`Space` marks. Two marked: `c` says what differs between them. Two or more: `m` mixes them by weights, `s` puts them one
after the other as stages, in the order in which they were marked.

Filter with `/`: words look in name, id and source. ⚠ says that something was left out, or cannot be split; the
dataset's own screen says what.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "compare", "compare", id="datasets.compare", tooltip="What differs between the two marked ones"),
        Binding("m", "mix", "mix", id="datasets.mix", tooltip="Mix the marked ones by weights"),
        Binding("s", "stage", "stages", id="datasets.stage", tooltip="The marked ones one after the other"),
        Binding("i", "import_file", "import", id="datasets.import", tooltip="Import files as a dataset"),
        Binding("n,l", "new_run", "new run", id="datasets.new_run", tooltip="A new run on this dataset"),
        Binding("v,V", "validate", "validate", id="datasets.validate", tooltip="Look for faults, and grade it"),
        Binding("u", "parent", "made from", id="datasets.parent", tooltip="Go to the version it was made from"),
        Binding("slash", "filter", "filter", id="datasets.filter", key_display="/", tooltip="Filter the list"),
        Binding("e,E", "export", "export", id="datasets.export", tooltip="Write its rows into a file"),
        Binding("d", "remove", "remove", id="datasets.remove", show=False, tooltip="Remove this version, its files"),
        Binding(
            "escape", "back", "clear", id="page.back", key_display="esc", tooltip="Clear the filter, then the marks"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._query = ""
        self._select: str | None = None
        self._made: dict[str, str] = {}

    def compose_body(self) -> ComposeResult:
        yield FilterLine("filter")
        yield DatasetTable(id="table")
        with VerticalScroll(id="empty", can_focus=False):
            yield Static(Content(EMPTY), id="words", markup=False)

    def on_mount(self) -> None:
        self.add_class("-bare")
        self.when_ready(self._reload)

    def on_screen_resume(self) -> None:
        """Something may have been imported from another screen."""
        if self.finetui.is_ready:
            self._reload()

    def show_dataset(self, dataset_id: str) -> None:
        """Open a dataset's own screen."""
        from tui.screens.dataset import DatasetScreen

        self._select = dataset_id
        self.app.push_screen(DatasetScreen(dataset_id))

    @property
    def _table(self) -> DatasetTable:
        return self.query_one(DatasetTable)

    @property
    def _filter(self) -> FilterLine:
        return self.query_one(FilterLine)

    @property
    def current_dataset(self) -> "Dataset | None":
        return self._table.highlighted if self.is_mounted else None

    # The list

    def _reload(self) -> None:
        read = partial(_read_datasets, self.services, self._query, self._made)
        self.in_thread(read, self._show, group="list", failed=self._read_failed)

    def _show(self, found: "tuple[list[Dataset], list[Dataset], dict[str, str]]") -> None:
        datasets, everything, self._made = found
        total = len(everything)
        self._filter.show_problem("")
        select, self._select = self._select, None
        table = self._table
        table.made = self._made
        by_id = {one.id: one for one in everything}
        table.marked = {one: by_id[one] for one in table.marked if one in by_id}
        table.set_items(datasets, select)
        if datasets and self.focused is None:
            table.focus()
        self.set_class(not datasets, "-empty")
        self.set_class(not total, "-bare")
        words = f"No dataset matches “{self._query}”.\n\nEsc clears the filter." if total else EMPTY
        self.query_one("#words", Static).update(Content(words))
        count = count_words(total, "dataset")
        self._filter.show_count(f"{len(datasets):,} of {count}" if self._query else count)
        self.refresh_bindings()

    def _read_failed(self, error: Exception) -> None:
        if type(error).__name__ == "QueryError":
            self._filter.show_problem(str(error))
            return
        from tui.errors import show_error

        show_error(self.app, error, "The datasets cannot be read")

    def dataset_changed(self, dataset_id: str | None) -> None:
        self._select = dataset_id
        self._reload()

    def dataset_validated(self, dataset: "Dataset", report: "Report") -> None:
        super().dataset_validated(dataset, report)
        self._reload()

    def show_parent(self, parent: "Dataset") -> None:
        """Put the cursor on it."""
        self._filter.clear()
        self._query = ""
        self.dataset_changed(parent.id)

    @on(RowList.Highlighted)
    @on(DatasetTable.MarksChanged)
    def _highlighted(self) -> None:
        self.refresh_bindings()

    @on(RowList.Opened)
    def _opened(self) -> None:
        if dataset := self.current_dataset:
            self.show_dataset(dataset.id)

    # The filter

    def action_filter(self) -> None:
        self._filter.start()

    @on(FilterLine.Changed)
    def _query_changed(self, event: FilterLine.Changed) -> None:
        self._query = event.query
        if self.finetui.is_ready:
            self._reload()

    @on(FilterLine.Submitted)
    def _submitted(self) -> None:
        self._table.focus()

    def action_back(self) -> None:
        """Clear the filter, then the marks."""
        if self._filter.value:
            self._filter.clear()
        elif not self._filter.typing:
            self._table.clear_marks()
        self._table.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return False
        marks = len(self._table.marked)
        if action == "filter":
            return not self.has_class("-bare") and not self._filter.typing
        if action == "back":
            return bool(self._query or marks) or self._filter.typing
        if action == "compare":
            return marks == 2
        if action in ("mix", "stage"):
            return marks >= 2
        return super().check_action(action, parameters)

    # New datasets

    def action_import_file(self) -> None:
        """Import files."""
        from tui.screens.import_dialog import ImportDialog

        if self.finetui.is_ready:
            self.app.push_screen(ImportDialog(self.services.library), self._imported)

    def _imported(self, dataset: "Dataset | None") -> None:
        if dataset is not None:
            self.notify(count_words(dataset.rows, "row"), title=title_of(dataset), markup=False)
            self.dataset_changed(dataset.id)

    def action_compare(self) -> None:
        """What differs between the two marked versions, the older one first."""
        from tui.screens.dataset_diff import DiffScreen

        first, second = sorted(self._table.marked.values(), key=lambda one: one.created)
        self.app.push_screen(DiffScreen(first, second))

    def action_mix(self) -> None:
        """Ask for weights, and mix the marked versions."""
        from tui.screens.mix import MixDialog

        self.app.push_screen(MixDialog(list(self._table.marked.values())), self._make)

    def action_stage(self) -> None:
        """Ask for the order, and put the marked versions one after the other."""
        from tui.screens.mix import StageDialog

        self.app.push_screen(StageDialog(list(self._table.marked.values())), self._make)

    def _make(self, recipe: "Recipe | None") -> None:
        if recipe is not None:
            run_long(self, recipe.title, partial(_make, self.services, recipe), self._was_made)

    def _was_made(self, found: "tuple[Made, int]") -> None:
        made, leaks = found
        words = count_words(made.after, "row") if made.new else "These very rows existed already."
        if leaks:
            words += f"\n{count_words(leaks, 'row')} left out: they ask what another one keeps back to evaluate on."
        self.notify(words, title=title_of(made.dataset), markup=False)
        self._table.clear_marks()
        self.dataset_changed(made.dataset.id)


def _make(services: "Services", recipe: "Recipe", progress: Progress, cancelled: GivenUp) -> "tuple[Made, int]":
    """What was made, and how many rows were left out because they leak."""
    made = recipe.make(services.library, progress, cancelled)
    operation = services.library.card(made.dataset.id).get("operation") or {}
    return made, int(operation.get("leaks") or 0)


def _read_datasets(
    services: "Services", query: str, made: dict[str, str]
) -> "tuple[list[Dataset], list[Dataset], dict[str, str]]":
    """Datasets that match, all of them, and how each was made: `made` already says it for some."""
    library = services.library
    everything = library.list()
    words = {one.id: made.get(one.id) or _made_words(services, one) for one in everything}
    return (library.list(query) if query else everything), everything, words


def _made_words(services: "Services", dataset: "Dataset") -> str:
    from engine.errors import FinetuiError

    try:
        return made_words(dataset, services.library.card(dataset.id))
    except FinetuiError:  # its card is damaged; its own screen says so
        return made_words(dataset, {})
