"""Compare: what changed, and what did it do?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from tui.messages import OpenRun
from tui.screens.compare_actions import CompareActions
from tui.text import clean_line
from tui.widgets.chart_data import nearest, points_of
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.chart_legend import x_words
from tui.widgets.compare_columns import metric_title
from tui.widgets.compare_curves import CurveReader, Curves, CurvesAsk, Painter, chart_titles
from tui.widgets.compare_pane import ComparePane
from tui.widgets.compare_samples import Asked, CompareSamples, SamplesReader
from tui.widgets.compare_table import CompareTable
from tui.widgets.lanes import Compared, newest_with_points, read_compared
from tui.widgets.overlay import OverlayGrid, chart_bindings
from tui.widgets.parallel_pane import ParallelPane
from tui.widgets.row_list import RowList
from tui.widgets.settings_diff import SettingsDiff, SettingsPane
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from store import Store

DEFAULT_RUNS = 2
WIDE = 150
"""From this width on the settings stand beside the table."""
NARROW, LOW = 100, 30
"""Below both of them the charts begin with one."""
NAMED = {NARROW: 2, WIDE: 3, 10_000: 4}
"""How many settings the sentences name below a width."""
FINE = 32
"""Columns of a chart are rounded up to a multiple of this."""
SMALL, USUAL, LARGE = 1, 4, 6
TABS = {"curves": "Curves", "settings": "Settings", "samples": "Samples", "parallel": "Parallel"}

NO_RUNS = """\
Nothing to compare yet.

Compare lays the curves of two or more runs over each other and says what differs between them.
Press 3 to launch a run, or mark runs in Runs with space and press c."""
ONE_RUN = "Compare needs a second run: a adds one, n launches a variant of this one."


@dataclass(frozen=True)
class Found:
    """What was read: the runs, and what the tab at hand needs of them."""

    slots: dict[str, int]
    compared: Compared
    titles: dict[str, str]
    curves: Curves | None
    prompts: list[Asked] | None


class CompareScreen(CompareActions):
    """Runs over each other: their curves, what they came to, what differs in their recipes. Live ones grow."""

    MODE = "compare"
    TITLE = "Compare"
    CSS_PATH = "compare.tcss"
    AUTO_FOCUS = "CompareTable"
    HELP = """
**What changed, and what did it do?** Any number of runs over each other; live ones grow. Each run has a letter and a
colour, and its letter stands at the end of its curve. On top is said what changed and what came of it; with more than
two runs the second line is about the run at the cursor against the baseline, which `b` moves.

★ marks the best figure: of an evaluation the best one (its adapter is the one that is kept), else the last. Δ is the
distance to the baseline. `C` chooses the columns, every metric and setting can be one; `o` orders by one, `O` turns
the order round. `space` marks runs: `c` goes on with those alone, `d` leaves them out. With more than twelve runs all
curves but those of the baseline, the best, the marked runs and the one at the cursor are dim.

