"""The rows in which two dataset versions differ, as a list, a page at a time."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message

from tui.widgets.conversation_preview import first_words
from tui.widgets.row_list import Cells, RowList, fitted

if TYPE_CHECKING:
    from engine.datasets.rows import Row

PAGE_ROWS = 100
PAGES_KEPT = 30
SPLIT_WORDS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Difference:
    """One row that is not the same: its index in the first version, in the second, or in both."""

    before: int | None
    after: int | None
    moved: bool = False
    """Whether only its split is another."""

    @property
    def mark(self) -> str:
        """`+` came, `-` went, `~` changed, `>` is in another split."""
        if self.before is None:
            return "+"
        if self.after is None:
            return "-"
        return ">" if self.moved else "~"


Pair = tuple["Row | None", "Row | None"]
"""The row as it was and as it is."""

TONES = {"+": "good", "-": "act", "~": "look", ">": "live"}


class DiffRows(RowList):
    """Mark, number, split and first words of each. Asks its screen for pages with `PageWanted`."""

    HEADER_ROWS: ClassVar[int] = 0

    class PageWanted(Message):
        """These differences are to be shown; `give` takes their rows."""

        def __init__(self, page: int, wanted: "Sequence[Difference]") -> None:
            super().__init__()
            self.page = page
            self.wanted = wanted

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.differences: Sequence[Difference] = ()
        self._pages: OrderedDict[int, Sequence[Pair]] = OrderedDict()
        self._asked: set[int] = set()

    def show(self, differences: Sequence[Difference]) -> None:
        """Show these, from the first."""
        self.differences = differences
        self._pages.clear()
        self._asked.clear()
        self.cursor = 0
        self.set_count(len(differences))
        self.scroll_to(y=0, animate=False, immediate=True)

    def give(self, wanted: Sequence[Difference], page: int, pairs: "Sequence[Pair]") -> None:
        """Take the rows of a page that was asked for, unless others are shown by now."""
        if list(self.differences[page * PAGE_ROWS : page * PAGE_ROWS + len(wanted)]) != list(wanted):
            return
        self._asked.discard(page)
        self._pages[page] = pairs
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        self.refresh()
        if self.cursor // PAGE_ROWS == page:
            self.post_message(self.Highlighted(self))

    @property
    def highlighted(self) -> Difference | None:
        """The difference under the cursor."""
        return self.differences[self.cursor] if 0 <= self.cursor < self.count else None

    def pair(self, place: int) -> "Pair | None":
        """The rows at a place of the list; `None` while they are being read."""
        page = place // PAGE_ROWS
        if page not in self._pages:
            if page not in self._asked:
                self._asked.add(page)
                self.post_message(self.PageWanted(page, self.differences[page * PAGE_ROWS : (page + 1) * PAGE_ROWS]))
            return None
        self._pages.move_to_end(page)
        return self._pages[page][place - page * PAGE_ROWS]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "open"  # what a row holds is beside it already

    def cells(self, row: int, width: int) -> Cells:
        difference = self.differences[row]
        pair = self.pair(row)
        number = (difference.after if difference.after is not None else difference.before or 0) + 1
        digits = 7
        mark = difference.mark
        start = [(f" {mark} ", TONES[mark]), (f"{number:>{digits},} ", "dim")]
        if pair is None:
            return [*start, (" …", "dim")]
        shown = pair[1] or pair[0]
        assert shown is not None
        split = SPLIT_WORDS.get(shown.split, shown.split)
        if difference.moved and pair[0] is not None:
            split = f"{SPLIT_WORDS.get(pair[0].split, pair[0].split)}→{split}"
        room = 11 if difference.moved else 5
        return [
            *start,
            (fitted(split, room) + " ", "dim" if shown.split == "train" and not difference.moved else "live"),
            (fitted(first_words(shown), max(0, width - digits - 5 - room)), TONES[mark] if mark in "+-" else ""),
        ]
