"""One run: is it learning, will it finish, should I act?"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from tui.screens.chart_keys import CHART_KEYS
from tui.screens.run_actions import RunActions
from tui.text import clean_line
from tui.widgets.gauge import Gauge
from tui.widgets.line_chart import LineChart
from tui.widgets.log_tail import LogTail
from tui.widgets.run_detail import (
    Detail,
    alerts_content,
    busy_words,
    memory_words,
    read_detail,
    recipe_content,
    samples_content,
)
from tui.widgets.run_headline import RunHeadline, failure_line, stalled_line
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from store.records import Run

NARROW, WIDE_ROWS = 100, 32
TABS = {"charts": "Charts", "samples": "Samples", "log": "Log", "alerts": "Alerts", "recipe": "Recipe"}


class RunScreen(RunActions):
    """Everything about one run, live. Leaving it never ends the run."""

    MODE = "runs"
    TITLE = "Run"
    CSS_PATH = "run.tcss"
    HELP = """
**Is it learning, will it finish, should I act?** The curves follow the run while it trains.

`[` and `]` or Tab go between charts, samples, log, alerts and recipe. On the charts: `h` `l` pan, `+` `-` zoom,
`0` shows all, `y` makes the y-axis logarithmic, `x` shows time, `m` smooths, `←` `→` move the crosshair that reads
values. ◆ is a checkpoint, ★ the best evaluation, ↻ where the run was resumed. A gap in a curve is NaN.

