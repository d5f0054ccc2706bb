"""Prompt suites: which there are, which models were asked, how far is it?"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_duration, fmt_when
from tui.screens.suite_actions import SuiteActions
from tui.text import clean_line
from tui.widgets.gauge import bar
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.row_list import RowList
from tui.widgets.suite_reading import REMOVED, ListedRun, ListedSuite, Listing, read_listing
from tui.widgets.suite_table import state_words

if TYPE_CHECKING:
    from engine.suites.state import SuiteState
    from store.records import Dataset
    from tui.screens.suite_start import Candidate, Start
    from tui.services import Services

EMPTY = """\
No prompt suites yet.

A suite is a dataset of prompts. All of them are put to several models, and the
answers stand side by side.

Press i and Enter for the twenty prompts that come with finetui, or type a file:
JSONL with `prompt` or `turns` in each line, `category` and `reference` if you like."""
NO_RUNS = "No model was asked yet. Enter on a suite chooses models and starts."


def _left(one: ListedRun) -> tuple[str, str]:
    state = one.state
    running = str(state.stage) == "running"
    left = fmt_duration(state.eta_s) if state.eta_s is not None and running else ""
    return (left or (clean_line(state.doing) if running else ""), "dim")


def _done(one: ListedRun) -> tuple[str, str]:
    state = one.state
    share = state.done / state.total if state.total else None
    return f"{bar(share, 6)} {state.done}/{state.total}", "live" if str(state.stage) == "running" else ""


SUITE_COLUMNS = (
    Column("suite", 18, lambda one: (f"{clean_line(one.dataset.name)} v{one.dataset.version}", ""), share=1),
    Column("prompts", 8, lambda one: (f"{one.dataset.rows:,}", ""), right=True),
    Column("asked", 6, lambda one: (str(one.asked or ""), "dim"), right=True),
    Column("made", 12, lambda one: (fmt_when(one.dataset.created), "dim"), right=True),
)
RUN_COLUMNS = (
    Column("asked", 14, lambda one: (clean_line(one.state.run.name), ""), share=2),
    Column("state", 9, lambda one: state_words(one.state)),
    Column("answers", 15, _done),
    Column("errors", 6, lambda one: (str(one.state.errors or ""), "act"), right=True),
    Column("models", 20, lambda one: (", ".join(one.labels), "dim"), share=3),
    Column("suite", 14, lambda one: (one.suite, "dim"), share=1, needs=100),
    Column("left", 10, _left, right=True, needs=90),
    Column("started", 10, lambda one: (fmt_when(one.state.run.created), "dim"), right=True, needs=112),
)


class SuitesScreen(SuiteActions):
    """The suites above, the times that models were asked one below. `models` are chosen when one is started."""

    TITLE = "Prompt suites"
    CSS_PATH = "suites.tcss"
    AUTO_FOCUS = "#suites"
    HELP = """
**The same prompts for several models.** Above are the suites, which are datasets of prompts; below, the times that
models were asked one. `Enter` on a suite chooses models and starts: that goes on without finetui, and each answer is
kept as it comes. `Enter` below shows the answers, prompts down and models across.

