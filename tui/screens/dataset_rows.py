"""The rows of a dataset: gone through, read in three views, searched, marked, dropped, edited."""

from functools import partial
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from tui.screens.dataset_pane import SeenBy
from tui.screens.dataset_row_changes import RowChanging
from tui.screens.dataset_search import RowSearching
from tui.screens.dataset_supervision import SupervisionView
from tui.screens.dataset_trail import Trail, trail_of_report
from tui.screens.dialogs import ConfirmDialog
from tui.text import clean_line
from tui.widgets.conversation_preview import conversation_content
from tui.widgets.dataset_rows import DatasetRows
from tui.widgets.filter_line import FilterLine
from tui.widgets.go_to_line import GoToLine
from tui.widgets.raw_row import raw_content
from tui.widgets.row_list import RowList
from tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from engine.datasets.rows import Row

VIEWS = ("conversation", "model", "raw")
VIEW_WORDS = {"conversation": "", "model": "as the model sees it", "raw": "raw"}
NOTES = 3
ROW_KEYS = "x drop · e edit"


class RowsPane(RowSearching, RowChanging):
    """The list on the left, the row under its cursor on the right."""

    DEFAULT_CSS = """
    RowsPane {
        height: 1fr;
        layers: below above;
        GoToLine { layer: above; dock: top; display: none; }
        FilterLine { display: none; }
        &.-searching FilterLine { display: block; }
        #rows { width: 2fr; max-width: 70; height: 1fr; scrollbar-size-vertical: 1; }
        #side { width: 3fr; height: 1fr; }
        &.-model #rows { width: 1fr; max-width: 50; }
        &.-model RowView#text, SupervisionView { display: none; }
        &.-model SupervisionView { display: block; }
        #notes { height: auto; max-height: 4; color: $text-warning; display: none; }
        #pending { height: 1; padding: 0 1; color: $text-warning; display: none; text-wrap: nowrap; }
        &.-pending #pending { display: block; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = "conversation"
        self.trail: Trail | None = None
        """What `n` and `p` go along; `None` before there is a report."""
        self._drawing = False
        self._step_when_known = 0

    def compose(self) -> ComposeResult:
        yield FilterLine("words to find in the rows")
        yield GoToLine()
        with Horizontal(id="body"):
            yield DatasetRows(id="rows")
            with Vertical(id="side", classes="panel"):
                yield Static("", id="notes", markup=False)
                yield RowView(id="text")
                yield SupervisionView(id="supervision")
        yield Static("", id="pending", markup=False)

    def start(self) -> None:
        self.list.show_all(self.dataset.rows)
        if self.page.report is not None:
            self.trail = trail_of_report(self.page.report)

    def opened(self) -> None:
        self.list.focus()

    def applies(self, name: str) -> bool:
        if name in ("undo", "write"):
            return bool(self.edits) if name == "write" else self.edits.can_undo
        return name not in ("edit", "drop", "mark") or self.list.count > 0

    @property
    def row(self) -> "Row | None":
        """The row under the cursor, with what was changed in it."""
        row = self.list.highlighted
        return self.edits.row(row) if row is not None else None

    # Going through

    @on(DatasetRows.PageWanted)
    def _page_wanted(self, event: DatasetRows.PageWanted) -> None:
        read = partial(self.services.library.rows, self.dataset.id, offset=event.offset, limit=event.limit)
        give = partial(self.list.give, event.offset)
        self.in_thread(read, give, group=f"page-{event.offset}", title="The rows cannot be read")

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()
        self.redraw()

    def redraw(self) -> None:
        """Draw the row anew, once for however many keys were pressed by then."""
        if not self._drawing:
            self._drawing = True
            self.call_later(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        row, total = self.row, self.dataset.rows
        if row is None and self.list.count:
            return
        side = self.query_one("#side")
        view = VIEW_WORDS[self.view]
        side.border_title = (
            " · ".join(part for part in (f"row {row.index + 1:,} of {total:,}", row.split, view) if part) if row else ""
        )
        place = self.trail.place(row.index) if row and self.trail else ""
        side.border_subtitle = Content(place).stylize("$text-warning") + Content(" · " * bool(place) + ROW_KEYS)
        self._show_notes(row)
        if row is None:
            self.query_one("#text", RowView).show(Content(""))
        elif self.view == "model":
            self.query_one(SupervisionView).show(row, self.page.seen_by)
        elif self.view == "raw":
            self.query_one("#text", RowView).show(raw_content(row), row.index)
        else:
            text = self.query_one("#text", RowView)
            width = text.scrollable_content_region.width
            text.show(conversation_content(row, self.searched, width), row.index)

    def _show_notes(self, row: "Row | None") -> None:
        words: list[str] = []
        if row is not None:
            if row.index in self.edits.dropped:
                words.append("✗ to be dropped; x takes it back")
            elif row.index in self.edits.changed:
                words.append("✎ changed; not written yet")
            notes = self.trail.notes(row.index) if self.trail else ()
            words += [f"⚠ {note}" for note in notes[:NOTES]]
            if len(notes) > NOTES:
                words.append(f"  and {len(notes) - NOTES} more")
        notes_line = self.query_one("#notes", Static)
        notes_line.display = bool(words)
        notes_line.update("\n".join(words))

    def do_go_to(self) -> None:
        self.query_one(GoToLine).start(self.dataset.rows)

    @property
    def going(self) -> bool:
        """Whether a row's number is being typed."""
        return bool(self.query_one(GoToLine).display)

    def end_going(self) -> None:
        """Back from the number to the list."""
        self.query_one(GoToLine).display = False
        self.list.focus()

    @on(GoToLine.Submitted)
    def _go_to_number(self, event: GoToLine.Submitted) -> None:
        event.stop()
        number = event.text.replace(",", "").strip()
        if number.isdecimal() and len(number) <= 18:
            self.go_to(max(0, min(int(number), self.dataset.rows) - 1), self._arrived)
            return
        if number:
            self.notify(f"{clean_line(number)} is not a row's number.", severity="warning", markup=False)
        self.end_going()

    def _arrived(self) -> None:
        """Draw the row with the list, not one frame later."""
        self.redraw()
        self.end_going()

    def do_scroll_down(self) -> None:
        self._shown_view().scroll_pages(0.5)

    def do_scroll_up(self) -> None:
        self._shown_view().scroll_pages(-0.5)

    def _shown_view(self) -> RowView:
        return self.query_one("#seen-text" if self.view == "model" else "#text", RowView)

    # Views

    def do_view(self) -> None:
        self.show_view(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])

    def do_raw(self) -> None:
        self.show_view("conversation" if self.view == "raw" else "raw")

    def show_view(self, view: str) -> None:
        """Show rows as conversations, as the model sees them, or raw."""
        self.view = view
        self.set_class(view == "model", "-model")
        self.redraw()
        self.page.refresh_bindings()

    def seen_otherwise(self, seen: SeenBy) -> None:
        """Another model, template or length was chosen."""
        if self.view != "model":
            self.show_view("model")
        self.redraw()

    def show_token_total(self, figures: dict[str, Any]) -> None:
        """Totals of the whole dataset, below the row as the model sees it."""
        total, trained = int(figures.get("total") or 0), figures.get("trained")
        words = f"dataset: {total:,} tokens"
        if trained is not None and total:
            words += f" · {int(trained):,} trained ({int(trained) / total:.0%})".replace("%", " %")
        cut = (figures.get("cut") or {}).get(str(self.page.seen_by.max_length))
        if cut is not None:
            words += f" · {int(cut):,} rows cut"
        if trained == 0:
            words += " · nothing is trained"
        self.query_one(SupervisionView).show_total(words)

    # Problems

    def follow(self, trail: Trail, *, go: bool = True) -> None:
        """Let `n` and `p` go along these rows, from the first one."""
        self.trail = trail
        if self._step_when_known and trail.rows:
            step, self._step_when_known = self._step_when_known, 0
            self._step(step)
        elif go and trail.rows:
            self.go_to(trail.rows[0])
        self.redraw()

    def do_next(self) -> None:
        self._step(1)

    def do_previous(self) -> None:
        self._step(-1)

    def _step(self, direction: int) -> None:
        if self.trail is None:
            if self.page.report is None:
                self._offer_report(direction)
                return
            self.trail = trail_of_report(self.page.report)
        row = self.list.highlighted
        found = self.trail.step(row.index if row else 0, direction)
        if found is None:
            self.notify("The report found no row to look at.", markup=False)
            return
        index, around = found
        if around:
            self.notify("That was the last one; on from the other end.", timeout=2, markup=False)
        self.go_to(index)

    def _offer_report(self, direction: int) -> None:
        if self.page.validating:
            self.notify("The rows are being checked; try again in a moment.", markup=False)
            return
        body = "Which rows have problems is known once they were checked: roles, empties, duplicates, leaks and more."

        def answered(yes: bool) -> None:
            if yes:
                self._step_when_known = direction
                self.page.action_validate()

        self.ask(ConfirmDialog("Check the rows first?", body, "check them"), answered)
