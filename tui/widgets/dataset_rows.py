"""The rows of a dataset as a list, a page at a time: a million rows cost what is on the screen."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message

from tui.widgets.conversation_preview import first_words
from tui.widgets.row_list import Cells, RowList, fitted

if TYPE_CHECKING:
    from engine.datasets.rows import Row

PAGE_ROWS = 100
PAGES_KEPT = 30
SPLIT_WORDS = {"train": "train", "validation": "val", "test": "test"}


class DatasetRows(RowList):
    """Number, split and first words of each row. Asks its screen for pages with `PageWanted`.

    In front of the number: `✱` marked, `✗` to be dropped, `✎` changed.
    """

    DEFAULT_CSS = """
    DatasetRows {
        .row-list--struck { color: $text-muted; text-style: strike; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--struck"}

    class PageWanted(Message):
        """The rows from `offset` on are to be shown; `give` takes them."""

        def __init__(self, offset: int, limit: int) -> None:
            super().__init__()
            self.offset = offset
            self.limit = limit

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pages: OrderedDict[int, Sequence[Row]] = OrderedDict()
        self._asked: set[int] = set()
        self._hits: list[Row] | None = None
        self._total = 0
        self.marked: Collection[int] = ()
        self.dropped: Collection[int] = ()
        self.changed: Collection[int] = ()

    def show_all(self, total: int, cursor: int = 0) -> None:
        """All rows of a dataset that has `total`, the cursor on the row `cursor`."""
        self._total = total
        self._hits = None
        self.cursor = cursor
        self.set_count(total)

    def show_hits(self, rows: "Sequence[Row]") -> None:
        """These rows alone."""
        self._hits = list(rows)
        self.cursor = 0
        self.set_count(len(self._hits))

    def add_hits(self, rows: "Sequence[Row]") -> None:
        """More rows of a search that goes on; the cursor stays."""
        if self._hits is not None and rows:
            self._hits += rows
            self.set_count(len(self._hits))

    @property
    def filtered(self) -> bool:
        return self._hits is not None

    def give(self, offset: int, rows: "Sequence[Row]") -> None:
        """Take a page that was asked for."""
        page = offset // PAGE_ROWS
        self._asked.discard(page)
        self._pages[page] = rows
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        self.refresh()
        if self._hits is None and self.cursor // PAGE_ROWS == page:
            self.post_message(self.Highlighted(self))

    @property
    def highlighted(self) -> "Row | None":
        """The row under the cursor, once it has been read."""
        return self.row(self.cursor) if self.count else None

    def row(self, place: int) -> "Row | None":
        """The row at a place of the list; `None` while it is being read."""
        if self._hits is not None:
            return self._hits[place] if place < len(self._hits) else None
        page = place // PAGE_ROWS
        if page not in self._pages:
            if page not in self._asked:
                self._asked.add(page)
                self.post_message(self.PageWanted(page * PAGE_ROWS, PAGE_ROWS))
            return None
        self._pages.move_to_end(page)
        within = place - page * PAGE_ROWS
        return self._pages[page][within] if within < len(self._pages[page]) else None

    def unread_near(self, place: int) -> list[int]:
        """Offsets of the pages that have to be read before the rows around `place` can be shown."""
        rows = self.size.height
        first, last = max(0, place - rows), min(self._total - 1, place + rows)
        return [
            page * PAGE_ROWS for page in range(first // PAGE_ROWS, last // PAGE_ROWS + 1) if page not in self._pages
        ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "open"  # what a row holds is beside it already

    def cells(self, row: int, width: int) -> Cells:
        found = self.row(row)
        digits = len(f"{max(self._total, 1):,}")
        if found is None:
            return [(f"  {row + 1:>{digits},}", "dim"), ("  …", "dim")]
        index = found.index
        split = SPLIT_WORDS.get(found.split, found.split)
        dropped = index in self.dropped
        room = max(0, width - digits - 10)
        return [
            ("✱" if index in self.marked else " ", "mark"),
            ("✗", "act") if dropped else ("✎", "look") if index in self.changed else (" ", ""),
            (f"{index + 1:>{digits},} ", "dim"),
            (fitted(split, 5) + " ", "dim" if found.split == "train" else "live"),
            (fitted(first_words(found), room), "struck" if dropped else ""),
        ]
