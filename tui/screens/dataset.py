"""A dataset: what does it teach?"""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from tui.format import fmt_when
from tui.screens.dataset_actions import DatasetActions
from tui.screens.dialogs import TextDialog
from tui.text import clean_line
from tui.widgets.conversation_preview import ConversationPreview
from tui.widgets.dataset_rows import DatasetRows
from tui.widgets.launch_plan import split_words
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.datasets.rows import Row
    from store.records import Dataset
    from tui.services import Services

MOST_HITS = 1_000


class DatasetScreen(DatasetActions):
    """The conversations of one dataset version."""

    MODE = "datasets"
    TITLE = "Dataset"
    CSS_PATH = "dataset.tcss"
    AUTO_FOCUS = "DatasetRows"
    HELP = """
**What does it teach?** Every conversation as it will be trained on, the roles in colour. What else the file said of a
row stands below it, dim: it is kept and not trained.

`j` `k` go through the rows, `g` `G` to the first and the last, `:` to a number. `/` finds rows by their words, Esc
shows all again. `J` `K` scroll a long conversation.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "datasets", id="page.back", key_display="esc", tooltip="Back to the datasets"),
        Binding("slash", "search", "search", id="dataset.search", key_display="/", tooltip="Find rows by their words"),
        Binding("colon", "go_to", "go to row", id="dataset.go_to", key_display=":", tooltip="Go to a row by number"),
        Binding("n", "new_run", "new run", id="datasets.new_run", tooltip="A new run on this dataset"),
        Binding("d", "remove", "remove", id="datasets.remove", tooltip="Remove this version and its files"),
        Binding("J,shift+down", "scroll(1)", "scroll", id="dataset.scroll", show=False, tooltip="Scroll the text down"),
        Binding("K,shift+up", "scroll(-1)", "scroll up", id="dataset.scroll_up", show=False),
    ]

    def __init__(self, dataset_id: str) -> None:
        super().__init__()
        self.dataset_id = dataset_id
        self._dataset: Dataset | None = None
        self._search = ""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="headline", markup=False)
        with Horizontal(id="search-line"):
            yield Static("/", id="slash")
            yield Input(placeholder="words to find", id="search", compact=True)
            yield Static("", id="hits", markup=False)
        with Horizontal(id="body"):
            yield DatasetRows(id="rows")
            with Vertical(id="side", classes="panel"):
                yield ConversationPreview(can_focus=False)

    def on_mount(self) -> None:
        self.when_ready(self._start)

    def _start(self) -> None:
        read = partial(_read_dataset, self.services, self.dataset_id)
        self.in_thread(read, self._show, group="dataset", failed=self._read_failed)

    def _read_failed(self, error: Exception) -> None:
        from tui.errors import show_error

        show_error(self.app, error, "The dataset cannot be read", on_close=self._leave)

    def _leave(self) -> None:
        if self.is_current:
            self.action_back()

    @property
    def current_dataset(self) -> "Dataset | None":
        return self._dataset

    def dataset_changed(self, dataset_id: str | None) -> None:
        self.app.pop_screen()

    def _show(self, found: "tuple[Dataset, dict[str, Any]]") -> None:
        self._dataset, card = found
        self.query_one("#headline", Static).update(headline(self._dataset, card))
        self.query_one(DatasetRows).show_all(self._dataset.rows)
        self.refresh_bindings()

    # Rows

    @on(DatasetRows.PageWanted)
    def _page_wanted(self, event: DatasetRows.PageWanted) -> None:
        rows = self.query_one(DatasetRows)
        read = partial(self.services.library.rows, self.dataset_id, offset=event.offset, limit=event.limit)
        self.in_thread(
            read,
            partial(rows.give, event.offset),
            group=f"page-{event.offset}",
            title="The rows cannot be read",
        )

    @on(RowList.Highlighted)
    def _highlighted(self) -> None:
        rows = self.query_one(DatasetRows)
        row = rows.highlighted
        total = self._dataset.rows if self._dataset else 0
        side = self.query_one("#side")
        if row is None and rows.count:
            return
        side.border_title = f"row {row.index + 1:,} of {total:,} · {row.split}" if row else ""
        self.query_one(ConversationPreview).show(row, self._search if rows.filtered else "")

    def action_scroll(self, direction: int) -> None:
        preview = self.query_one(ConversationPreview)
        preview.scroll_relative(y=direction * max(1, preview.size.height // 2), animate=False)

    def action_go_to(self) -> None:
        """Ask for a row's number and go there."""
        total = self._dataset.rows if self._dataset else 0
        self.app.push_screen(TextDialog("Go to row", hint=f"1 to {total:,}"), self._go_to)

    def _go_to(self, text: str | None) -> None:
        number = (text or "").replace(",", "").strip()
        if not number:
            return
        if not number.isdecimal() or not self._dataset:
            self.notify(f"{clean_line(number)} is not a row's number.", severity="warning", markup=False)
            return
        self._show_all()
        self.query_one(DatasetRows).move_to(min(int(number), self._dataset.rows) - 1)

    # The search

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("search", "go_to"):
            return self._dataset is not None
        return super().check_action(action, parameters)

    def action_search(self) -> None:
        self.add_class("-searching")
        self.query_one("#search", Input).focus()

    @on(Input.Submitted, "#search")
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.value
        if not text.strip():
            self._show_all()
            return
        self._search = text
        search = partial(self.services.library.search, self.dataset_id, text, MOST_HITS)
        self.in_thread(search, self._show_hits, group="search", title="The rows cannot be searched")

    def _show_hits(self, hits: "list[Row]") -> None:
        words = f"first {MOST_HITS:,} rows" if len(hits) >= MOST_HITS else f"{len(hits):,} rows"
        self.query_one("#hits", Static).update("no row has it" if not hits else "1 row" if len(hits) == 1 else words)
        if hits:
            rows = self.query_one(DatasetRows)
            rows.show_hits(hits)
            rows.focus()

    def _show_all(self) -> None:
        rows = self.query_one(DatasetRows)
        row = rows.highlighted
        self._search = ""
        self.query_one("#search", Input).value = ""
        self.query_one("#hits", Static).update("")
        self.remove_class("-searching")
        if rows.filtered and self._dataset:
            rows.show_all(self._dataset.rows)
            rows.move_to(row.index if row else 0)
        rows.focus()

    def action_back(self) -> None:
        """End the search, then leave."""
        if self.has_class("-searching"):
            self._show_all()
        else:
            super().action_back()


