"""One suite run: what did each model say to each prompt?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.screens.suite_actions import SuiteActions
from tui.text import clean_line
from tui.widgets.find_line import FindLine
from tui.widgets.row_list import RowList
from tui.widgets.suite_reading import Answered, TakenRun, matching, read_run
from tui.widgets.suite_table import AnswerTable, category_lines, figure_lines, headline

if TYPE_CHECKING:
    from engine.suites.state import SuiteState


class SuiteRunScreen(SuiteActions):
    """Prompts down, models across; figures by model above."""

    TITLE = "Suite run"
    CSS_PATH = "suite_run.tcss"
    AUTO_FOCUS = "AnswerTable"
    HELP = """
**What did each model say to each prompt?** A line is a prompt, a column a model; the first model stays in its place,
`[` and `]` go through the others where the screen is too narrow for all. `═ the same` is word for word what the first
model said. `Enter` opens a prompt with the answers in full, side by side, and what differs from the first marked.

`/` looks for words in prompts and answers, `c` shows one category after the other. Above stand the figures of each
model: answers, errors, mean tokens, tokens a second, seconds to the first token, length as a multiple of the
reference's, and how many answers are the same as the first model's. With `c` they are those of that category alone;
`f` shows mean tokens and length of all categories, then nothing.

The run goes on without this screen. `R` asks what is missing and what ended in an error.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "models(-1)", "model before", id="suite_run.before", show=False),
        Binding("right_square_bracket", "models(1)", "models", id="suite_run.after", key_display="[ ]"),
        Binding(
            "slash", "find", "filter", id="suite_run.find", key_display="/", tooltip="Words in prompts and answers"
        ),
        Binding("c", "category", "category", id="suite_run.category", tooltip="The next category alone, then all"),
        Binding("f", "figures", "figures", id="suite_run.figures", show=False, tooltip="By model, by category, none"),
        Binding("escape", "back", "back", id="suite_run.back", tooltip="End the filter, else back to the suites"),
    ]

    def __init__(self, suite_run: str) -> None:
        super().__init__()
        self.suite_run = suite_run
        self.taken: TakenRun | None = None
        self.category = ""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        yield Static("", id="figures", markup=False)
        yield AnswerTable(id="answers")
        yield Static("", id="none", markup=False)
        yield FindLine("words in prompts and answers")

    def on_mount(self) -> None:
        self.when_ready(self.start_reading)

    def on_resize(self) -> None:
        self._show_head()

    def reload(self) -> None:
        """Read the run anew, unless a reading is under way."""
        if not self.reading:
            self.reading = True
            read = partial(read_run, self.services, self.suite_run, self.taken)
            self.in_thread(read, self._show, group="suite-run", failed=self._failed)

    def _show(self, taken: TakenRun) -> None:
        self.reading = False
        if taken is self.taken:
            return
        self.taken = taken
        self._show_rows()
        self._show_head()
        self.refresh_bindings()

    def _failed(self, error: Exception) -> None:
        self.reading = False
        self.cannot_be_shown(error, "The answers cannot be read")

    def _show_head(self) -> None:
        if (taken := self.taken) is not None:
            self.query_one("#head", Static).update(headline(taken, self._note(taken)))
            self.query_one("#figures", Static).update(self._figures(taken))

    def _figures(self, taken: TakenRun) -> Content:
        """The figures of all prompts, or of the category at hand; or those of all categories."""
        if self.has_class("-categories"):
            models = self.query_one(AnswerTable).shown(self.size.width)
            return category_lines(taken.labels, taken.categories, models)
        figures = next((one.models for one in taken.categories if one.category == self.category), taken.figures)
        return figure_lines(taken.labels, figures if self.category else taken.figures, self.size.width)

    def _note(self, taken: TakenRun) -> str:
        """What is not shown, and why."""
        table = self.query_one(AnswerTable)
        shown = table.shown(self.size.width)
        notes = [f"only {clean_line(self.category)}"] if self.category else []
        if taken.labels and len(shown) < len(taken.labels):
            numbers = ", ".join(str(place + 1) for place in shown)
            notes.append(f"models {numbers} of {len(taken.labels)}")
        return " · ".join(notes)

    def _show_rows(self) -> None:
        if (taken := self.taken) is None:
            return
        find = self.query_one(FindLine)
        rows = matching(taken.rows, find.text, self.category)
        find.show_count(f"{len(rows)} of {len(taken.rows)}", none=not rows)
        self.query_one(AnswerTable).show(rows, taken.labels)
        self.set_class(not rows, "-none")
        where = f" in {clean_line(self.category)}" if self.category else ""
        self.query_one("#none", Static).update(f"No prompt{where} and no answer to one has these words. Esc shows all.")

    @property
    def current_run(self) -> "SuiteState | None":
        return self.taken.state if self.taken else None

    @property
    def current_suite(self) -> str:
        return "" if self.taken and self.taken.suite.removed else super().current_suite

    def removed(self) -> None:
        self.leave()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        taken = self.taken
        if action == "models":
            return taken is not None and len(self.query_one(AnswerTable).shown(self.size.width)) < len(taken.labels)
        if action == "category":
            return taken is not None and bool(taken.suite.categories)
        if action == "find":
            return taken is not None
        return super().check_action(action, parameters)

    def action_models(self, places: int) -> None:
        """Show other models beside the first."""
        self.query_one(AnswerTable).shift(places)
        self._show_head()

    def action_find(self) -> None:
        self.query_one(FindLine).start()

    def action_category(self) -> None:
        """The next category alone; after the last, all."""
        if self.taken is not None:
            around = ["", *self.taken.suite.categories]
            self.category = around[(around.index(self.category) + 1) % len(around)]
            self._show_rows()
            self._show_head()

    def action_figures(self) -> None:
        """The figures of the models, those of the categories, none."""
        around = ["", "-categories", "-no-figures"] if self.taken and self.taken.categories else ["", "-no-figures"]
        now = next((place for place, one in enumerate(around) if one and self.has_class(one)), 0)
        self.remove_class("-categories", "-no-figures")
        self.add_class(*filter(None, [around[(now + 1) % len(around)]]))
        self._show_head()

    def action_back(self) -> None:
        find = self.query_one(FindLine)
        if find.is_open:
            find.action_close()
        else:
            super().action_back()

    @on(FindLine.Changed)
    def _looked_for(self, event: FindLine.Changed) -> None:
        event.stop()
        self._show_rows()

    @on(FindLine.Left)
    def _left(self, event: FindLine.Left) -> None:
        event.stop()
        self.query_one(AnswerTable).focus()

    @on(RowList.Opened)
    def _open(self) -> None:
        from tui.screens.suite_answers import SuiteAnswersScreen

        table = self.query_one(AnswerTable)
        if table.highlighted is not None:
            opened = SuiteAnswersScreen(table.rows, table.cursor, table.labels, table.start)
            self.app.push_screen(opened, lambda _: self._returned(opened.row))

    def _returned(self, row: Answered) -> None:
        """Back from a prompt: the cursor is where one left off."""
        places = [one.prompt.position for one in self.query_one(AnswerTable).rows]
        if row.prompt.position in places:
            self.query_one(AnswerTable).move_to(places.index(row.prompt.position))