`[` `]` or Tab go between the sides. **Curves**: `J` `K` go from chart to chart, `g` `G` show fewer and more, `p` pins,
`/` filters, `f` gives one the whole screen; `h` `l` pan, `+` `-` zoom, `0` shows all, `x` goes through steps, epochs,
time and tokens, `y` makes an axis logarithmic, `m` smooths, `←` `→` move the crosshair, whose values stand in the
table. **Settings**: those that differ, `A` shows all. **Samples**: the answers to one prompt side by side, against the
baseline's; `D` compares them with something else. **Parallel**: an axis a setting, a line a run from red (worst) to
green (best); `←` `→` choose an axis, `H` `L` move it, `z` puts it away, `o` ranks by another metric. `W` writes a
report.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "tab(1)", "next tab", id="compare.next", key_display="]"),
        Binding("left_square_bracket", "tab(-1)", "previous tab", id="compare.previous", show=False, key_display="["),
        Binding("tab", "tab(1)", "next tab", id="compare.next_too", show=False),
        Binding("shift+tab", "tab(-1)", "previous tab", id="compare.previous_too", show=False),
        Binding("a", "add", "add", id="compare.add", tooltip="Add a run to the comparison"),
        Binding("d,delete", "leave_out", "leave out", id="compare.remove", tooltip="Leave runs out; they are kept"),
        Binding("b", "baseline", "baseline", id="compare.baseline", tooltip="Measure the others against this run"),
        Binding("c", "only_marked", "only marked", id="compare.only_marked", tooltip="Go on with the marked runs"),
        Binding("o", "order", "order", id="compare.order", tooltip="Order the runs by a metric, a setting …"),
        Binding("C", "columns", "columns", id="compare.columns", tooltip="Choose the columns of the table"),
        Binding("W", "report", "report", id="compare.report", tooltip="Write a report: a page, a picture, a table"),
        Binding("O", "reverse", "turn the order round", id="compare.reverse", show=False),
        Binding("t", "chat", "chat", id="run.chat", show=False, tooltip="Chat with these runs beside their base model"),
        Binding("n", "new_like", "new like this", id="run.new_like", show=False, tooltip="A new run from this recipe"),
        *chart_bindings(),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._tab = "curves"
        self._reading = False
        self._again = False
        self._others = False
        """Whether what is read next are other runs than those that are shown."""
        self._stale = False
        """Whether runs changed while another screen was shown."""
        self._reader = CurveReader()
        self._painter = Painter()
        self._curves: Curves | None = None

    def compose_body(self) -> ComposeResult:
        yield Static("", id="sentence", markup=False)
        yield Static("", id="pair", markup=False)
        yield TabLine(TABS)
        with Vertical(id="curves"):
            yield OverlayGrid()
            with Container(id="lower"):
                yield CompareTable()
                beside = SettingsDiff(id="beside")
                beside.can_focus = False
                yield beside
        yield SettingsPane(id="settings")
        yield CompareSamples(id="samples")
        yield ParallelPane(id="parallel")
        yield Static("", id="empty", markup=False)

    def on_mount(self) -> None:
        self.add_class("-bare")
        self._show_side()
        self.watch(self.grid, "full", self._full_changed, init=False)
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(self._changed)
        self.read_again()

    @property
    def grid(self) -> OverlayGrid:
        return self.query_one(OverlayGrid)

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs; the first is the baseline."""
        self.take_runs(run_ids)
        self._others = True
        if self.finetui.is_ready and self.is_mounted:
            if self.grid.view is not None or self.grid.crosshair_step is not None:
                self.grid.action_reset()
            self.read_again()

    # Reading

    def _changed(self, ids: set[str]) -> None:
        if (not self.chosen and len(self.slots) < DEFAULT_RUNS) or ids & self.slots.keys():
            if self.is_current:
                self.read_again()
            else:
                self._stale = True

    def on_screen_resume(self) -> None:
        if self._stale:
            self._stale = False
            self.read_again()

    def read_again(self) -> None:
        """Read the runs anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        grid = self.grid
        slots = dict(self.slots) if self.chosen or len(self.slots) >= DEFAULT_RUNS else None
        # The grid has no size yet while it is hidden.
        columns = grid.columns if grid.shown else max(20, self.size.width // (1 if grid.count == 1 else 2) - 8)
        columns += -columns % FINE  # a chart that grows by a line or two is not read anew
        ask = CurvesAsk(list(grid.shown), columns, grid.view) if self._tab == "curves" else None
        samples = self.query_one(CompareSamples).reader if self._tab == "samples" else None
        read = partial(_read, self.services.store, slots, ask, grid.count, self._reader, samples)
        self.in_thread(read, self._show, group="compare", failed=self._failed)

    def _failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self._reading = False
        show_error(self.app, error, "The runs cannot be compared")

    def _show(self, found: Found) -> None:
        self._reading = False
        if self._again:
            self._again = False
            if not self.chosen:
                self.slots = found.slots
            self.read_again()
            return
        if self._others:
            self._others = False
            self.table.forget()
        self.compared = compared = found.compared
        self.slots = {run_id: slot for run_id, slot in found.slots.items() if run_id in compared.places}
        if self.baseline not in self.slots:
            self.baseline = next(iter(self.slots), "")
        self._curves = found.curves or self._curves
        if found.prompts is not None:
            self.query_one(CompareSamples).take(found.prompts)
        self.set_class(not self.slots, "-bare")
        self.query_one("#empty", Static).update(Content(NO_RUNS))
        tabs = self.query_one(TabLine)
        tabs.counts = {"settings": len(compared.comparison.differing)}
        self.show_again()
        if found.curves is not None:
            self.grid.set_charts(found.titles)
        self._show_crossed()

    # Showing

    def show_again(self) -> None:
        if self.compared is None:
            return
        self.table.show(self.compared, self.baseline)
        self._show_look()
        self.refresh_bindings()

    def _show_look(self) -> None:
        """Show what hangs on the baseline, the cursor and the marks."""
        compared, eyes = self.compared, self.table.eyes
        if compared is None:
            return
        self._say()
        if self._tab == "curves":
            if self._curves is not None:
                self.grid.show(self._painter.contents(compared, self._curves, eyes))
            beside = self.query_one("#beside", SettingsDiff)
            if beside.display:
                beside.show(compared, eyes, compared.comparison.differing)
        else:
            self.query_one(f"#{self._tab}", ComparePane).show(compared, eyes)

    def _say(self) -> None:
        """What changed and what it did; of more than two runs, also of the one at the cursor."""
        from engine.runs.compare_words import pair_sentence, sentence

        assert self.compared is not None
        places, comparison = self.compared.places, self.compared.comparison
        baseline, current = places.get(self.baseline, 0), places.get(self.table.eyes.current, 0)
        most = next(count for width, count in NAMED.items() if self.size.width < width)
        words = sentence(comparison, baseline, most=most) if len(places) > 1 else ONE_RUN
        pair = Content("j k: what changed from the baseline to another run is said here")
        pair = pair.stylize("$text-muted")
        if baseline != current:
            pair = Content(clean_line(pair_sentence(comparison, baseline, current, most=most)))
        self.query_one("#sentence", Static).update(clean_line(words))
        line = self.query_one("#pair", Static)
        line.update(pair)
        line.display = len(places) > 2

    def _show_crossed(self) -> None:
        """Put what is under the crosshair into the table, of the chart with the cursor first."""
        grid, compared = self.grid, self.compared
        if compared is None:
            return
        by_letter = {lane.letter: lane.run.id for lane in compared.lanes}
        crossed = {}
        for name in sorted(grid.shown, key=lambda name: name != grid.cursor):
            chart = grid.chart_of(name)
            if chart is None or (at := chart.crosshair) is None:
                continue
            values = {}
            for item in chart.series:
                points = points_of(item, chart.axis)
                if not points or not points[0].x <= at <= points[-1].x:
                    continue  # the run had not begun there, or was over
                if point := nearest(item, at, x_axis=chart.axis):
                    values[by_letter.get(item.label.split(" ", 1)[0], "")] = point[1]
            words = x_words(chart.axis, at).removeprefix("step ").removeprefix("epoch ").removesuffix(" tokens")
            crossed[name] = (f"{metric_title(name)} at {words}", values)
        self.table.show_crossed(crossed)

    def _full_changed(self, full: bool) -> None:
        """What is covered loses the keys; back from the full screen, the table has them again."""
        if not full:
            self.call_after_refresh(self.table.focus)

    def _show_side(self) -> None:
        for side in self.query("#curves, ComparePane"):
            side.set_class(side.id != self._tab, "-away")

    # What happens

    @on(RowList.Highlighted, "CompareTable")
    @on(CompareTable.MarksChanged)
    def _looked_at(self) -> None:
        self._show_look()
        self.refresh_bindings()

    @on(RowList.Opened, "CompareTable")
    def _opened(self) -> None:
        if lane := self.table.highlighted:
            self.post_message(OpenRun(lane.run.id))

    @on(ComparePane.Picked)
    def _picked_run(self, event: ComparePane.Picked) -> None:
        event.stop()
        self.table.go_to(event.run_id)

    @on(ChartGrid.Wanted)
    def _other_charts(self, event: ChartGrid.Wanted) -> None:
        event.stop()
        grid, asked = event.grid, self._curves.ask if self._curves else None
        if (
            asked is None
            or list(asked.metrics) != grid.shown
            or asked.columns < grid.columns
            or asked.view != grid.view
        ):
            self.read_again()

    @on(ChartGrid.CrossMoved)
    def _crossed(self, event: ChartGrid.CrossMoved) -> None:
        event.stop()
        self._show_crossed()

    @on(TabLine.Chosen)
    def _tab_chosen(self, event: TabLine.Chosen) -> None:
        self._tab = event.tab
        self._show_side()
        (self.table if self._tab == "curves" else self.query_one(f"#{self._tab}", ComparePane)).focus()
        self._show_look()
        if self.finetui.is_ready and self._tab in ("curves", "samples"):
            self.read_again()
        self.refresh_bindings()

    # Keys

    def action_tab(self, places: int) -> None:
        self.query_one(TabLine).move(places)

    async def action_chart(self, action: str) -> None:
        """Let the charts do it."""
        await self.grid.run_action(action)
        self._show_crossed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "chart":
            name = str(parameters[0]).partition("(")[0]
            return self._tab == "curves" and bool(self.slots) and self.grid.check_action(name, ())
        if action in ("leave_out", "chat", "new_like", "tab", "report"):
            return bool(self.slots)
        if action in ("columns", "order", "reverse"):
            return bool(self.slots) and self._tab == "curves"
        if action == "baseline":
            return len(self.slots) > 1
        if action == "only_marked":
            return self.is_mounted and 1 < len(self.table.marked) < len(self.slots)
        if action == "back":
            return not (self._tab == "curves" and self.grid.pattern)
        return super().check_action(action, parameters)

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        self.set_class(width >= WIDE, "-wide")
        self.set_class(height < LOW, "-low")
        if self.compared is None:
            small = width < NARROW and height < LOW
            self.grid.count = LARGE if width >= 190 and height >= 40 else SMALL if small else USUAL
        if self.finetui.is_ready:
            self.call_after_refresh(self._show_look)


def _read(
    store: "Store",
    slots: dict[str, int] | None,
    ask: CurvesAsk | None,
    count: int,
    reader: CurveReader,
    samples: SamplesReader | None,
) -> Found:
    """Compare the runs in `slots`, or the newest ones with points where that is `None`."""
    if slots is None:
        slots = {run_id: slot for slot, run_id in enumerate(newest_with_points(store, DEFAULT_RUNS))}
    compared = read_compared(store, slots)
    titles = chart_titles(compared.metrics)
    curves = None
    if ask is not None:
        wanted = [name for name in ask.metrics if name in titles] or list(titles)[:count]
        curves = reader.read(store, compared.lanes, CurvesAsk(wanted, ask.columns, ask.view))
    return Found(slots, compared, titles, curves, samples.read(store, compared.lanes) if samples else None)
