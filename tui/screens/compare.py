"""Compare: what changed, and what did it do?"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_duration, fmt_when
from tui.messages import ChatWith, NewRunLike, OpenRun
from tui.screens.chart_keys import CHART_KEYS
from tui.screens.dialogs import Option, PickDialog
from tui.screens.page import Page
from tui.text import clean_line
from tui.widgets.chart_data import nearest
from tui.widgets.compare_table import CompareTable
from tui.widgets.lanes import LETTERS, MEASURES, Compared, newest_with_points, read_compared
from tui.widgets.line_chart import LineChart
from tui.widgets.overlay import OverlayChart
from tui.widgets.run_words import eval_loss_of, state_of
from tui.widgets.settings_diff import SettingsDiff
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from store import Store
    from store.records import Run

DEFAULT_RUNS = 2
WIDE = 150
"""From this width on the settings stand beside the table."""
LOW = 32
"""Below this height the settings get a few lines only, and scroll."""

NO_RUNS = """\
Nothing to compare yet.

Compare lays the curves of two or more runs over each other and says what differs between them.
Press 3 to launch a run, or mark runs in Runs with space and press c."""
ONE_RUN = "Compare needs a second run: a adds one, n launches a variant of this one."


class CompareScreen(Page):
    """Runs over each other: their curves, what they came to, what differs in their recipes. Live ones grow."""

    MODE = "compare"
    TITLE = "Compare"
    CSS_PATH = "compare.tcss"
    AUTO_FOCUS = "CompareTable"
    HELP = """
**What changed, and what did it do?** Two to eight runs over each other; live ones grow. Each run has a letter and a
colour, and its letter stands at the end of its curve.

★ marks the best figure: of an evaluation the best one (its adapter is the one that is kept), else the last. Δ is the
distance to the baseline, which `b` moves. Below stand only the settings that differ; what is as in the baseline is dim.

