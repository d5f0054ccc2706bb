"""One row of an evaluation: what was expected, what each model said, word by word."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.screens.page import Page
from tui.widgets.evaluation_words import answer_words, asked_words
from tui.widgets.suite_table import shown_models

if TYPE_CHECKING:
    from tui.widgets.evaluation_reading import ShownRow, Taken

COLUMN = 36
"""Cells that an answer needs beside others."""


class EvaluationRowScreen(Page):
    """A row with all answers to it. `j` and `k` go to the next and the one before."""

    MODE = "runs"
    TITLE = "Row"
    CSS_PATH = "evaluation_row.tcss"
    AUTO_FOCUS = "#scroll"
    HELP = """
**What is wrong with this answer?** The model's answer at the left, that of the model it is compared with beside it.
Words that were expected and are missing are struck, words that came instead are green; `d` shows answers as they are.
⚑ names the words that the safety lists found.

`j` and `k` go through the rows as they are sorted, `[` and `]` through the models where there is no room for all.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,n", "row(1)", "next row", id="evaluation_row.next", key_display="j k"),
        Binding("k,p", "row(-1)", "row before", id="evaluation_row.before", show=False),
        Binding("right_square_bracket,l", "models(1)", "models", id="evaluation_row.model_after", key_display="[ ]"),
        Binding("left_square_bracket,h", "models(-1)", "model before", id="evaluation_row.model_before", show=False),
        Binding("d", "diff", "differences", id="evaluation_row.diff", tooltip="Mark what differs from the expected"),
        Binding("escape", "back", "back", id="evaluation_row.back", tooltip="Back to the rows"),
    ]

    def __init__(self, taken: "Taken", rows: "Sequence[ShownRow]", place: int) -> None:
        super().__init__()
        self.taken = taken
        self.rows = list(rows)
        self.place = place
        self.start = 0
        self.differences = True
        others = [model for model in range(1, len(taken.results.labels)) if model != taken.model]
        self.models = [taken.model, *([0] if taken.model else []), *others]
        """The one that the rows are sorted by, then the one that it is compared with."""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        yield VerticalScroll(id="scroll")

    async def on_mount(self) -> None:
        await self._show()

    async def on_resize(self, event: events.Resize) -> None:
        await self._show()

    @property
    def _room(self) -> int:
        return max(1, (self.size.width - 2) // COLUMN)

    def _shown(self) -> list[int]:
        return [self.models[one] for one in shown_models(len(self.models), self._room, self.start)]

    async def _show(self) -> None:
        row, shown = self.rows[self.place], self._shown()
        hidden = len(self.models) - len(shown)
        where = f"{self.place + 1:,} of {len(self.rows):,}, the worst first" if self.taken.by else ""
        notes = [where or f"{self.place + 1:,} of {len(self.rows):,}", f"{hidden} models more" if hidden else ""]
        self.query_one("#head", Static).update(Content(" · ".join(filter(None, notes))).stylize("$text-muted"))
        answers = [Static(answer_words(self.taken, row, one, marked=self.differences), markup=False) for one in shown]
        asked = Static(asked_words(self.taken, row), markup=False, classes="asked")
        parts: list[Widget] = [asked, Horizontal(*answers, classes="answers")]
        scroll = self.query_one("#scroll", VerticalScroll)
        async with self.batch():
            await scroll.remove_children()
            await scroll.mount_all(parts)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "models":
            return len(self._shown()) < len(self.models)
        if action == "diff":
            return self.rows[self.place].compared.row.expected is not None
        return super().check_action(action, parameters)

    async def action_row(self, places: int) -> None:
        """Go to another row."""
        place = max(0, min(self.place + places, len(self.rows) - 1))
        if place != self.place:
            self.place = place
            await self._show()
            self.query_one("#scroll", VerticalScroll).scroll_home(animate=False)

    async def action_models(self, places: int) -> None:
        """Show other models beside the first."""
        self.start = max(0, min(self.start + places, len(self.models) - self._room))
        await self._show()

    async def action_diff(self) -> None:
        """Mark what differs, or not."""
        self.differences = not self.differences
        await self._show()

    def action_back(self) -> None:
        self.dismiss(None)
