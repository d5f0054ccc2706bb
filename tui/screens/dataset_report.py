"""What is wrong with a dataset: its grade, why, and the way to the rows that are meant."""

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.errors import explain
from tui.screens.dataset_pane import BY_ITSELF_ROWS, DatasetPane
from tui.screens.dataset_trail import trail_of_report
from tui.text import clean
from tui.widgets.gauge import styled_bar
from tui.widgets.report_view import CheckList, figures_content, grade_content, key_words_for
from tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.datasets.quality import Report

LOW, MOST_REASONS = 30, 8


class ReportPane(DatasetPane):
    """Grade, checks and figures; where there is no report yet, how to get one."""

    DEFAULT_CSS = """
    ReportPane {
        height: 1fr;
        padding: 1 1 0 1;
        #none { height: auto; display: none; }
        &.-none #none { display: block; }
        &.-none #grade, &.-none CheckList, &.-none #about, &.-none #figures { display: none; }
        #grade { height: auto; max-height: 9; margin-bottom: 1; }
        CheckList { height: auto; max-height: 50%; min-height: 2; }
        #about { height: auto; max-height: 30%; margin: 1 1 0 1; }
        #about Static { height: auto; }
        #figures { height: auto; margin: 1 1 0 1; }
        &.-low { padding: 0 1; }
        &.-low CheckList { max-height: 5; }
        &.-low #figures { margin: 0 1; }
    }
    """

    def compose(self) -> ComposeResult:
        yield Static("", id="none", markup=False)
        yield Static("", id="grade", markup=False)
        yield CheckList(id="checks")
        with VerticalScroll(id="about", can_focus=False):
            yield Static("", id="about-text", markup=False)
        yield Static("", id="figures", markup=False)

    def start(self) -> None:
        self.show(self.page.report)

    def opened(self) -> None:
        if self.page.report is not None:
            self.query_one(CheckList).focus()
        self._show_grade()

    def on_resize(self) -> None:
        self.set_class(self.app.size.height < LOW, "-low")
        self._show_grade()

    def show(self, report: "Report | None") -> None:
        """Show a report, or that there is none."""
        self.set_class(report is None, "-none")
        if report is None:
            self.show_progress(None)
            return
        self.query_one(CheckList).show(report, self.dataset.rows)
        self.query_one("#figures", Static).update(figures_content(report))
        self._show_grade()
        self._show_about()

    def show_problem(self, error: Exception) -> None:
        """Say why the report could not be made in the background."""
        what, why, fix = (clean(part) for part in explain(error))
        lines = [Content(what).stylize("$text-error"), Content(why), Content(fix).stylize("$text-success")]
        self.query_one("#none", Static).update(Content("\n").join(line for line in lines if line.plain))

    def show_progress(self, share: float | None) -> None:
        """How far the report is that is being made; `None` where none is."""
        none = self.query_one("#none", Static)
        if self.page.validating:
            none.update(
                Content.assemble(
                    "Checking the rows for faults …\n\n", styled_bar(share or 0.0, 40), f"  {share or 0.0:.0%}"
                )
            )
            return
        key = Content.assemble(("V", "bold $footer-key-foreground"))
        large = self.dataset.rows > BY_ITSELF_ROWS
        words = f"With {self.dataset.rows:,} rows that takes a moment; Esc gives it up." if large else ""
        looks = (
            "It looks for roles out of order, empty turns, duplicates and near-duplicates, rows that training and\n"
            "validation share, odd lengths, broken characters and more, and grades what it found from A to F."
        )
        none.update(Content.assemble("This version has no report yet. ", key, f" makes one. {words}\n\n{looks}"))

    def _show_grade(self) -> None:
        if report := self.page.report:
            self.query_one("#grade", Static).update(
                grade_content(report, self.size.width - 2, 2 if self.has_class("-low") else MOST_REASONS)
            )

    def _show_about(self) -> None:
        """What the check under the cursor says, and what to do about it."""
        check = self.query_one(CheckList).highlighted
        parts: list[Content] = []
        if check is not None:
            parts.append(Content(clean(check.message)))
            if check.fix:
                parts.append(Content(clean(check.fix)).stylize("$text-success"))
            if keys := key_words_for(check.code):
                parts.append(Content(f"here: {keys}").stylize("$text-muted"))
            if check.rows:
                rows = ", ".join(f"{row:,}" for row in check.rows[:12]) + (" …" if len(check.rows) > 12 else "")
                parts.append(Content(f"rows {rows} · enter goes through them with n and p").stylize("$text-muted"))
        elif self.page.report:
            parts.append(Content("Nothing was found.").stylize("$text-success"))
        self.query_one("#about-text", Static).update(Content("\n").join(parts))

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._show_about()

    @on(RowList.Opened)
    def _opened(self, event: RowList.Opened) -> None:
        event.stop()
        check, report = self.query_one(CheckList).highlighted, self.page.report
        if check is None or report is None:
            return
        if not check.rows:
            self.notify("This is about the dataset as a whole, not about single rows.", markup=False)
            return
        self.page.follow(trail_of_report(report, check.code))