`s` stops, `R` asks what is missing and what ended in an error, `b` votes blind on the suite in the arena, `e` writes
the answers into a file. `i` takes in a file of prompts. `Tab` goes between the lists.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "other_list", "other list", id="suites.other", show=False, tooltip="Suites, or what was asked"),
        Binding("n", "start", "ask models", id="suites.start", tooltip="Choose models and ask them this suite"),
        Binding("i", "import", "import", id="suites.import", tooltip="A file of prompts, or those that are shipped"),
        Binding("escape", "back", "back", id="suites.back", tooltip="Back to where you came from"),
    ]

    def __init__(self, models: Sequence[str] = ()) -> None:
        super().__init__()
        self.models = tuple(models)
        self._select = ""

    def compose_body(self) -> ComposeResult:
        yield ItemTable(SUITE_COLUMNS, id="suites")
        yield ItemTable(RUN_COLUMNS, id="runs")
        yield Static(Content(NO_RUNS), id="no-runs")
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.when_ready(self.start_reading)

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size.height)

    def reload(self) -> None:
        """Read both lists anew, unless a reading is under way."""
        if not self.reading:
            self.reading = True
            self.in_thread(partial(read_listing, self.services), self._show, group="suites", failed=self._failed)

    def _show(self, found: Listing) -> None:
        self.reading = False
        self._suites.set_items(found.suites)
        self._runs.set_items(found.runs, select=self._select or None)
        self._select = ""
        self.set_class(not found.suites and not found.runs, "-empty")
        self.set_class(not found.runs, "-no-runs")
        self._fit(self.size.height)
        self.refresh_bindings()

    def _failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self.reading = False
        show_error(self.app, error, "The suites cannot be read")

    def _fit(self, height: int) -> None:
        """The suites take the lines that they need, and a third of the screen at most."""
        self._suites.styles.height = 1 + max(1, min(len(self._suites.items), height // 3)) + 1

    @property
    def _suites(self) -> ItemTable:
        return self.query_one("#suites", ItemTable)

    @property
    def _runs(self) -> ItemTable:
        return self.query_one("#runs", ItemTable)

    @property
    def current_run(self) -> "SuiteState | None":
        one: ListedRun | None = self._runs.highlighted if self.is_mounted and self.focused is self._runs else None
        return one.state if one is not None else None

    @property
    def current_suite(self) -> str:
        if self.is_mounted and self.focused is self._suites:
            one: ListedSuite | None = self._suites.highlighted
            return one.id if one is not None else ""
        asked: ListedRun | None = self._runs.highlighted if self.is_mounted else None
        return "" if asked is None or asked.suite == REMOVED else super().current_suite

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "start":
            return bool(self.current_suite)
        if action == "other_list":
            return self.is_mounted and bool(self._runs.count)
        return super().check_action(action, parameters)

    @on(RowList.Highlighted)
    @on(events.DescendantFocus)
    def _other(self) -> None:
        self.refresh_bindings()

    def action_other_list(self) -> None:
        (self._suites if self.focused is self._runs else self._runs).focus()

    @on(RowList.Opened, "#suites")
    def action_start(self) -> None:
        """Choose models for this suite."""
        from tui.screens.suite_start import read_candidates

        if suite := self.current_suite:
            self.in_thread(
                lambda: (read_candidates(self.services), self.services.library.resolve(suite)),
                self._choose,
                group="suite-start",
                title="The suite cannot be asked",
            )

    def _choose(self, found: "tuple[list[Candidate], Dataset]") -> None:
        from tui.screens.suite_start import SuiteStartDialog, default_models

        candidates, suite = found
        chosen = self.models or default_models(candidates)
        dialog = SuiteStartDialog(suite.id, suite.name, suite.rows, candidates, chosen)
        self.app.push_screen(dialog, self._start)

    def _start(self, start: "Start | None") -> None:
        from tui.screens.suite_start import start_suite

        if start is not None:
            begin = partial(start_suite, self.services, start)
            self.in_thread(begin, self._started, group="suite-act", title="It cannot be asked", exclusive=False)

    def _started(self, suite_run: str) -> None:
        from tui.screens.suite_run import SuiteRunScreen

        self._select = suite_run
        self._runs.focus()
        self.app.push_screen(SuiteRunScreen(suite_run))

    @on(RowList.Opened, "#runs")
    def _open(self) -> None:
        from tui.screens.suite_run import SuiteRunScreen

        if state := self.current_run:
            self.app.push_screen(SuiteRunScreen(state.id))

    def action_import(self) -> None:
        """Ask for a file of prompts, and take it in as a dataset."""
        from tui.screens.dialogs import TextDialog

        hint = "A .jsonl, .csv or .toml file; `everyday` is the twenty prompts that come with finetui."
        self.app.push_screen(TextDialog("Prompts from", "everyday", hint=hint), self._import)

    def _import(self, text: str | None) -> None:
        if text:
            take = partial(_take_in, self.services, text)
            self.in_thread(take, lambda _: self.reload(), group="suite-import", title="These are no prompts")


def _take_in(services: "Services", text: str) -> None:
    from engine.suites.reading import find_suite

    find_suite(services.library, text)