def headline(dataset: "Dataset", card: dict[str, Any]) -> Content:
    """Name, rows, where it comes from; then the size of its conversations; then what was left out."""
    rows = f"{dataset.rows:,} {'row' if dataset.rows == 1 else 'rows'}: {split_words(dataset)}"
    chars, turns = card.get("chars") or {}, card.get("turns") or {}
    facts = [
        f"{clean_line(dataset.source)}, imported {fmt_when(dataset.created)}",
        dataset.shape,
        f"{turns.get('mean', 0):.3g} turns and {chars.get('mean', 0):,.0f} characters a row",
        dataset.id,
    ]
    lines = [
        Content.assemble((clean_line(dataset.name), "bold"), f" v{dataset.version}", (f"   {rows}", "")),
        Content(" · ".join(facts)).stylize("$text-muted"),
    ]
    if card.get("system"):
        system = f"system prompt for rows without one: {clean_line(str(card['system']))}"
        lines.append(Content(system).stylize("$text-muted"))
    lines += [Content.assemble(("⚠ ", "$text-warning"), clean_line(warning)) for warning in dataset.warnings]
    return Content("\n").join(lines)


def _read_dataset(services: "Services", dataset_id: str) -> "tuple[Dataset, dict[str, Any]]":
    dataset = services.library.resolve(dataset_id)
    return dataset, services.library.card(dataset.id)
