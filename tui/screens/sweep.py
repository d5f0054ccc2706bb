"""One sweep: which values did best, which field mattered, what now?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from tui.messages import CompareRuns, NewRunLike, OpenRun
from tui.screens.sweep_actions import SweepActions
from tui.widgets.line_chart import ChartSeries, LineChart, Marker, SoloChart
from tui.widgets.row_list import RowList
from tui.widgets.sweep_table import TrialTable
from tui.widgets.sweep_words import headline, importance_content, trial_sentence

if TYPE_CHECKING:
    from engine.sweeps.analysis import Importance, SweepView, TrialView
    from store.records import Run, Sweep
    from tui.services import Services

NARROW = 110


class SweepScreen(SweepActions):
    """The trials of a sweep, best first, and what they say."""

    TITLE = "Sweep"
    CSS_PATH = "sweep.tcss"
    AUTO_FOCUS = "TrialTable"
    HELP = """
**Which values did best, which field mattered, what now?** A line is a trial, which is a run; the best is on top with
a ★. ✂ was stopped early since it did worse than others at the same point.

`Enter` opens a trial's run. `l` fills the form for a new run from the best one: change what you like and launch it, for
longer perhaps. `Space` marks, `c` compares the marked runs; with fewer than two marked, the best with the one under the
cursor.

"What mattered" says how much of the differences between the trials each field accounts for. With few trials it is a
hint.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "launch_best", "launch the best", id="sweep.launch", tooltip="A new run like the best trial"),
        Binding("c", "compare", "compare", id="sweep.compare", tooltip="Compare the marked runs"),
        Binding("escape", "back", "back", id="sweep.back", tooltip="Back to the sweeps"),
    ]

    def __init__(self, sweep_id: str) -> None:
        super().__init__()
        self.sweep_id = sweep_id
        self.view: SweepView | None = None
        self._reading = False
        self._weighed: tuple[int, int] | None = None

    def compose_body(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        with Container(id="body"):
            with Container(id="left"):
                yield TrialTable(id="table")
                yield Static("", id="trial", markup=False)
            with Container(id="side"):
                with VerticalScroll(id="mattered", classes="panel", can_focus=False):
                    yield Static("", id="mattered-text", markup=False)
                with Container(id="best", classes="panel"):
                    yield SoloChart(id="chart", interactive=False, empty="no trial has ended yet")

    def on_mount(self) -> None:
        self.query_one("#mattered").border_title = "what mattered"
        self.query_one("#best").border_title = "best so far, by trial"
        self.when_ready(self.start_reading)

    def reload(self) -> None:
        """Read the sweep anew, unless a reading is under way."""
        if not self._reading:
            self._reading = True
            read = partial(read_view, self.services, self.sweep_id)
            self.in_thread(read, self._show, group="sweep", failed=self._failed)

    def _show(self, view: "SweepView") -> None:
        self._reading = False
        self.view = view
        self.query_one(TrialTable).show(view)
        self._show_head()
        self._show_trial()
        steps = view.best_so_far()
        numbers, values = [number for number, _ in steps], [value for _, value in steps]
        best = [Marker(view.best.number + 1, "★", "best", view.best.value)] if view.best else []
        self.query_one(LineChart).set_series([ChartSeries(view.metric, numbers, values, style="eval")], best)
        self.refresh_bindings()
        self._weigh(view)

    def _failed(self, error: Exception) -> None:
        self._reading = False
        self.cannot_be_shown(error, "The sweep cannot be read")

    def _show_head(self) -> None:
        if self.view is not None:
            head = self.query_one("#head", Static)
            head.update(headline(self.view, self.size.width))

    def _weigh(self, view: "SweepView") -> None:
        """Find out what mattered, when there is something new to find it out from."""
        state = (view.done, self.query_one("#mattered").size.width)
        if state != self._weighed:
            self._weighed = state
            self.in_thread(partial(read_importance, view), self._show_importance, group="importance")

    def _show_importance(self, found: "Importance") -> None:
        width = max(20, self.query_one("#mattered-text").size.width)
        self.query_one("#mattered-text", Static).update(importance_content(found, width))

    def _show_trial(self) -> None:
        trial: TrialView | None = self.query_one(TrialTable).highlighted
        metric = self.view.metric if self.view else ""
        self.query_one("#trial", Static).update(trial_sentence(trial, metric))

    # What the keys are about

    @property
    def current_sweep(self) -> "Sweep | None":
        return self.view.sweep if self.view else None

    @property
    def current_run(self) -> "Run | None":
        """The run of the trial under the cursor."""
        trial = self.query_one(TrialTable).highlighted if self.is_mounted else None
        return trial.run if trial is not None else None

    @property
    def best_run(self) -> "Run | None":
        """The run of the best trial."""
        return self.view.best.run if self.view and self.view.best else None

    @property
    def compared(self) -> list[str]:
        """Ids of the marked runs; with fewer than two, the best and the one under the cursor."""
        marked = list(self.query_one(TrialTable).marked) if self.is_mounted else []
        if len(marked) > 1:
            return marked
        some = [*([self.best_run.id] if self.best_run else []), *marked]
        some += [self.current_run.id] if self.current_run else []
        return list(dict.fromkeys(some))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "launch_best":
            return self.best_run is not None
        if action == "compare":
            return len(self.compared) > 1
        return super().check_action(action, parameters)

    @on(RowList.Highlighted)
    @on(TrialTable.MarksChanged)
    def _moved(self) -> None:
        self._show_trial()
        self.refresh_bindings()

    @on(RowList.Opened)
    def _opened(self) -> None:
        if run := self.current_run:
            self.post_message(OpenRun(run.id))

    def action_launch_best(self) -> None:
        """Fill the form for a new run from the best trial."""
        if run := self.best_run:
            self.post_message(NewRunLike(run.id))

    def action_compare(self) -> None:
        """Lay the marked runs over each other."""
        if len(self.compared) > 1:
            self.post_message(CompareRuns(self.compared))

    def removed(self) -> None:
        """Leave when it is gone."""
        sweep = self.current_sweep
        if sweep is not None and not sweep.status.live:
            self.leave()
        else:
            self.reload()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self._weighed = None
        self.call_after_refresh(self._show_head)


def read_view(services: "Services", sweep_id: str) -> "SweepView":
    """The sweep as it stands. Reads files and the store: use it from a thread. Raises `NotFound`."""
    from engine.sweeps.analysis import read_sweep

    return read_sweep(services.store, services.sweeps.get(sweep_id))


def read_importance(view: "SweepView") -> "Importance":
    """Which parameter mattered. May import optuna: use it from a thread."""
    from engine.sweeps.analysis import importance

    return importance(view)