`[` `]` or `m` change the curves. `h` `l` pan, `+` `-` zoom, `0` shows all, `y` makes the axis logarithmic, `x` shows
time, `s` smooths, `←` `→` move the crosshair; the values under it stand in the table.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket,m", "measure(1)", "curve", id="compare.next", key_display="]"),
        Binding("left_square_bracket", "measure(-1)", "previous curve", id="compare.previous", show=False),
        Binding("a", "add", "add", id="compare.add", tooltip="Add a run to the comparison"),
        Binding("d,delete", "leave_out", "leave out", id="compare.remove", tooltip="Leave this run out; it is kept"),
        Binding("b", "baseline", "baseline", id="compare.baseline", tooltip="Measure the others against this run"),
        Binding("t", "chat", "chat", id="run.chat", tooltip="Chat with these runs beside their base model"),
        Binding("n", "new_like", "new like this", id="run.new_like", show=False, tooltip="A new run from this recipe"),
        *CHART_KEYS,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._slots: dict[str, int] = {}
        """Run ids in the order in which they were chosen, each with its place among the letters and colours."""
        self._baseline = ""
        self._measure: str | None = None
        self._chosen = False
        """Whether somebody chose the runs; else the newest ones are shown."""
        self._compared: Compared | None = None
        self._reading = False
        self._again = False
        self._stale = False
        """Whether runs changed while another screen was shown."""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="sentence", markup=False)
        yield TabLine({name: measure.title for name, measure in MEASURES.items()})
        yield OverlayChart()
        with Container(id="lower"):
            yield CompareTable()
            with VerticalScroll(id="settings"):
                yield SettingsDiff()
        yield Static("", id="empty", markup=False)

    def on_mount(self) -> None:
        self.add_class("-bare")
        self.watch(self._chart, "crosshair", self._show_crossed, init=False)
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(self._changed)
        self._read_again()

    @property
    def _chart(self) -> OverlayChart:
        return self.query_one(OverlayChart)

    @property
    def _table(self) -> CompareTable:
        return self.query_one(CompareTable)

    # Which runs

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs; the first is the baseline."""
        ids = list(dict.fromkeys(run_ids))
        self._slots = {run_id: slot for slot, run_id in enumerate(ids[: len(LETTERS)])}
        self._baseline = ids[0] if ids else ""
        self._chosen = True
        self._measure = None
        if len(ids) > len(LETTERS):
            self.notify(f"The first {len(LETTERS)} of {len(ids)} runs are compared.", severity="warning")
        if self.finetui.is_ready and self.is_mounted:
            self._chart.view = self._chart.crosshair = None
            self._read_again()

    def action_add(self) -> None:
        """Pick one more run."""
        if not self.finetui.is_ready:
            return
        if len(self._slots) >= len(LETTERS):
            self.notify(f"{len(LETTERS)} runs are compared at most; d leaves one out.", severity="warning")
            return
        store = self.services.store
        self.in_thread(lambda: store.runs.list(limit=1000), self._pick, group="pick")

    def _pick(self, runs: "list[Run]") -> None:
        choices = [_option(run) for run in runs if run.id not in self._slots]
        if not choices:
            self.notify("There is no other run.")
            return
        self.app.push_screen(PickDialog("Add a run to the comparison", choices), self._picked)

    def _picked(self, run_id: str | None) -> None:
        if run_id is None:
            return
        self._slots[run_id] = next(slot for slot in range(len(LETTERS)) if slot not in self._slots.values())
        self._baseline = self._baseline or run_id
        self._chosen = True
        self._read_again()

    def action_leave_out(self) -> None:
        """Leave the highlighted run out. Nothing happens to the run itself."""
        if (lane := self._table.highlighted) is None:
            return
        del self._slots[lane.run.id]
        if self._baseline == lane.run.id:
            self._baseline = next(iter(self._slots), "")
        self._chosen = True
        self._read_again()

    def action_baseline(self) -> None:
        """Measure the others against the highlighted run."""
        if lane := self._table.highlighted:
            self._baseline = lane.run.id
            self._show_table()

    # Reading

    def _changed(self, ids: set[str]) -> None:
        if (not self._chosen and len(self._slots) < DEFAULT_RUNS) or ids & self._slots.keys():
            if self.is_current:
                self._read_again()
            else:
                self._stale = True

    def on_screen_resume(self) -> None:
        if self._stale:
            self._stale = False
            self._read_again()

    def _read_again(self) -> None:
        """Read the runs anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        chart = self._chart
        view = chart.step_view
        slots = dict(self._slots) if self._chosen or len(self._slots) >= DEFAULT_RUNS else None
        columns = max(chart.columns, self.size.width - 10)  # the chart has no size yet while it is hidden
        read = partial(_read, self.services.store, slots, self._measure, columns, view)
        self.in_thread(read, self._show, group="compare", failed=self._failed)

    def _failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self._reading = False
        show_error(self.app, error, "The runs cannot be compared")

    def _show(self, found: tuple[dict[str, int], Compared]) -> None:
        self._reading = False
        slots, compared = found
        if self._again:
            self._again = False
            if not self._chosen:
                self._slots = slots
            self._read_again()
            return
        there = {lane.run.id for lane in compared.lanes}
        self._slots = {run_id: slot for run_id, slot in slots.items() if run_id in there}
        if self._baseline not in there:
            self._baseline = next(iter(self._slots), "")
        self._compared = compared
        self._measure = compared.measure if there else None
        self.set_class(not there, "-bare")
        self.query_one("#empty", Static).update(Content(NO_RUNS))
        words = compared.comparison.sentence if len(there) > 1 else ONE_RUN
        self.query_one("#sentence", Static).update(clean_line(words))
        self.query_one(TabLine).active = compared.measure
        chart = self._chart
        chart.empty = f"no {MEASURES[compared.measure].title} was recorded"
        chart.set_series(compared.curves)
        self._show_table()
        self._show_crossed()

    def _show_table(self) -> None:
        self._table.show(self._compared, self._baseline)
        self._show_settings()
        self.refresh_bindings()

    def _show_settings(self) -> None:
        if self._compared is None:
            return
        current = self._table.highlighted
        differing = self._compared.comparison.differing
        diff = self.query_one(SettingsDiff)
        diff.show(self._compared.lanes, differing, self._baseline, current.run.id if current else "")

    def _show_crossed(self) -> None:
        """Put what is under the crosshair into the table."""
        chart = self._chart
        at = chart.crosshair
        if at is None or self._compared is None:
            self._table.show_crossed(None)
            return
        values = {}
        by_letter = {lane.letter: lane.run.id for lane in self._compared.lanes}
        for item in chart.series:
            if found := nearest(item, at, x_axis=chart.x_axis):
                values[by_letter[item.label[:1]]] = found[1]
        self._table.show_crossed((f"at {fmt_duration(at)}" if chart.x_axis == "time" else f"at {at:,.0f}", values))

    # Keys

    @on(CompareTable.Highlighted)
    def _highlighted(self) -> None:
        self._show_settings()

    @on(CompareTable.Opened)
    def _opened(self, event: CompareTable.Opened) -> None:
        self.post_message(OpenRun(event.lane.run.id))

    def action_measure(self, places: int) -> None:
        self.query_one(TabLine).move(places)

    @on(TabLine.Chosen)
    def _measure_chosen(self, event: TabLine.Chosen) -> None:
        self._measure = event.tab
        if self.finetui.is_ready:
            self._read_again()

    def action_chat(self) -> None:
        self.post_message(ChatWith(list(self._slots)))

    def action_new_like(self) -> None:
        if lane := self._table.highlighted:
            self.post_message(NewRunLike(lane.run.id))

    def action_chart(self, name: str, *parameters: float) -> None:
        """Let the chart do it."""
        getattr(self._chart, f"action_{name}")(*parameters)

    @on(LineChart.ViewChanged)
    def _view_changed(self) -> None:
        if self.finetui.is_ready:
            self._read_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("leave_out", "chat", "new_like", "measure", "chart"):
            return bool(self._slots)
        if action == "baseline":
            return len(self._slots) > 1
        return super().check_action(action, parameters)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")
        self.set_class(event.size.height < LOW, "-low")
        if self.finetui.is_ready:
            self.call_after_refresh(self._read_again)


def _read(
    store: "Store",
    slots: dict[str, int] | None,
    measure: str | None,
    columns: int,
    view: tuple[float, float] | None,
) -> tuple[dict[str, int], Compared]:
    """Compare the runs in `slots`, or the newest ones with points where that is `None`."""
    if slots is None:
        slots = {run_id: slot for slot, run_id in enumerate(newest_with_points(store, DEFAULT_RUNS))}
    return slots, read_compared(store, slots, measure, columns, view)


def _option(run: "Run") -> Option:
    state = state_of(run)
    loss, _, _ = eval_loss_of(run)
    words = [f"{state.symbol} {state.word}", f"eval {loss}" if loss else "", clean_line(run.model)]
    return Option(run.id, run.name, " · ".join([*filter(None, words), fmt_when(run.started or run.created)]))
