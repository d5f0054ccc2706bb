"""Rows marked, dropped and edited, until it is all written as a new version."""

from typing import TYPE_CHECKING

from textual.widgets import Static

from tui.screens.dataset_edits import PendingEdits
from tui.screens.dataset_pane import DatasetPane
from tui.screens.working import run_long
from tui.widgets.dataset_rows import DatasetRows

if TYPE_CHECKING:
    from engine.datasets.rows import Row


class RowChanging(DatasetPane):
    """The part of the rows' tab that changes them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.edits = PendingEdits()
        self._marked: set[int] = set()

    @property
    def list(self) -> DatasetRows:
        raise NotImplementedError

    def go_to(self, index: int) -> None:
        """Put the cursor on a row of the whole dataset."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw the row under the cursor anew."""
        raise NotImplementedError

    def do_mark(self) -> None:
        if row := self.list.highlighted:
            self._marked ^= {row.index}
            self._changes_shown()
            self.list.action_move(1)

    def do_drop(self) -> None:
        row = self.list.highlighted
        rows = self._marked or ({row.index} if row else set())
        if len(self.edits.dropped | rows) >= self.dataset.rows and not rows <= self.edits.dropped:
            self.notify("A version needs a row; these would be all.", severity="warning", markup=False)
            return
        single = not self._marked
        dropped = self.edits.drop(rows)
        self._marked = set()
        self._changes_shown()
        if single and dropped:
            self.list.action_move(1)

    def do_edit(self) -> None:
        from engine.datasets.rows import all_turns
        from tui.screens.dataset_edit_row import EditRow

        stored = self.list.highlighted
        if stored is None:
            return
        row = self.edits.row(stored)
        at = next((place for place, turn in enumerate(all_turns(row)) if turn.role == "assistant"), 0)

        def edited(changed: "Row") -> None:
            if changed != row:
                self.edits.change(stored, changed)
                self._changes_shown()

        self.ask(EditRow(row, total=self.dataset.rows, at=at), edited)

    def do_undo(self) -> None:
        index = self.edits.undo()
        self._changes_shown()
        if index is not None:
            self.go_to(index)

    def do_write(self) -> None:
        """Write the changes as a new version and open it."""
        from engine.datasets.making import edit

        library, dataset, edits = self.services.library, self.dataset, self.edits
        changed = {index: row for index, row in edits.changed.items() if index not in edits.dropped}

        run_long(
            self.page,
            f"Writing v{self.page.next_version}",
            lambda progress, cancelled: edit(
                library,
                dataset,
                changed=changed,
                dropped=set(edits.dropped),
                progress=progress,
                cancelled=cancelled,
            ),
            self.open_made,
        )

    def _changes_shown(self) -> None:
        rows = self.list
        rows.marked, rows.dropped, rows.changed = self._marked, self.edits.dropped, self.edits.changed.keys()
        rows.refresh()
        words = [f"{len(self._marked):,} marked"] if self._marked else []
        if self.edits:
            words += [self.edits.words, f"w writes v{self.page.next_version}", "u takes the last one back"]
        elif self._marked:
            words.append("x drops them")
        self.set_class(bool(words), "-pending")
        self.query_one("#pending", Static).update(" · ".join(words))
        self.redraw()
        self.page.refresh_bindings()
