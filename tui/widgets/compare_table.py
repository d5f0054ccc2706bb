"""The runs of a comparison, one a line: what each came to, the best marked, and how far it is from the baseline."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from tui.format import NONE
from tui.text import clean_line
from tui.widgets.compare_columns import Column, columns, figure_words, values_of
from tui.widgets.lanes import COLORS, Compared, Eyes, Lane
from tui.widgets.row_list import Cells, RowList, fitted

GAP = 2
NAME_WIDTH, WIDEST_NAME = 18, 44

Crossed = Mapping[str, tuple[str, Mapping[str, float]]]
"""What is under the crosshair, by metric: the column's title, and each run's value by id."""


class CompareTable(RowList, inherit_bindings=False):
    """One run a line, as many as there are. Columns of their own show the values under the charts' crosshair."""

    DEFAULT_CSS = """
    CompareTable {
        height: auto;
        .row-list--best { color: $text-success; text-style: bold; }
        .row-list--1 { color: $series-1; text-style: bold; }
        .row-list--2 { color: $series-2; text-style: bold; }
        .row-list--3 { color: $series-3; text-style: bold; }
        .row-list--4 { color: $series-4; text-style: bold; }
        .row-list--5 { color: $series-5; text-style: bold; }
        .row-list--6 { color: $series-6; text-style: bold; }
        .row-list--7 { color: $series-7; text-style: bold; }
        .row-list--8 { color: $series-8; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"row-list--{name}" for name in ("best", *(str(slot) for slot in range(1, COLORS + 1)))
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="compare.down", show=False),
        Binding("up,k", "move(-1)", "up", id="compare.up", show=False),
        Binding("ctrl+d", "page(1)", "page down", id="compare.page_down", show=False),
        Binding("ctrl+u", "page(-1)", "page up", id="compare.page_up", show=False),
        Binding("home", "first", "first", id="compare.first", show=False),
        Binding("end", "last", "last", id="compare.last", show=False),
        Binding("enter", "open", "open", id="compare.open", tooltip="Open the run"),
        Binding(
            "space", "mark", "mark", id="compare.mark", show=False, tooltip="Mark the run: its curve is not dimmed"
        ),
    ]
    HEADER_ROWS = 1

    class MarksChanged(Message):
        """A run was marked or unmarked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.compared: Compared | None = None
        self.baseline = ""
        self.marked: dict[str, None] = {}
        self.chosen: list[str] | None = None
        """Keys of the columns that somebody chose."""
        self.sort = ""
        """What the rows are ordered by; empty is the order in which the runs were added."""
        self.descending = False
        self._order: list[int] = []
        self._columns: list[Column] = []
        self._crossed: list[Column] = []

    @property
    def highlighted(self) -> Lane | None:
        """The run under the cursor."""
        if self.compared is None or not 0 <= self.cursor < len(self._order):
            return None
        return self.compared.lanes[self._order[self.cursor]]

    @property
    def eyes(self) -> Eyes:
        """Which runs are looked at."""
        lane = self.highlighted
        return Eyes(self.baseline, lane.run.id if lane else "", frozenset(self.marked))

    def show(self, compared: Compared, baseline: str) -> None:
        """Show these runs; the cursor stays on its run."""
        before = self.highlighted
        rows = len(self._order)
        self.compared, self.baseline = compared, baseline
        self.marked = {run_id: None for run_id in self.marked if run_id in compared.places}
        self._columns = columns(compared, self.chosen)
        self._order = ordered(compared, self.sort, descending=self.descending)
        if before is not None and before.run.id in compared.places:
            self.cursor = self._order.index(compared.places[before.run.id])
        self.set_count(len(self._order))
        self.refresh(layout=rows != len(self._order))

    def forget(self) -> None:
        """Other runs are shown next: none of them is marked, and the cursor begins at the first."""
        self.compared = None
        self.marked.clear()
        self.cursor = 0

    def show_again(self) -> None:
        """Order rows and choose columns anew, after `sort` or `chosen` changed."""
        if self.compared is not None:
            self.show(self.compared, self.baseline)

    def go_to(self, run_id: str) -> None:
        """Put the cursor on a run."""
        if self.compared is not None and (place := self.compared.places.get(run_id)) is not None:
            self.move_to(self._order.index(place))

    def show_crossed(self, crossed: Crossed) -> None:
        """Show the values under the crosshair; the first metric stays where there is no room for all."""
        self._crossed = [
            _crossed_column(name, title, self.compared, values, 0 if not number else 50 + number)
            for number, (name, (title, values)) in enumerate(crossed.items())
            if self.compared is not None
        ]
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.count + 1

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor and go down a row."""
        if (lane := self.highlighted) is None:
            return
        if lane.run.id in self.marked:
            del self.marked[lane.run.id]
        else:
            self.marked[lane.run.id] = None
        self.post_message(self.MarksChanged())
        self.action_move(1)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.screen.maximized is not None:  # a chart has the whole screen, and the keys
            return False
        return self.count > 0 if action in ("open", "mark") else True

    # Drawing

    def header_cells(self, width: int) -> Cells:
        letters, names, shown = self._fit(width)
        cells = [(fitted(" " * (letters + 5) + "run", names + letters + 5), "")]
        for column in shown:
            arrow = ("↓" if self.descending else "↑") if column.key == self.sort else ""
            width = max(column.width, min(len(arrow + column.title), column.width + 1))  # the arrow may take of the gap
            gap = " " * (GAP + column.width - width)
            cells.append((gap + fitted(arrow + column.title, width, right=column.right), ""))
        return cells

    def cells(self, row: int, width: int) -> Cells:
        assert self.compared is not None
        place = self._order[row]
        lane = self.compared.lanes[place]
        letters, names, shown = self._fit(width)
        baseline = self.compared.places.get(self.baseline)
        cells = [
            ("✱ " if lane.run.id in self.marked else "  ", "mark"),
            (f"{lane.letter:>{letters}} ━ ", lane.style),
            (fitted(clean_line(lane.run.name), names), ""),
        ]
        for column in shown:
            text, tone = column.cell(place, baseline)
            cells += [(" " * GAP, ""), (fitted(text, column.width, right=column.right), tone)]
        return cells

    def _fit(self, width: int) -> tuple[int, int, list[Column]]:
        """The widths of letters and names, and the columns that there is room for."""
        lanes = self.compared.lanes if self.compared else []
        letters = max((len(lane.letter) for lane in lanes), default=1)
        longest = max((len(clean_line(lane.run.name)) for lane in lanes), default=0)
        least = min(NAME_WIDTH, max(4, longest))
        shown = [*self._columns[:1], *self._crossed, *self._columns[1:]]

        def room() -> int:
            return width - letters - 5 - sum(column.width + GAP for column in shown)

        while room() < least and any(column.keep for column in shown):
            shown.remove(max(shown, key=lambda column: column.keep))
        return letters, max(6, min(room(), longest, WIDEST_NAME)), shown


def ordered(compared: Compared, sort: str, *, descending: bool) -> list[int]:
    """Places of the runs by what they are ordered by; those without a value come last."""
    places = list(range(len(compared.lanes)))
    if not sort:
        return places[::-1] if descending else places
    values = values_of(compared, sort)
    known = [place for place in places if not _missing(values[place])]
    known.sort(key=lambda place: _sortable(values[place]), reverse=descending)
    return known + [place for place in places if _missing(values[place])]


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sortable(value: Any) -> tuple[int, float, str]:
    """Numbers before words."""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, str(value).casefold()


def _crossed_column(name: str, title: str, compared: Compared, values: Mapping[str, float], keep: int) -> Column:
    texts: Sequence[str] = [
        figure_words(name, values[lane.run.id]) if lane.run.id in values else NONE for lane in compared.lanes
    ]
    width = max(9, len(title), *(len(text) for text in texts))
    return Column(
        f"@{name}", title, width, keep, lambda place, _: (texts[place], "" if texts[place] != NONE else "dim")
    )
