"""Why a run ended other than well: what happened, the evidence, what is suggested."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.screens.dialogs import Dialog, key_words
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.insight.failures import Failure
    from store.records import Run


class FailureDialog(Dialog[bool]):
    """`a` answers `True`: do what is suggested. Esc closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "answer(True)", "fix", id="run.fix"),
        Binding("escape,enter,q,w", "answer(False)", "close", id="dialog.close"),
        Binding("j,down", "scroll(1)", "down", id="reading.down"),
        Binding("k,up", "scroll(-1)", "up", id="reading.up"),
    ]

    def __init__(self, run: "Run", failure: "Failure") -> None:
        super().__init__()
        self.run = run
        self.failure = failure
        self.title_text = run.name

    def compose(self) -> ComposeResult:
        failure = self.failure
        with self.box("-act", "-wide"):
            with VerticalScroll(id="parts", can_focus=False):
                yield Static(f"{clean_line(failure.title)}  ({failure.code})", markup=False, classes="part")
                if failure.why:
                    yield Static(clean(failure.why), markup=False, classes="part muted")
                yield Static(clean(failure.suggestion), markup=False, classes="part fix")
                if failure.changes:
                    yield Static(self._changes(), markup=False, classes="part")
            yield Static(key_words(("a", clean_line(failure.offer)), ("esc", "close")), classes="keys")

    def _changes(self) -> str:
        """Each field with what the run had: `learning_rate   100 → 0.001`."""
        width = max(map(len, self.failure.changes))
        return "\n".join(
            f"{name:<{width}}   {clean_line(str(self.run.recipe.get(name, '')))} → {clean_line(str(value))}"
            for name, value in self.failure.changes.items()
        )

    def action_scroll(self, lines: int) -> None:
        self.query_one("#parts").scroll_relative(y=lines, animate=False)

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)
