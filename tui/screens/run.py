"""One run: is it learning, will it finish, should I act?"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tui.screens.run_actions import RunActions
from tui.widgets.evaluation_targets import TargetLine, read_run_targets
from tui.widgets.run_banner import RunBanner
from tui.widgets.run_charts import ChartsPane
from tui.widgets.run_detail import Detail, read_detail
from tui.widgets.run_headline import RunHeadline
from tui.widgets.run_pane import RunPane
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from store.records import Run
    from tui.services import Services

AHEAD_S = 0.3
"""After so long on a tab the next one is built, which takes longer than to show it."""
OPEN_S = 0.2
"""So long what is read of a run may keep its screen from being shown."""

TABS = {
    "charts": "Charts",
    "samples": "Samples",
    "log": "Log",
    "events": "Events",
    "recipe": "Recipe",
    "data": "Data",
    "lineage": "Lineage",
}


class RunScreen(RunActions):
    """Everything about one run, live. Leaving it never ends the run.

    There is one, kept while other screens are in front: to build it takes longer than to draw it.
    """

    MODE = "runs"
    TITLE = "Run"
    CSS_PATH = "run.tcss"
    HELP = """
**Is it learning, will it finish, should I act?** Everything here follows the run while it trains.

`[` and `]` or Tab go between its sides: charts, samples, log, events, recipe, data, lineage. On charts: `h` `l` pan,
`+` `-` zoom, `0` shows all, `x` goes through steps, epochs, time and tokens, `y` makes the y-axis logarithmic, `m`
smooths, `←` `→` move the crosshair that reads values, `<` `>` put it on the lowest and highest point, `f` gives a chart
the whole place, `g` `G` show fewer and more of them, `p` pins, `/` filters. ◆ is a checkpoint, ★ the best evaluation,
↻ where the run was resumed, ⚠ an alert. A gap in a curve is NaN.

Under the head stands what asks for something: why the run failed, or what its figures show. `a` does what is suggested,
`w` shows the evidence, `i` ignores a finding. A stopped run saves a checkpoint first and can be resumed; a killed one
goes back to its last checkpoint. *Stalled* is a live run of which nothing is heard: it may recover by itself.

`M` measures it beside its base on rows that it did not learn, `v` shows what that came to; where the project states
targets, they stand under the head, met or missed. `E` exports it, `R` keeps its adapter under a name, with versions.

