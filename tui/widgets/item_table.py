"""A table of records: columns that give way on narrow screens, a cursor that stays on its record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tui.widgets.row_list import Cells, RowList, fitted

GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column of an `ItemTable`. `cell` gives a record's text and tone."""

    title: str
    width: int
    """In cells; the least where `share` is set."""
    cell: Callable[[Any], tuple[str, str]]
    share: int = 0
    """How much of the room that is left over it takes, beside the others."""
    right: bool = False
    needs: int = 0
    """The width of the table from which it is shown."""


class ItemTable(RowList):
    """Records with an `id`, one a line."""

    HEADER_ROWS: ClassVar[int] = 1

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.items: list[Any] = []

    @property
    def highlighted(self) -> Any | None:
        """The record under the cursor."""
        return self.items[self.cursor] if 0 <= self.cursor < len(self.items) else None

    def set_items(self, items: Sequence[Any], select: str | None = None) -> None:
        """Show these records in this order, with the cursor on `select`, else where it was."""
        before = self.highlighted
        wanted = select or (before.id if before is not None else None)
        self.items = list(items)
        places = {item.id: place for place, item in enumerate(self.items)}
        if wanted in places:
            self.cursor = places[wanted]
        self.set_count(len(self.items))

    def header_cells(self, width: int) -> Cells:
        return [(" " + GAP.join(fitted(one.title, room, right=one.right) for one, room in self._fit(width)), "")]

    def cells(self, row: int, width: int) -> Cells:
        found: list[tuple[str, str]] = [(" ", "")]
        for column, room in self._fit(width):
            text, tone = column.cell(self.items[row])
            found += [(fitted(text, room, right=column.right), tone), (GAP, "")]
        return found

    def _fit(self, width: int) -> list[tuple[Column, int]]:
        shown = [column for column in self.columns if width >= column.needs]
        shares = sum(column.share for column in shown)
        spare = max(0, width - 2 - sum(column.width + len(GAP) for column in shown))
        return [(one, one.width + (spare * one.share // shares if one.share else 0)) for one in shown]
