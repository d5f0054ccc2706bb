"""Rows found by their words while one types: hits come in as they are found, the next key ends the search."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.widget import Widget

from engine.errors import FinetuiError
from tui.screens.dataset_pane import DatasetPane
from tui.widgets.dataset_rows import PAGE_ROWS, DatasetRows
from tui.widgets.filter_line import FilterLine

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from engine.datasets.rows import Row

MOST_HITS = 1_000
EVERY_S = 0.1


class RowSearch:
    """One search, run in a thread. Posts `Found` to its widget until it is done or `stop` was called."""

    class Found(Message):
        """More hits, or more rows searched."""

        def __init__(self, search: "RowSearch", hits: "list[Row]", share: float, *, done: bool, problem: str) -> None:
            super().__init__()
            self.search = search
            self.hits = hits
            self.share = share
            self.done = done
            self.problem = problem

    def __init__(self, library: "DatasetLibrary", dataset_id: str, text: str, listener: Widget) -> None:
        self.text = text
        self.count = 0
        self.stopped = False
        self.shown = False
        """Whether its hits are in the list."""
        self._library = library
        self._dataset_id = dataset_id
        self._listener = listener

    def stop(self) -> None:
        """Find nothing more."""
        self.stopped = True

    def run(self) -> None:
        """In a thread."""
        hits: list[Row] = []
        share, told, problem = 0.0, 0.0, ""
        try:
            for step in self._library.search(self._dataset_id, self.text):
                if self.stopped:
                    return
                new = step.hits[: MOST_HITS - self.count]
                hits += new
                self.count += len(new)
                share = step.searched / max(1, step.total)
                if self.count >= MOST_HITS:
                    break
                if time.monotonic() - told >= EVERY_S:
                    told = time.monotonic()
                    self._tell(hits, share)
                    hits = []
        except FinetuiError as error:
            problem = error.what
        if not self.stopped:
            self._tell(hits, share, done=True, problem=problem)

    def _tell(self, hits: "list[Row]", share: float, *, done: bool = False, problem: str = "") -> None:
        self._listener.post_message(self.Found(self, hits, share, done=done, problem=problem))


def search_words(count: int, share: float, *, done: bool) -> str:
    """What a search has come to: `12 rows`, `3 rows · searched 40 %`."""
    if count >= MOST_HITS:
        return f"the first {MOST_HITS:,} rows"
    rows = "no row has it" if not count and done else f"{count:,} {'row' if count == 1 else 'rows'}"
    return rows if done else f"{rows} · searched {int(share * 100)} %"


class RowSearching(DatasetPane):
    """The part of the rows' tab that finds them: the line of words, and its hits in the list."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._search: RowSearch | None = None

    @property
    def searched(self) -> str:
        """The words that the rows in the list were found by; empty where all are listed."""
        return self._search.text if self._search and self.list.filtered else ""

    @property
    def list(self) -> DatasetRows:
        return self.query_one(DatasetRows)

    def go_to(self, index: int, then: Callable[[], None] = lambda: None) -> None:
        """Put the cursor on a row of the whole dataset; call `then` when it is there."""
        if self.list.filtered or self.has_class("-searching"):
            self.end_search(index)
            then()
            return
        unread = self.list.unread_near(index)
        if not unread:
            self.list.move_to(index)
            then()
            return
        # Read first, move then: the screen is drawn once, and rows are never seen to be missing.
        library, dataset_id = self.services.library, self.dataset.id

        def read() -> "list[tuple[int, list[Row]]]":
            return [(offset, library.rows(dataset_id, offset=offset, limit=PAGE_ROWS)) for offset in unread]

        def go(pages: "list[tuple[int, list[Row]]]") -> None:
            for offset, rows in pages:
                self.list.give(offset, rows)
            if not self.list.filtered:
                self.list.move_to(index)
            then()

        self.in_thread(read, go, group="go-to", title="The rows cannot be read")

    def do_search(self) -> None:
        self.add_class("-searching")
        self.query_one(FilterLine).start()

    @on(FilterLine.Changed)
    def _typed(self, event: FilterLine.Changed) -> None:
        if self._search:
            self._search.stop()
            self._search = None
        line = self.query_one(FilterLine)
        if not event.query:
            line.show_count("")
            self._show_all()
            return
        line.show_problem("")
        line.show_count("searching …")
        self._search = RowSearch(self.services.library, self.dataset.id, event.query, self)
        self.page.in_thread(self._search.run, group="search", exclusive=False)

    @on(RowSearch.Found)
    def _found(self, event: RowSearch.Found) -> None:
        if event.search is not self._search:
            return
        line = self.query_one(FilterLine)
        line.show_problem(event.problem)
        line.show_count(search_words(event.search.count, event.share, done=event.done))
        if not event.search.shown:
            if event.hits or event.done:
                event.search.shown = True
                self.list.show_hits(event.hits)
        else:
            self.list.add_hits(event.hits)

    @on(FilterLine.Submitted)
    def _entered(self) -> None:
        if self.query_one(FilterLine).value.strip():
            self.list.focus()
        else:
            self.end_search()

    def end_search(self, index: int | None = None) -> None:
        """Show all rows again, the cursor on the row it is on, or on `index`."""
        if self._search:
            self._search.stop()
            self._search = None
        line = self.query_one(FilterLine)
        with line.prevent(FilterLine.Changed):
            line.clear()
        line.show_count("")
        line.show_problem("")
        self.remove_class("-searching")
        self._show_all(index)
        self.list.focus()

    def _show_all(self, index: int | None = None) -> None:
        row = self.list.highlighted
        at = index if index is not None else row.index if row else 0
        self.list.show_all(self.dataset.rows, at)