The time left is what the steps and evaluations so far would make of it, ± one standard deviation. Beside the charts is
what its devices do, and whose memory it is; of a run on another machine, what it last said of them.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "fix_run", "fix", id="run.fix", tooltip="Do what is suggested: a fix, or what a finding offers"),
        Binding("s", "stop_run", "stop", id="run.stop", tooltip="Stop the run; it saves a checkpoint"),
        Binding("w", "why_run", "why", id="run.why", tooltip="Why it ended or what was found out, with the evidence"),
        Binding("i", "ignore_finding", "ignore", id="run.ignore", show=False, tooltip="Ignore the finding shown"),
        Binding("K", "kill_run", "kill", id="run.kill", show=False, tooltip="End the run at once, without saving"),
        Binding("r", "resume_run", "resume", id="run.resume", tooltip="Resume the run from its last checkpoint"),
        Binding("t", "chat", "chat", id="run.chat", tooltip="Chat with its adapter beside the base model"),
        Binding("M", "evaluate", "evaluate", id="run.evaluate", tooltip="Measure it beside its base on rows held out"),
        Binding("n", "new_like", "new like this", id="run.new_like", tooltip="A new run that starts from this recipe"),
        Binding("right_square_bracket", "tab(1)", "next tab", id="run.next_tab", key_display="]"),
        Binding("E", "export_run", "export", id="run.export", tooltip="Merge it, write GGUF, or copy the adapter out"),
        Binding("R", "register_run", "register", id="run.register", tooltip="Keep its adapter under a name"),
        Binding("v", "evaluations", "evaluations", id="run.evaluations", show=False, tooltip="What it was measured at"),
        Binding("left_square_bracket", "tab(-1)", "previous tab", id="run.previous_tab", show=False, key_display="["),
        Binding("tab", "tab(1)", "next tab", id="run.next_tab_too", show=False),
        Binding("shift+tab", "tab(-1)", "previous tab", id="run.previous_tab_too", show=False),
        Binding("escape", "back", "runs", id="page.back", key_display="esc", tooltip="Back to the list of runs"),
        Binding("d", "remove_run", "remove", id="run.remove", show=False, tooltip="Remove the run and its files"),
        Binding("e", "rename_run", "rename", id="run.rename", show=False, tooltip="Rename the run"),
        Binding("number_sign", "tag_run", "tags", id="run.tag", show=False, key_display="#", tooltip="Edit its tags"),
        Binding("N", "note_run", "note", id="run.note", show=False, tooltip="Write a note on the run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.run_id = ""
        self._tab = "charts"
        """The one that is shown: it follows what was chosen once its pane is there."""
        self._detail: Detail | None = None
        self._reading = False
        self._again = False
        self._failing = False
        self._missed = False
        """Whether the run changed while another page was in front."""
        self._answered = asyncio.Event()
        """Whether something was read of the run, or could not be."""
        self._building = asyncio.Lock()
        self._stale: list[RunPane] = []
        """Panes of the run before, to be taken away."""
        self._begun = False
        """Whether the widgets are there."""
        self._early: tuple[Detail | None, Any] | None = None
        """What was read before they were."""

    def compose_body(self) -> ComposeResult:
        yield RunHeadline()
        yield RunBanner()
        yield TargetLine()
        yield TabLine(TABS)
        charts = ChartsPane(id="charts")
        with Vertical(id="panes"):
            yield charts
        self.on_runs_changed(self._changed)
        if self.finetui.is_ready:  # while the widgets are being mounted
            self._reading = True
            self._read_pane(charts)

    def on_mount(self) -> None:
        self.query_one(ChartsPane).focus()
        self.when_ready(self._start)

    async def open(self, run_id: str) -> bool:
        """Make ready to show a run, and wait a moment for what there is to show. Returns whether there is such a run.

        The run shown last is shown again as it was left.
        """
        if run_id != self.run_id:
            self.run_id = run_id
            self._detail = None
            if self._begun:
                self._forget()
        if not self._begun:  # what is read while the widgets are mounted
            return True
        self._reading = self._again = False  # what is under way may be of another run; it is dropped
        self._answered.clear()
        self.read_again()
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_S):
                await self._answered.wait()
        return bool(self.run_id)

    def _forget(self) -> None:
        """Nothing of the run shown last may be seen any more; its panes go when there is time."""
        charts = self.query_one(ChartsPane)
        self._stale = [pane for pane in self.query(RunPane) if pane is not charts]
        self._tab = self.query_one(TabLine).active = "charts"
        self._show_pane()
        charts.forget()

    def _start(self) -> None:
        self._begun = True
        early, self._early = self._early, None
        if early is not None:
            self._show(self.query_one(ChartsPane), early)
        elif not self._reading:
            self.read_again()

    def _changed(self, ids: set[str]) -> None:
        if self.run_id not in ids:
            return
        if not self._begun:
            self._again = True
        elif self.is_current:
            self.read_again()
        else:
            self._missed = True

    def on_screen_resume(self) -> None:
        if self._missed:
            self.read_again()

    @property
    def current_run(self) -> "Run | None":
        return self._detail.run if self._detail else None

    @property
    def pane(self) -> RunPane:
        """The tab at hand."""
        return self.query_one(f"#{self._tab}", RunPane)

    @on(ChartsPane.ReadAgain)
    def read_again(self) -> None:
        """Read the run and the tab at hand anew; while a reading is under way, once more after it."""
        if not self.finetui.is_ready:
            return
        self._missed = False
        if self._reading:
            self._again = True
            return
        self._reading = True
        self._read_pane(self.pane)

    def _read_pane(self, pane: RunPane) -> None:
        read = partial(_read, self.services, self.run_id, pane)
        self.in_thread(read, partial(self._show, pane), group="detail", failed=self._read_failed)

    def _read_failed(self, error: Exception) -> None:
        """Said once: while the store is locked, every reading fails."""
        from tui.errors import show_error

        self._reading = False
        self._answered.set()
        if not self._failing:
            self._failing = True
            show_error(self.app, error, "The run cannot be read")

    def _show(self, pane: RunPane, found: tuple[Detail | None, Any]) -> None:
        if not self._begun:
            self._early = found
            return
        self._reading = self._failing = False
        self._answered.set()
        detail, content = found
        if detail is None:
            self.run_id = ""
            if self.app.screen is self:
                self.action_back()
            return
        before, self._detail = self._detail, detail
        self.query_one(RunHeadline).run = detail.run
        self.query_one(RunBanner).show(detail)
        self.query_one(TargetLine).show(detail.targets, detail.target_problem)
        if pane.is_mounted:
            pane.show(content)
        self.query_one(TabLine).counts = {"events": detail.run.alerts + detail.run.warnings + len(detail.findings)}
        if before is None or _keys_of(before.run) != _keys_of(detail.run):
            self.refresh_bindings()
        if before is None:
            self._build_ahead()
        if self._again:
            self._again = False
            self.read_again()

    # Tabs

    def action_tab(self, places: int) -> None:
        self.query_one(TabLine).move(places)

    @on(TabLine.Chosen)
    async def _chosen(self, event: TabLine.Chosen) -> None:
        await self._build(event.tab)
        self._tab = event.tab
        self._show_pane()
        self.refresh_bindings()
        self.read_again()
        self._build_ahead()

    def _show_pane(self) -> None:
        """Show the tab at hand and give it the keys."""
        for pane in self.query(RunPane):
            pane.display = pane.id == self._tab
        self.set_focus(self.pane.taker)

    def _build_ahead(self) -> None:
        tabs = list(TABS)
        following = tabs[(tabs.index(self._tab) + 1) % len(tabs)]
        self.set_timer(AHEAD_S, partial(self._build, following))

    async def _build(self, tab: str) -> None:
        """Mount the pane of a tab, hidden, unless it is there."""
        async with self._building:
            stale, self._stale = self._stale, []
            await self.query_one("#panes").remove_children(stale)
            if not self.query(f"#{tab}"):
                pane = PANES[tab](tab)
                pane.display = False
                await self.query_one("#panes").mount(pane)


