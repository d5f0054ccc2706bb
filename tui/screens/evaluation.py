"""One evaluation: is it better than the base, and where is it worst?"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Static

from tui.screens.evaluation_actions import EvaluationActions
from tui.text import clean_line
from tui.widgets.evaluation_reading import (
    Listed,
    ShownRow,
    Taken,
    matching,
    read_categories,
    read_evaluation,
    sortable,
)
from tui.widgets.evaluation_rows import row_columns
from tui.widgets.evaluation_table import FigureLine, FigureTable, measure_lines
from tui.widgets.evaluation_targets import TargetLine
from tui.widgets.evaluation_words import answer_words, asked_words, figure_words, headline, note_words, verdict_words
from tui.widgets.find_line import FindLine
from tui.widgets.item_table import ItemTable
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.evaluation.state import EvaluationState
    from store.evaluation_records import Measured

SIDE_WIDTH, SIDE_HEIGHT = 120, 32
"""From which size on a row is shown beside the list of rows."""
TINY = 18
"""Below that many lines there are the verdict's beginning, figures and rows alone."""
LOW = 30
"""Below that many lines the list in focus has the room."""


class EvaluationScreen(EvaluationActions):
    """The verdict, the figures, the rows."""

    TITLE = "Evaluation"
    CSS_PATH = "evaluation.tcss"
    AUTO_FOCUS = "#figures"
    HELP = """
**Is it better than the base, and where is it worst?** First the verdict, then a line a measure: what each model came to
with the 95 % interval, and how it differs from the first model on the same rows. *Better* and *worse* are said only
where the interval leaves out 0 and the paired test agrees (p < 0.05). ★ is the best value of its line, where that can
be told from the first model's. Speeds are no part of the verdict. `[` `]` go through the models where there is no room
for all.

Below are the rows, the worst first. `Enter` on a measure sorts them by it, `o` chooses one, `m` takes another model.
`Enter` on a row shows it whole: what was expected and is missing is struck, what came instead is green; ⚑ are words of
the safety lists. `/` looks for words. `c` shows the measure by category, where rows have one; `Enter` on a category
shows its rows alone. `Tab` goes between figures and rows, `e` writes all of it into a file.

The evaluation goes on without this screen.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "other_list", "rows", id="evaluation.other", tooltip="Between figures and rows"),
        Binding("o", "order", "worst by", id="evaluation.order", tooltip="By which measure rows are the worst"),
        Binding("m", "model", "model", id="evaluation.model", tooltip="Sort the rows by another model's answers"),
        Binding("c", "categories", "categories", id="evaluation.categories", tooltip="The measure by category"),
        Binding("slash", "find", "filter", id="evaluation.find", key_display="/", tooltip="Rows with these words"),
        Binding("e", "export", "export", id="evaluation.export", tooltip="Write it as Markdown or CSV"),
        Binding("right_square_bracket", "models(1)", "models", id="evaluation.after", key_display="[ ]"),
        Binding("left_square_bracket", "models(-1)", "model before", id="evaluation.before", show=False),
        Binding("escape", "back", "back", id="page.back", key_display="esc", tooltip="End the filter, else go back"),
    ]

    def __init__(self, evaluation: str) -> None:
        super().__init__()
        self.evaluation = evaluation
        self.taken: Taken | None = None
        self.category = ""
        self._by = ""
        self._model: int | None = None
        self._categories: tuple[str, list[FigureLine]] | None = None
        """The measure that is shown by category, and its lines."""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        yield Static("", id="verdict", markup=False)
        yield TargetLine(id="targets")
        yield Static("", id="notes", markup=False)
        yield FigureTable(id="figures")
        yield Static("", id="figure", markup=False)
        with Horizontal(id="below"):
            yield ItemTable((), id="rows")
            with VerticalScroll(id="preview"):
                yield Static("", id="asked", markup=False)
                yield Static("", id="answer", markup=False)
                yield Static("", id="base", markup=False)
        yield Static("", id="none", markup=False)
        yield FindLine("words in questions and answers")

    def on_mount(self) -> None:
        self.query_one("#preview").can_focus = False
        self.when_ready(self.start_reading)

    @on(events.Resize)
    @on(events.DescendantFocus)
    def _fit(self) -> None:
        """The list in focus has the room where there is little."""
        width, height = self.size
        self.set_class(width >= SIDE_WIDTH and height >= SIDE_HEIGHT, "-side")
        low = height < LOW
        self.set_class(low, "-low")
        self.set_class(height < TINY, "-tiny")
        self.set_class(low and self.focused is self._rows, "-rows")
        room = max(3, height * 2 // 5) if not low else (4 if self.focused is self._rows else max(3, height - 14))
        self._figures.styles.height = min(len(self._figures.lines) + 1, room)
        self._row()
        self.refresh_bindings()

    @property
    def _figures(self) -> FigureTable:
        return self.query_one("#figures", FigureTable)

    @property
    def _rows(self) -> ItemTable:
        return self.query_one("#rows", ItemTable)

    @property
    def current_state(self) -> "EvaluationState | None":
        return self.taken.state if self.taken else None

    # Reading and showing

    def reload(self) -> None:
        """Read the evaluation anew, unless a reading is under way."""
        if not self.reading:
            self.reading = True
            read = partial(read_evaluation, self.services, self.evaluation, self._model, self._by, self.taken)
            self.in_thread(read, self._show, group="evaluation", failed=self._failed)

    def _failed(self, error: Exception) -> None:
        from tui.errors import show_error

        self.reading = False
        if self.taken is not None and self._by != self.taken.asked_by:
            self._by = self.taken.asked_by
            show_error(self.app, error, "The rows cannot be sorted")
        else:
            self.cannot_be_shown(error, "The evaluation cannot be read")

    def _show(self, taken: Taken) -> None:
        self.reading = False
        wanted = self._by, taken.model if self._model is None else self._model
        if (taken.asked_by, taken.model) != wanted:  # another order was asked for meanwhile
            self.reload()
        if taken is self.taken:
            return
        first = self.taken is None or not self.taken.results.figures
        self.taken = taken
        results = taken.results
        self.set_class(not results.figures, "-bare")
        self.query_one("#verdict", Static).update(verdict_words(results))
        self.query_one("#notes", Static).update(note_words(results))
        own = results.targets.get(taken.model, ())
        self.query_one("#targets", TargetLine).show(own, taken.target_problem, of=results.labels[taken.model])
        self._show_figures()
        self._show_rows()
        if first and not results.figures:
            self._rows.focus()
        elif first:
            self._figures.focus()
        self._fit()

    def _show_figures(self) -> None:
        if (taken := self.taken) is None:
            return
        if self._categories is not None:
            metric, lines = self._categories
            self._figures.show(lines, taken.results.labels, taken.results.label(metric))
        else:
            self._figures.show(measure_lines(taken.results), taken.results.labels, "measure")
        self._fit()

    def _show_rows(self) -> None:
        if (taken := self.taken) is None:
            return
        find = self.query_one(FindLine)
        rows = matching(taken.rows, find.text, self.category)
        find.show_count(f"{len(rows):,} of {len(taken.rows):,}", none=not rows)
        self._rows.columns = row_columns(taken)
        self._rows.set_items(rows)
        self.set_class(not rows, "-none")
        where = f" in {clean_line(self.category)}" if self.category else ""
        self.query_one("#none", Static).update(f"No row{where} has these words. Esc shows all.")
        self._show_head()

    def _show_head(self) -> None:
        if (taken := self.taken) is None:
            return
        note = f"only {clean_line(self.category)}" if self.category else ""
        self.query_one("#head", Static).update(headline(Listed(taken.state, taken.results.labels), note))
        self.refresh_bindings()

    @on(RowList.Highlighted, "#figures")
    def _figure(self) -> None:
        line = self._figures.highlighted
        if line is not None and self.taken is not None:
            self.query_one("#figure", Static).update(figure_words(line, self.taken.results.labels))

    @on(RowList.Highlighted, "#rows")
    def _row(self) -> None:
        row: ShownRow | None = self._rows.highlighted
        if row is None or self.taken is None or not self.has_class("-side"):
            return
        taken = self.taken
        self.query_one("#asked", Static).update(asked_words(taken, row))
        self.query_one("#answer", Static).update(answer_words(taken, row, taken.model, marked=True))
        base = self.query_one("#base", Static)
        base.display = taken.model > 0
        base.update(answer_words(taken, row, 0, marked=False))

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        taken = self.taken
        if action in ("order", "model", "other_list"):
            if action == "model" and taken is not None and len(taken.results.labels) < 2:
                return False
            return taken is not None and bool(taken.results.figures)
        if action == "categories":
            return taken is not None and bool(taken.results.figures) and bool(taken.categories)
        if action in ("find", "export"):
            return taken is not None
        if action == "models":
            labels = len(taken.results.labels) if taken is not None else 0
            return labels > 2 and len(self._figures.shown(self.size.width)) < labels
        return super().check_action(action, parameters)

    def action_other_list(self) -> None:
        (self._figures if self.focused is self._rows else self._rows).focus()

    def action_models(self, places: int) -> None:
        """Show other models beside the first."""
        self._figures.shift(places)

    def action_model(self) -> None:
        """Sort the rows by the next model's answers."""
        if self.taken is not None:
            self._model = (self.taken.model + 1) % len(self.taken.results.labels)
            self.reload()

    def action_order(self) -> None:
        """Choose the measure by which rows are the worst."""
        from tui.screens.dialogs import Option, PickDialog

        if self.taken is not None:
            from engine.evaluation.measures import MEASURES

            results = self.taken.results
            choices = [Option(one, results.label(one), MEASURES[one].about) for one in sortable(results)]
            self.app.push_screen(PickDialog("Rows, the worst first by", choices, selected=self.taken.by), self._order)

    def _order(self, by: str | None) -> None:
        if by:
            self._by = by
            self.reload()

    @on(RowList.Opened, "#figures")
    def _open_figure(self) -> None:
        """Of a measure its worst rows, of a category its rows."""
        line = self._figures.highlighted
        if line is None or self.taken is None:
            return
        if self._categories is not None:
            self.category = "" if self.category == line.id else line.id
            self._show_rows()
            self._rows.focus()
        elif line.metric in sortable(self.taken.results):
            self._order(line.metric)
            self._rows.focus()
        else:
            self.notify(f"{clean_line(line.label)} is of all rows together: no row has one of its own.", markup=False)

    def action_categories(self) -> None:
        """The measure under the cursor by category, or all measures again."""
        line = self._figures.highlighted
        if self._categories is not None:
            self._categories, self.category = None, ""
            self._show_figures()
            self._show_rows()
        elif line is not None and self.taken is not None:
            read = partial(read_categories, self.services, self.taken, line.metric)
            title = "The categories cannot be measured"
            self.in_thread(read, partial(self._show_categories, line.metric), group="categories", title=title)

    def _show_categories(self, metric: str, found: "Mapping[str, Sequence[Measured | None]]") -> None:
        if not found:
            self.notify("This measure has no figures by category.", markup=False)
            return
        self._categories = metric, [FigureLine(name, name, metric, figures) for name, figures in found.items()]
        self._show_figures()
        self._figures.focus()

    def action_find(self) -> None:
        self.query_one(FindLine).start()

    @on(FindLine.Changed)
    def _looked_for(self, event: FindLine.Changed) -> None:
        event.stop()
        self._show_rows()

    @on(FindLine.Left)
    def _left(self, event: FindLine.Left) -> None:
        event.stop()
        self._rows.focus()

    @on(RowList.Opened, "#rows")
    def _open(self) -> None:
        from tui.screens.evaluation_row import EvaluationRowScreen

        if self.taken is not None and self._rows.highlighted is not None:
            opened = EvaluationRowScreen(self.taken, self._rows.items, self._rows.cursor)
            self.app.push_screen(opened, lambda _: self._rows.move_to(opened.place))

    def action_export(self) -> None:
        """Ask for a file, and write figures and rows into it."""
        from tui.screens.dialogs import TextDialog

        if self.taken is not None:
            name = f"{clean_line(self.taken.results.evaluation.name)}.md"
            hint = "A .md or .csv file; the rows as they are shown. A file that is there is not overwritten."
            self.app.push_screen(TextDialog("Write the evaluation to", name, hint=hint), self._export)

    def _export(self, text: str | None) -> None:
        if text and (taken := self.taken) is not None:
            from engine.evaluation.export import export_evaluation

            rows = [one.compared for one in self._rows.items]
            write = partial(export_evaluation, taken.results, rows, taken.by, Path(text).expanduser())
            self.in_thread(write, self._exported, group="export", title="The evaluation cannot be written")

    def _exported(self, path: Path) -> None:
        self.notify(clean_line(str(path.absolute())), title="Written", markup=False)

    def removed(self) -> None:
        self.leave()

    def action_back(self) -> None:
        """End the filter, then the categories, then leave."""
        find = self.query_one(FindLine)
        if find.is_open:
            find.action_close()
        elif self._categories is not None:
            self.action_categories()
        else:
            super().action_back()
