"""The list of dataset versions: columns that give way, marks that keep their order."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tui.format import NONE, fmt_count, fmt_when
from tui.text import clean_line
from tui.widgets.dataset_words import GRADE_TONES
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.row_list import Cells

if TYPE_CHECKING:
    from store.records import Dataset

MARK = "✱"


class DatasetTable(ItemTable):
    """Dataset versions, one a line. Space marks one and goes on to the next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark", id="datasets.mark", tooltip="Mark this version: two to compare, some to mix"),
    ]

    class MarksChanged(Message):
        """A version was marked or unmarked."""

    def __init__(self, *, id: str | None = None) -> None:
        self.made: Mapping[str, str] = {}
        """How each version was made, by its id."""
        self.marked: dict[str, Dataset] = {}
        """Marked versions by id, in the order in which they were marked."""
        columns = (
            Column("name", 14, lambda one: (clean_line(one.name), ""), share=2),
            Column("", 1, lambda one: ("⚠", "look") if one.warnings else ("", "")),
            Column("grade", 5, _grade),
            Column("ver", 4, lambda one: (f"v{one.version}", "dim")),
            Column("rows", 9, lambda one: (f"{one.rows:,}", ""), right=True),
            Column("train / val / test", 18, _splits, right=True),
            Column("tokens", 7, lambda one: (fmt_count(one.tokens), "" if one.tokens else "dim"), right=True, needs=90),
            Column("shape", 15, lambda one: (one.shape, "dim"), needs=120),
            Column("made by", 16, lambda one: (self.made.get(one.id, ""), "dim"), share=3, needs=104),
            Column("when", 10, lambda one: (fmt_when(one.created), "dim")),
            Column("id", 11, lambda one: (one.id, "dim"), needs=150),
        )
        super().__init__(columns, id=id)

    @property
    def highlighted(self) -> "Dataset | None":
        """The version under the cursor."""
        return super().highlighted

    def action_mark(self) -> None:
        """Mark or unmark the version under the cursor, and go on to the next."""
        dataset = self.highlighted
        if dataset is None:
            return
        if self.marked.pop(dataset.id, None) is None:
            self.marked[dataset.id] = dataset
        self.post_message(self.MarksChanged())
        self.action_move(1)

    def clear_marks(self) -> None:
        """Unmark every version."""
        self.marked.clear()
        self.post_message(self.MarksChanged())
        self.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.count > 0 if action == "mark" else super().check_action(action, parameters)

    def header_cells(self, width: int) -> Cells:
        return [(" ", ""), *super().header_cells(width - 1)]

    def cells(self, row: int, width: int) -> Cells:
        mark = (MARK, "mark") if self.items[row].id in self.marked else (" ", "")
        return [mark, *super().cells(row, width - 1)]


def _grade(dataset: "Dataset") -> tuple[str, str]:
    return (dataset.grade, GRADE_TONES.get(dataset.grade, "")) if dataset.grade else (NONE, "dim")


def _splits(dataset: "Dataset") -> tuple[str, str]:
    counts = [dataset.splits.get(split, 0) for split in ("train", "validation", "test")]
    return " / ".join(f"{count:,}" if count else "–" for count in counts), ""
