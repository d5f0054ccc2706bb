"""The runs of a comparison, one a line: what each came to, the best marked, and how far it is from the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from engine.runs.compare import lower_is_better
from tui.format import NONE, fmt_bytes, fmt_delta, fmt_duration, fmt_number, fmt_rate
from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.ink import ink
from tui.widgets.lanes import ACCURACY, EVAL_LOSS, LETTERS, RATE, TRAIN_LOSS, Compared, Lane, delta_of
from tui.widgets.run_words import peak_of, state_of, took_s

GAP = 2
NAME_WIDTH, WIDEST_NAME = 18, 44
BASELINE = "baseline"

Cell = tuple[str, str]
"""A text and its tone: `best`, `live`, `good`, `look`, `act`, `dim`, or empty."""


@dataclass(frozen=True)
class Column:
    """A column beside the name; the highest `keep` goes first where there is no room. `metric` may be empty."""

    title: str
    width: int
    keep: int
    metrics: tuple[str, ...] = ()
    delta: bool = False


STATE, PEAK, TOOK = Column("state", 12, 4), Column("peak", 8, 7), Column("took", 9, 8)
COLUMNS = (
    STATE,
    Column("eval loss", 9, 0, (EVAL_LOSS,)),
    Column("Δ eval", 8, 0, (EVAL_LOSS,), delta=True),
    Column("train loss", 10, 1, (TRAIN_LOSS,)),
    Column("Δ train", 8, 5, (TRAIN_LOSS,), delta=True),
    Column("accuracy", 8, 3, ACCURACY),
    Column("Δ acc", 7, 6, ACCURACY, delta=True),
    Column("tok/s", 8, 2, (RATE,)),
    PEAK,
    TOOK,
)


class CompareTable(Widget, can_focus=True):
    """As high as it has runs. A column of its own shows the values under the chart's crosshair, where there is one."""

    DEFAULT_CSS = """
    CompareTable {
        height: auto;
        .compare-table--header { color: $text-muted; }
        .compare-table--cursor {
            background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
        }
        .compare-table--live { color: $text-primary; }
        .compare-table--best { color: $text-success; text-style: bold; }
        .compare-table--good { color: $text-success; }
        .compare-table--look { color: $text-warning; }
        .compare-table--act { color: $text-error; }
        .compare-table--dim { color: $text-muted; }
        .compare-table--1 { color: $series-1; }
        .compare-table--2 { color: $series-2; }
        .compare-table--3 { color: $series-3; }
        .compare-table--4 { color: $series-4; }
        .compare-table--5 { color: $series-5; }
        .compare-table--6 { color: $series-6; }
        .compare-table--7 { color: $series-7; }
        .compare-table--8 { color: $series-8; }
        &:focus .compare-table--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"compare-table--{name}"
        for name in (
            *("header", "cursor", "best", "live", "good", "look", "act", "dim"),
            *(str(slot) for slot in range(1, len(LETTERS) + 1)),
        )
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", id="compare.down", show=False),
        Binding("up,k", "move(-1)", "up", id="compare.up", show=False),
        Binding("enter", "open", "open", id="compare.open", tooltip="Open the run"),
    ]
    ALLOW_SELECT = False

    class Highlighted(Message):
        """The cursor is on another run, or on none."""

    class Opened(Message):
        """Enter or a double click on a run."""

        def __init__(self, lane: Lane) -> None:
            super().__init__()
            self.lane = lane

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.compared: Compared | None = None
        self.baseline = ""
        self.cursor = 0
        self.crossed: tuple[str, dict[str, float]] | None = None
        """Where the crosshair is (`step 40`), and the value there by run id."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """The runs that are shown."""
        return self.compared.lanes if self.compared else ()

    @property
    def highlighted(self) -> Lane | None:
        """The run under the cursor."""
        return self.lanes[self.cursor] if self.cursor < len(self.lanes) else None

    def show(self, compared: Compared | None, baseline: str) -> None:
        """Show these runs; the cursor stays on its run."""
        before = self.highlighted
        rows = len(self.lanes)
        self.compared, self.baseline = compared, baseline
        ids = [lane.run.id for lane in self.lanes]
        if before is not None and before.run.id in ids:
            self.cursor = ids.index(before.run.id)
        else:
            self.cursor = max(0, min(self.cursor, len(ids) - 1))
        self.refresh(layout=len(ids) != rows)

    def show_crossed(self, crossed: tuple[str, dict[str, float]] | None) -> None:
        """Show the values under the crosshair, or none."""
        self.crossed = crossed
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.lanes) + 1

    def action_move(self, rows: int) -> None:
        self._to(self.cursor + rows)

    def _to(self, row: int) -> None:
        self.cursor = max(0, min(row, len(self.lanes) - 1))
        self.refresh()
        self.post_message(self.Highlighted())

    def action_open(self) -> None:
        if self.highlighted is not None:
            self.post_message(self.Opened(self.highlighted))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.lanes) if action == "open" else True

    def on_click(self, event: events.Click) -> None:
        if 0 < event.y <= len(self.lanes):
            self._to(event.y - 1)
            if event.chain == 2:
                self.action_open()

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        name_width, columns = self._fit(width)
        if y == 0:
            style = base + ink(self, "compare-table--header")
            titles = [fitted("    run", name_width + 4)]
            titles += [fitted(column.title, column.width, right=column is not STATE) for column in columns]
            return Strip([Segment((" " * GAP).join(titles), style)]).adjust_cell_length(width, style)
        if y > len(self.lanes):
            return Strip.blank(width, base)
        lane = self.lanes[y - 1]
        under_cursor = y - 1 == self.cursor and len(self.lanes) > 1
        if under_cursor:
            base += self.get_component_rich_style("compare-table--cursor")
        own = base + ink(self, f"compare-table--{lane.style}")
        segments = [
            Segment(f"{lane.letter} ━ ", own + Style(bold=True)),
            Segment(fitted(clean_line(lane.run.name), name_width), base),
        ]
        for column in columns:
            text, tone = self._cell(lane, y - 1, column)
            style = base + ink(self, f"compare-table--{tone}") if tone else base
            segments.append(Segment(" " * GAP + fitted(text, column.width, right=column is not STATE), style))
        return Strip(segments).adjust_cell_length(width, base)

    def _fit(self, width: int) -> tuple[int, list[Column]]:
        """The width of the names, and the columns that there is room for."""
        shown = [column for column in COLUMNS if not column.metrics or column.keep == 0 or self._name_of(column)]
        if self.crossed is not None:
            shown.insert(1, Column(self.crossed[0], max(9, len(self.crossed[0])), 0))
        longest = max((len(clean_line(lane.run.name)) for lane in self.lanes), default=0)
        least = min(NAME_WIDTH, max(4, longest))

        def room() -> int:
            return width - 5 - sum(column.width + GAP for column in shown)

        while room() < least and any(column.keep for column in shown):
            shown.remove(max(shown, key=lambda column: column.keep))
        return max(6, min(room(), longest, WIDEST_NAME)), shown

    def _cell(self, lane: Lane, index: int, column: Column) -> Cell:
        run = lane.run
        if column is STATE:
            state = state_of(run)
            return f"{state.symbol} {state.word}", state.tone
        if column is PEAK:
            peak = peak_of(run)
            return (fmt_bytes(peak), "") if peak else (NONE, "dim")
        if column is TOOK:
            return fmt_duration(took_s(run)), "dim"
        if not column.metrics:
            value = self.crossed[1].get(run.id) if self.crossed else None
            return (fmt_number(value), "") if value is not None else (NONE, "dim")
        return self._metric_cell(index, column)

    def _name_of(self, column: Column) -> str:
        """Which of the column's metrics the runs have; empty where they have none."""
        known = self.compared.comparison.metrics if self.compared else {}
        return next((name for name in column.metrics if any(v is not None for v in known.get(name, ()))), "")

    def _metric_cell(self, index: int, column: Column) -> Cell:
        name = self._name_of(column)
        if self.compared is None or not name:
            return (NONE, "dim") if not column.delta else ("", "dim")
        comparison = self.compared.comparison
        values = comparison.metrics[name]
        if column.delta:
            ids = [lane.run.id for lane in self.lanes]
            baseline = ids.index(self.baseline) if self.baseline in ids else None
            if index == baseline:
                return (BASELINE, "dim") if name == EVAL_LOSS else ("", "")
            delta = delta_of(values, index, baseline)
            better = delta is not None and delta != 0 and (delta < 0) is lower_is_better(name)
            return fmt_delta(delta), "good" if better else "dim"
        value = values[index]
        if value is None:
            return NONE, "dim"
        text = fmt_rate(value) if name == RATE else fmt_number(value)
        return (f"★ {text}", "best") if comparison.best.get(name) == index else (text, "")
