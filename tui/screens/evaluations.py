"""Evaluations: which models were measured on what, how far is it?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_when
from tui.screens.evaluation_actions import EvaluationActions
from tui.text import clean_line
from tui.widgets.evaluation_words import left_words, state_words
from tui.widgets.gauge import bar
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.evaluation.state import EvaluationState
    from store.evaluation_records import Evaluation
    from tui.widgets.evaluation_reading import Listed

EMPTY = """\
Nothing was evaluated yet.

An evaluation measures models on the same rows, beside their base: rows held out
of a dataset, the prompts of a suite, or probes of what the base knows. It says
whether a run is better, how sure that is, and where it is worst.

Press n to choose models and rows."""
EMPTY_RUN = """\
This run was not evaluated yet.

Press n to measure it beside its base, on the rows held out of its dataset."""


def _done(one: "Listed") -> tuple[str, str]:
    state = one.state
    if str(state.stage) == "done":
        return f"{state.total:,}", ""
    share = state.done / state.total if state.total else None
    return f"{bar(share, 6)} {state.done:,}/{state.total:,}", "live" if str(state.stage) == "running" else ""


COLUMNS = (
    Column("evaluation", 16, lambda one: (clean_line(one.state.evaluation.name), ""), share=2),
    Column("state", 9, lambda one: state_words(one.state)),
    Column("answers", 16, _done),
    Column("models", 20, lambda one: (", ".join(one.labels), "dim"), share=3),
    Column("rows of", 16, lambda one: (one.data, "dim"), share=2, needs=110),
    Column("left", 10, lambda one: (left_words(one.state).removesuffix(" left"), "dim"), right=True),
    Column("started", 10, lambda one: (fmt_when(one.state.evaluation.created), "dim"), right=True, needs=96),
)


class EvaluationsScreen(EvaluationActions):
    """All evaluations, the newest first; of one run where `run_id` names it."""

    TITLE = "Evaluations"
    CSS_PATH = "evaluations.tcss"
    AUTO_FOCUS = "#evaluations"
    HELP = """
**Which models were measured, and on what?** `n` chooses models and rows and starts; it goes on without finetui, and
what was measured is kept. `Enter` shows what came of it: is a model better than its base, and where is it worst?

`s` stops, `R` measures what is missing of one that was stopped or failed, `x` removes it.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "start", "evaluate", id="evaluations.start", tooltip="Choose models and rows, and measure"),
        Binding("a", "all", "all", id="evaluations.all", tooltip="The evaluations of all models"),
        Binding("escape", "back", "back", id="evaluations.back", tooltip="Back to where you came from"),
    ]

    def __init__(self, run_id: str = "", label: str = "") -> None:
        super().__init__()
        self.run_id = run_id
        self.shown_run = run_id
        self.label = label
        self._select = ""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="of", markup=False)
        yield ItemTable(COLUMNS, id="evaluations")
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self._show_of()
        self.when_ready(self.start_reading)

    def _show_of(self) -> None:
        of = self.query_one("#of", Static)
        of.display = bool(self.shown_run)
        of.update(Content.assemble("Evaluations of ", (clean_line(self.label or self.run_id), "bold")))
        self.query_one("#empty", Static).update(Content(EMPTY_RUN if self.shown_run else EMPTY))

    def reload(self) -> None:
        """Read the list anew, unless a reading is under way."""
        from tui.widgets.evaluation_reading import read_listing

        if not self.reading:
            self.reading = True
            read = partial(read_listing, self.services, self.shown_run)
            self.in_thread(read, self._show, group="evaluations", failed=self._failed)

    def _show(self, found: "list[Listed]") -> None:
        self.reading = False
        self._table.set_items(found, select=self._select or None)
        self._select = ""
        self.set_class(not found, "-empty")
        self.refresh_bindings()

    def _failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self.reading = False
        show_error(self.app, error, "The evaluations cannot be read")

    @property
    def _table(self) -> ItemTable:
        return self.query_one("#evaluations", ItemTable)

    @property
    def current_state(self) -> "EvaluationState | None":
        one: Listed | None = self._table.highlighted if self.is_mounted else None
        return one.state if one is not None else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "all":
            return bool(self.run_id)
        return super().check_action(action, parameters)

    @on(RowList.Highlighted)
    def _other(self) -> None:
        self.refresh_bindings()

    def action_all(self) -> None:
        """All evaluations, or those of the run again."""
        self.shown_run = "" if self.shown_run else self.run_id
        self._show_of()
        self.reload()

    def action_start(self) -> None:
        """Choose models and rows, and measure."""
        from tui.screens.evaluation_start import evaluate

        evaluate(self, [self.run_id] if self.run_id else [], self._started)

    def _started(self, evaluation: "Evaluation") -> None:
        self._select = evaluation.id

    @on(RowList.Opened)
    def _open(self) -> None:
        from tui.screens.evaluation import EvaluationScreen

        if state := self.current_state:
            self.app.push_screen(EvaluationScreen(state.id))
