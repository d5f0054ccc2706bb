"""Figures beside each other: measures (or categories) down, models across, the one they are compared with first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len

from engine.evaluation.measures import MEASURES
from engine.evaluation.verdicts import best_of, digits, p_words, verdict
from tui.format import NONE
from tui.text import clean_line
from tui.widgets.row_list import Cells, RowList, fitted
from tui.widgets.suite_table import shown_models

if TYPE_CHECKING:
    from engine.evaluation.results import Results
    from store.evaluation_records import Measured

VALUE, INTERVAL, DIFFERENCE, P, VERDICT, TARGET = range(6)
NAME = 14
"""Cells of the first model's name that are not given up."""
SHORT = 15
"""Cells of a measure's name where there is little room."""
VERDICT_TONES = {"better": "good", "worse": "look"}
TARGET_WORDS = {True: ("✓ met", "good"), False: ("✗ missed", "act")}
_LEVELS = (
    (frozenset[int](), frozenset[int]()),
    (frozenset({INTERVAL}), frozenset[int]()),
    (frozenset({INTERVAL}), frozenset({INTERVAL})),
    (frozenset({INTERVAL}), frozenset({INTERVAL, P})),
)
"""What is left out of the first model's column and of the others', until there is room."""


@dataclass(frozen=True)
class FigureLine:
    """One line: a measure or a category, and each model's figure."""

    id: str
    label: str
    metric: str
    figures: "Sequence[Measured | None]"
    met: Mapping[int, bool] = field(default_factory=dict)
    """By model, whether its target is met."""


class FigureTable(RowList):
    """The first model stays; `shift` goes through the others where there is no room for all."""

    HEADER_ROWS: ClassVar[int] = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: Sequence[FigureLine] = ()
        self.labels: Sequence[str] = ()
        self.title = ""
        self.start = 0
        self._parts: list[list[list[tuple[str, str]]]] = []
        """By line and model: each part's text and tone."""

    @property
    def highlighted(self) -> FigureLine | None:
        return self.lines[self.cursor] if self.cursor < len(self.lines) else None

    def show(self, lines: Sequence[FigureLine], labels: Sequence[str], title: str) -> None:
        """Show these; the cursor stays on its line where that is among them."""
        before = self.highlighted
        self.lines, self.labels, self.title = lines, labels, title
        self._parts = [_parts(line) for line in lines]
        places = [line.id for line in lines]
        if before is not None:
            self.cursor = places.index(before.id) if before.id in places else 0
        self.set_count(len(lines))

    def shift(self, models: int) -> None:
        """Show other models beside the first."""
        room = len(self.shown(self.size.width))
        self.start = max(0, min(self.start + models, len(self.labels) - room))
        self.refresh()

    def shown(self, width: int) -> list[int]:
        """The models that are shown in so many cells."""
        return [place for place, _ in self._plan(width)[1]]

    def header_cells(self, width: int) -> Cells:
        name, columns = self._plan(width)
        cells = [(f" {fitted(self.title, name)}", "")]
        for place, widths in columns:
            room = sum(widths) + sum(1 for one in widths if one) - 1
            cells.append((f"  {fitted(clean_line(self.labels[place]), room)}", ""))
        return cells

    def cells(self, row: int, width: int) -> Cells:
        name, columns = self._plan(width)
        cells = [(f" {fitted(clean_line(self.lines[row].label), name)}", "")]
        for place, widths in columns:
            gap = "  "
            for part, room in enumerate(widths):
                if room:
                    text, tone = self._parts[row][place][part]
                    right = part in (VALUE, DIFFERENCE)
                    cells += [(gap, ""), (fitted(text, room, right=right), tone)]
                    gap = " "
        return cells

    def _plan(self, width: int) -> tuple[int, list[tuple[int, list[int]]]]:
        """Cells of the name, and of each shown model's parts; 0 for what is left out."""
        whole = max([cell_len(clean_line(line.label)) for line in self.lines] + [cell_len(self.title), 8])
        widths = self._widths()
        found: list[list[int]] = []
        name = min(whole, SHORT)
        for first, others in _LEVELS:
            found = [
                [0 if part in (others if place else first) else room for part, room in enumerate(one)]
                for place, one in enumerate(widths)
            ]
            needed = sum(_room(one) for one in found) + 2  # the scrollbar may take one
            for name in (whole, min(whole, SHORT)):
                if name + needed <= width:
                    return min(whole, width - needed), list(enumerate(found))
        room = width - name - 1 - (_room(found[0]) if found else 0)
        widest = max((_room(one) for one in found[1:]), default=1)
        places = shown_models(len(found), 1 + max(1, room // widest), self.start)
        return name, [(place, found[place]) for place in places]

    def _widths(self) -> list[list[int]]:
        found = []
        for place, label in enumerate(self.labels):
            own = [
                max((cell_len(parts[place][part][0]) for parts in self._parts), default=0) for part in range(TARGET + 1)
            ]
            own[VALUE] = max(own[VALUE], min(NAME, cell_len(clean_line(label))) if not place else 0)
            found.append(own)
        return found


def measure_lines(results: "Results") -> list[FigureLine]:
    """A line a measure, with its unit."""
    models = range(len(results.labels))
    met = {
        (place, one.target.name.removeprefix("eval.")): one.met
        for place, found in results.targets.items()
        for one in found
        if one.met is not None
    }
    lines = []
    for metric in results.metrics:
        unit = MEASURES[metric].unit if metric in MEASURES else ""
        label = f"{results.label(metric)}, {unit}" if unit else results.label(metric)
        figures = [results.figures.get((place, metric)) for place in models]
        own = {place: met[place, metric] for place in models if (place, metric) in met}
        lines.append(FigureLine(metric, label, metric, figures, own))
    return lines


def interval_words(metric: str, low: float | None, high: float | None) -> str:
    """`[0.38, 0.45]`; empty where it is not known."""
    return "" if low is None or high is None else f"[{digits(metric, low)}, {digits(metric, high)}]"


def signed(metric: str, difference: float) -> str:
    """`+0.031`."""
    shown = digits(metric, difference)
    return shown.removeprefix("-") if not shown.strip("-0.,") else f"{'+' if difference > 0 else ''}{shown}"


def _parts(line: FigureLine) -> list[list[tuple[str, str]]]:
    best = best_of(line.metric, line.figures)
    found = []
    for place, one in enumerate(line.figures):
        if one is None:
            found.append([(NONE, "dim")] + [("", "")] * TARGET)
            continue
        said = verdict(line.metric, one)
        tone = VERDICT_TONES.get(said, "")
        value = digits(line.metric, one.value)
        difference = signed(line.metric, one.difference) if one.difference is not None else ""
        found.append(
            [
                (f"★ {value}" if place in best else value, ""),
                (interval_words(line.metric, one.low, one.high), "dim"),
                (difference, tone),
                (p_words(one.p_value) if one.p_value is not None and difference else "", "dim"),
                (said, tone),
                TARGET_WORDS[line.met[place]] if place in line.met else ("", ""),
            ]
        )
    return found


def _room(widths: Sequence[int]) -> int:
    return sum(one + 1 for one in widths if one) + 1