A stopped run saves a checkpoint first and can be resumed; a killed one goes back to its last checkpoint. Where a run
failed, a line says what happened and what `a` does about it; `w` shows the evidence. *Stalled* is a live run of which
nothing is heard: it may recover by itself.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "fix_run", "fix", id="run.fix", tooltip="Do what is suggested: a changed launch, or a resume"),
        Binding("s", "stop_run", "stop", id="run.stop", tooltip="Stop the run; it saves a checkpoint"),
        Binding("w", "why_run", "why", id="run.why", show=False, tooltip="Why it ended, and what is suggested"),
        Binding("K", "kill_run", "kill", id="run.kill", show=False, tooltip="End the run at once, without saving"),
        Binding("r", "resume_run", "resume", id="run.resume", tooltip="Resume the run from its last checkpoint"),
        Binding("t", "chat", "chat", id="run.chat", tooltip="Chat with its adapter beside the base model"),
        Binding("n", "new_like", "new like this", id="run.new_like", tooltip="A new run that starts from this recipe"),
        Binding("right_square_bracket", "tab(1)", "next tab", id="run.next_tab", key_display="]"),
        Binding("left_square_bracket", "tab(-1)", "previous tab", id="run.previous_tab", show=False, key_display="["),
        Binding("tab", "tab(1)", "next tab", id="run.next_tab_too", show=False),
        Binding("shift+tab", "tab(-1)", "previous tab", id="run.previous_tab_too", show=False),
        Binding("escape", "back", "runs", id="page.back", key_display="esc", tooltip="Back to the list of runs"),
        Binding("d", "remove_run", "remove", id="run.remove", show=False, tooltip="Remove the run and its files"),
        Binding("e", "rename_run", "rename", id="run.rename", show=False, tooltip="Rename the run"),
        Binding("number_sign", "tag_run", "tags", id="run.tag", show=False, key_display="#", tooltip="Edit its tags"),
        Binding("i", "note_run", "note", id="run.note", show=False, tooltip="Write a note on the run"),
        *CHART_KEYS,
        Binding("m", "chart('smooth')", "smoothing", id="chart.smooth_too", show=False),
    ]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self._detail: Detail | None = None
        self._reading = False
        self._again = False

    def compose_body(self) -> ComposeResult:
        yield RunHeadline()
        yield Static("", id="banner", markup=False)
        yield TabLine(TABS)
        with ContentSwitcher(initial="charts", id="panes"):
            with Vertical(id="charts"):
                with Horizontal(id="upper"):
                    yield LineChart(id="loss", classes="panel", empty="no loss yet", focusable=False)
                    with Vertical(id="device", classes="panel"):
                        yield Gauge("memory", id="gauge")
                        yield Static("", id="busy", markup=False)
                        yield LineChart(id="memory", empty="nothing measured yet", focusable=False, from_zero=True)
                with Horizontal(id="lower"):
                    yield LineChart(id="rate", classes="panel", focusable=False)
                    yield LineChart(id="norm", classes="panel", focusable=False)
            with VerticalScroll(id="samples"):
                yield Static("", markup=False)
            yield LogTail(id="log")
            with VerticalScroll(id="alerts"):
                yield Static("", markup=False)
            with VerticalScroll(id="recipe"):
                yield Static("", markup=False)

    def on_mount(self) -> None:
        titles = {"loss": "loss", "device": "device", "rate": "learning rate", "norm": "gradient norm"}
        for name, title in titles.items():
            self.query_one(f"#{name}").border_title = title
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(lambda ids: self._read_again() if self.run_id in ids else None)
        self._read_again()

    @property
    def current_run(self) -> "Run | None":
        return self._detail.run if self._detail else None

    def _read_again(self) -> None:
        """Read the run anew; while a reading is under way, once more after it."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        chart = self.query_one("#loss", LineChart)
        read = partial(read_detail, self.services.store, self.run_id, chart.columns, self._view())
        self.in_thread(read, self._show, group="detail", failed=self._read_failed)

    def _view(self) -> tuple[float, float] | None:
        chart = self.query_one("#loss", LineChart)
        return chart.step_view

    def _read_failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self._reading = False
        show_error(self.app, error, "The run cannot be read")

    def _show(self, detail: Detail | None) -> None:
        self._reading = False
        if detail is None:
            self.action_back()
            return
        self._detail = detail
        self.query_one(RunHeadline).run = detail.run
        self._show_banner(detail)
        self._show_charts(detail)
        tabs = self.query_one(TabLine)
        tabs.counts = {
            "samples": len(detail.samples),
            "alerts": len(detail.alerts) + max(len(detail.problems), detail.run.warnings),
        }
        self._show_pane(tabs.active)
        self.refresh_bindings()
        if self._again:
            self._again = False
            self._read_again()

    def _show_banner(self, detail: Detail) -> None:
        banner = self.query_one("#banner", Static)
        words: Content | str = ""
        level = ""
        if detail.failure is not None and detail.run.status.value != "stopped":
            words, level = failure_line(detail.failure), "error"
        elif detail.run.stalled is not None:
            words = stalled_line(detail.run, detail.suspended)
        elif detail.alerts:
            body = detail.alerts[-1].body
            words = f"⚠ {clean_line(str(body.get('message', '')))}  {clean_line(str(body.get('fix') or ''))}".rstrip()
            level = str(body.get("level", ""))
        elif detail.run.warnings or detail.problems:
            count = max(detail.run.warnings, len(detail.problems))
            words = f"⚠ {count} {'line' if count == 1 else 'lines'} of the event log damaged or unknown; see Alerts."
        banner.update(words)
        banner.display = bool(words)
        banner.set_class(level == "error", "-error")

    def _show_charts(self, detail: Detail) -> None:
        curves, run = detail.curves, detail.run
        charts = {name: self.query_one(f"#{name}", LineChart) for name in ("loss", "memory", "rate", "norm")}
        charts["loss"].empty = "no loss yet" if run.status.live else "no loss was recorded"
        charts["loss"].set_series(curves.loss, curves.markers)
        charts["memory"].set_series(curves.memory)
        charts["rate"].set_series(curves.learning_rate)
        charts["norm"].set_series(curves.grad_norm)
        used, words = memory_words(run, curves)
        figures = self.finetui.figures
        on_gpu = curves.memory_name.startswith("GPU")
        gauge = self.query_one("#gauge", Gauge)
        known = figures is not None and used is not None and run.status.live and (figures.device == "cpu") != on_gpu
        gauge.share = used / max(1, figures.total_bytes) if known and figures and used is not None else None
        gauge.figures = words
        self.query_one("#busy", Static).update(busy_words(run) if run.status.live else "")
        self.query_one("#device").border_title = curves.memory_name or "device"

    @on(LineChart.ViewChanged)
    def _view_changed(self, event: LineChart.ViewChanged) -> None:
        if event.chart.id == "loss":
            for name in ("memory", "rate", "norm"):
                chart = self.query_one(f"#{name}", LineChart)
                chart.view, chart.crosshair = event.chart.view, None
                chart.refresh()
            self._read_again()

    # Tabs

    def action_tab(self, places: int) -> None:
        self.query_one(TabLine).move(places)

    @on(TabLine.Chosen)
    def _chosen(self, event: TabLine.Chosen) -> None:
        self.query_one(ContentSwitcher).current = event.tab
        self._show_pane(event.tab)
        pane = self.query_one(f"#{event.tab}")
        self.set_focus(pane if pane.can_focus else None)
        self.refresh_bindings()

    def _show_pane(self, tab: str) -> None:
        detail = self._detail
        if detail is None or tab == "charts":
            return
        if tab == "log":
            self.query_one(LogTail).follow(Path(detail.run.dir) / "log.txt")
            return
        content = (
            samples_content(detail.samples)
            if tab == "samples"
            else alerts_content(detail)
            if tab == "alerts"
            else recipe_content(detail)
        )
        self.query_one(f"#{tab} > Static", Static).update(content)

    # Charts by key

    def action_chart(self, name: str, *parameters: float) -> None:
        """Let the loss chart do it; the others share its axis of time or steps."""
        getattr(self.query_one("#loss", LineChart), f"action_{name}")(*parameters)
        if name == "x_axis":
            for chart in self.query(LineChart):
                chart.x_axis = self.query_one("#loss", LineChart).x_axis

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "chart":
            return not self.is_mounted or self.query_one(TabLine).active == "charts"
        return super().check_action(action, parameters)

    def on_resize(self, event: events.Resize) -> None:
        narrow = event.size.width < NARROW
        self.set_class(narrow, "-narrow")
        self.set_class(not narrow and event.size.height >= WIDE_ROWS, "-wide")
        if self.finetui.is_ready:
            self.call_after_refresh(self._read_again)
