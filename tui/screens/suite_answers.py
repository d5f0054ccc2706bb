"""One prompt of a suite run: the answers in full, side by side, and what differs from the first model's."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.format import fmt_rate
from tui.screens.page import Page
from tui.text import clean, clean_line
from tui.widgets.sample_answers import compared, like_reference, plain
from tui.widgets.suite_reading import Answered
from tui.widgets.suite_table import shown_models

COLUMN = 36
"""Cells that an answer needs beside others."""
MUTED = "$text-muted"


class SuiteAnswersScreen(Page):
    """A prompt with all answers to it. `j` and `k` go to the next and the one before."""

    MODE = "chat"
    TITLE = "Answers"
    CSS_PATH = "suite_answers.tcss"
    AUTO_FOCUS = "#scroll"
    HELP = """
**Which model says it best?** The answers of all models to one prompt, the first model's at the left. In the others,
words that it says and they do not are struck, words of their own are green; `d` shows them as they are.

`j` and `k` go through the prompts, `[` and `]` through the models where there is no room for all.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,n", "prompt(1)", "next prompt", id="suite_answers.next", key_display="j k"),
        Binding("k,p", "prompt(-1)", "prompt before", id="suite_answers.before", show=False),
        Binding("left_square_bracket,h", "models(-1)", "model before", id="suite_answers.model_before", show=False),
        Binding("right_square_bracket,l", "models(1)", "models", id="suite_answers.model_after", key_display="[ ]"),
        Binding("d", "diff", "differences", id="suite_answers.diff", tooltip="Mark what differs from the first model"),
        Binding("escape", "back", "back", id="suite_answers.back", tooltip="Back to the table"),
    ]

    def __init__(self, rows: Sequence[Answered], place: int, labels: Sequence[str], start: int = 0) -> None:
        super().__init__()
        self.rows = rows
        self.place = place
        self.labels = labels
        self.start = start
        self.differences = True

    def compose_body(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        yield VerticalScroll(id="scroll")

    async def on_mount(self) -> None:
        await self._show()

    async def on_resize(self, event: events.Resize) -> None:
        await self._show()

    @property
    def row(self) -> Answered:
        return self.rows[self.place]

    def _models(self) -> list[int]:
        return shown_models(len(self.labels), max(1, (self.size.width - 2) // COLUMN), self.start)

    async def _show(self) -> None:
        prompt, models = self.row.prompt, self._models()
        hidden = len(self.labels) - len(models)
        notes = [f"prompt {self.place + 1} of {len(self.rows)}", clean_line(prompt.category)]
        notes.append(f"models {', '.join(str(one + 1) for one in models)} of {len(self.labels)}" if hidden else "")
        self.query_one("#head", Static).update(Content(" · ".join(filter(None, notes))).stylize(MUTED))
        scroll = self.query_one("#scroll", VerticalScroll)
        parts: list[Widget] = []
        if prompt.system:
            parts.append(Static(Content.assemble(("system  ", MUTED), clean(prompt.system)), classes="asked"))
        for turn, asked in enumerate(prompt.turns):
            head = [Content.assemble(("› ", "$text-primary"), (clean(asked), "bold"))]
            if reference := prompt.reference(turn):
                head.append(Content.assemble(("reference  ", "$text-success"), clean(reference)))
            parts.append(Static(Content("\n").join(head), classes="asked"))
            parts.append(Horizontal(*(Static(self._answer(turn, one)) for one in models), classes="answers"))
        async with self.batch():
            await scroll.remove_children()
            await scroll.mount_all(parts)
        self.refresh_bindings()

    def _answer(self, turn: int, model: int) -> Content:
        """One answer under its model's name."""
        name = Content.assemble((f" {model + 1} {clean_line(self.labels[model])} ", "bold reverse"))
        one = self.row.answers.get((turn, model))
        if one is None:
            return Content.assemble(name, "\n", ("not answered yet", MUTED))
        if one.error:
            return Content.assemble(name, "\n", (clean(one.error), "$text-error"))
        first = self.row.answers.get((turn, 0))
        text = clean(one.text)
        with_first = self.differences and model > 0 and first is not None and not first.error
        shown = compared(clean(first.text), text) if with_first and first is not None else plain(text)
        alike = like_reference(clean(self.row.prompt.reference(turn)), text)
        notes = [
            shown.note,
            f"{one.tokens} tokens" if one.tokens is not None else "",
            f"{fmt_rate(one.tokens_per_s)}/s" if one.tokens_per_s is not None else "",
            f"{alike:.0%} as reference" if alike is not None else "",
        ]
        return Content.assemble(name, "\n", (" · ".join(filter(None, notes)), MUTED), "\n", shown.content)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "models":
            return len(self._models()) < len(self.labels)
        if action == "diff":
            return len(self.labels) > 1
        return super().check_action(action, parameters)

    async def action_prompt(self, places: int) -> None:
        """Go to another prompt."""
        place = max(0, min(self.place + places, len(self.rows) - 1))
        if place != self.place:
            self.place = place
            await self._show()
            self.query_one("#scroll", VerticalScroll).scroll_home(animate=False)

    async def action_models(self, places: int) -> None:
        """Show other models beside the first."""
        room = max(1, (self.size.width - 2) // COLUMN)
        self.start = max(0, min(self.start + places, len(self.labels) - room))
        await self._show()

    async def action_diff(self) -> None:
        """Mark what differs, or not."""
        self.differences = not self.differences
        await self._show()

    def action_back(self) -> None:
        self.dismiss(None)
