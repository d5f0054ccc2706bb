"""The trials of a sweep: one a line, best first, the varied fields as columns."""

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tui.format import fmt_duration, fmt_number
from tui.text import clean_line
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.row_list import Cells
from tui.widgets.sweep_words import param_words, trial_state

if TYPE_CHECKING:
    from engine.sweeps.analysis import SweepView, TrialView

STATE_WIDTH = 14
WIDEST_PARAM = 16


class TrialTable(ItemTable):
    """Trials of a `SweepView`. The best has a star; pruned ones are dim."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark", id="trials.mark", tooltip="Mark the trial's run, to compare several"),
    ]

    class MarksChanged(Message):
        """A trial was marked or unmarked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__((), id=id)
        self.marked: dict[str, None] = {}
        """Ids of marked runs in the order in which they were marked."""
        self._best: str | None = None

    def show(self, view: "SweepView") -> None:
        """Show these trials."""
        self._best = view.best.id if view.best else None
        self.columns = self._columns_of(view)
        self.set_items(view.ranked())

    def _columns_of(self, view: "SweepView") -> list[Column]:
        names = list(view.spec.search) if view.spec else sorted({name for one in view.trials for name in one.params})
        metric = clean_line(view.metric.removeprefix("eval/"))
        return [
            Column("", 2, self._mark),
            Column("#", 3, lambda trial: (str(trial.number + 1), "dim"), right=True),
            *(_param_column(name, view) for name in names),
            Column(f"eval {metric}", max(9, len(metric) + 5), self._value, right=True),
            Column("state", STATE_WIDTH, lambda trial: trial_state(trial, STATE_WIDTH), share=1),
            Column("step", 5, lambda trial: (str(trial.step or ""), "dim"), right=True, needs=70),
            Column("took", 9, _took, right=True, needs=84),
        ]

    def cells(self, row: int, width: int) -> Cells:
        """As any table's, but the whole line of a pruned or failed trial in its tone."""
        found = super().cells(row, width)
        tone = {"pruned": "dim", "failed": "act"}.get(self.items[row].state)
        return found if tone is None else [(text, tone if old != "mark" else old) for text, old in found]

    def _mark(self, trial: "TrialView") -> tuple[str, str]:
        if trial.run is not None and trial.run.id in self.marked:
            return "✱", "mark"
        return ("★", "good") if trial.id == self._best else ("", "")

    def _value(self, trial: "TrialView") -> tuple[str, str]:
        return (fmt_number(trial.value) if trial.value is not None else "", "good" if trial.id == self._best else "")

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor and go down a row."""
        trial: TrialView | None = self.highlighted
        if trial is None or trial.run is None:
            return
        if trial.run.id in self.marked:
            del self.marked[trial.run.id]
        else:
            self.marked[trial.run.id] = None
        self.post_message(self.MarksChanged())
        self.action_move(1)
        self.refresh()


def _param_column(name: str, view: "SweepView") -> Column:
    words = [param_words(trial.params.get(name)) for trial in view.trials]
    width = min(WIDEST_PARAM, max(len(name), *(len(word) for word in words), 3))
    return Column(name, width, lambda trial: (param_words(trial.params.get(name)), ""), right=True)


def _took(trial: "TrialView") -> tuple[str, str]:
    return (fmt_duration(trial.duration_s) if trial.duration_s is not None else "", "dim")