def _read(services: "Services", run_id: str, pane: RunPane) -> tuple[Detail | None, Any]:
    """The run, and what the pane shows of it."""
    detail = read_detail(services.store, run_id)
    if detail is None:
        return None, None
    targets, problem = read_run_targets(services.home, services.store, detail.run)
    return replace(detail, targets=targets, target_problem=problem), pane.read(services, detail.run)


def _keys_of(run: "Run") -> tuple[object, ...]:
    """What of a run decides which keys apply."""
    return run.status, bool(run.finding), run.source


def _samples(tab: str) -> RunPane:
    from tui.widgets.run_samples import SamplesPane

    return SamplesPane(id=tab)


def _log(tab: str) -> RunPane:
    from tui.widgets.run_log import LogPane

    return LogPane(id=tab)


def _events(tab: str) -> RunPane:
    from tui.widgets.run_events import EventsPane

    return EventsPane(id=tab)


def _recipe(tab: str) -> RunPane:
    from tui.widgets.run_recipe import RecipePane

    return RecipePane(id=tab)


def _data(tab: str) -> RunPane:
    from tui.widgets.run_data import DataPane

    return DataPane(id=tab)


def _lineage(tab: str) -> RunPane:
    from tui.widgets.run_lineage import LineagePane

    return LineagePane(id=tab)


PANES: dict[str, Callable[[str], RunPane]] = {
    "samples": _samples,
    "log": _log,
    "events": _events,
    "recipe": _recipe,
    "data": _data,
    "lineage": _lineage,
}
"""How each tab but the first is made, once it is opened: most runs are looked at by their charts alone."""
