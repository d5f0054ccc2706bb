"""Going from one version of a dataset to another: made by a filter or otherwise, opened, left."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tui.screens.dataset_actions import DatasetActions
from tui.screens.dataset_edits import PendingEdits
from tui.screens.dataset_pane import SeenBy, ask
from tui.screens.dialogs import ConfirmDialog
from tui.screens.working import run_long
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.rows import Row
    from engine.datasets.versions import Made
    from store.records import Dataset
    from tui.screens.dataset_trail import Trail


class VersionActions(DatasetActions):
    """A page of one version, in whose place another can be opened."""

    dataset_id: str
    seen_by: SeenBy

    @property
    def edits(self) -> PendingEdits:
        """Changes that wait to be written."""
        raise NotImplementedError

    @property
    def row(self) -> "Row | None":
        """The row under the cursor."""
        raise NotImplementedError

    def follow(self, trail: "Trail", *, show: bool = True) -> None:
        """Let `n` and `p` go along a trail; with `show`, go to its first row."""
        raise NotImplementedError

    @property
    def next_version(self) -> int:
        """The number that a version made from this one gets."""
        raise NotImplementedError

    def action_filter_rows(self) -> None:
        """Ask for a filter, and make the version that it leaves."""
        self.unless_changed(self._ask_filter)

    def _ask_filter(self) -> None:
        from tui.screens.dataset_filter import FilterDialog

        dataset = self.current_dataset
        if dataset is None:
            return
        row = self.row
        dialog = FilterDialog(self.services.library, dataset, metadata=list(row.metadata) if row else ())
        ask(self, dialog, partial(self._filter, dataset))

    def _filter(self, dataset: "Dataset", where: str) -> None:
        from engine.datasets.filter import filter_rows

        library = self.services.library
        run_long(
            self,
            f"Filtering {title_of(dataset)}",
            lambda progress, cancelled: filter_rows(library, dataset, where, progress=progress, cancelled=cancelled),
            self.open_made,
        )

    def action_make(self) -> None:
        """The ways to make a version of it."""
        self.unless_changed(self._ask_what_to_make)

    def _ask_what_to_make(self) -> None:
        from tui.screens.make_version import VersionMaker

        if dataset := self.current_dataset:
            VersionMaker(self, dataset).ask()

    def open_made(self, made: "Made") -> None:
        """Say what was made, and open it."""
        if made.dataset.id == self.dataset_id:
            self.notify("All rows stay as they are; no version was made.", markup=False)
            return
        words = f"{made.before:,} → {count_words(made.after, 'row')}" + ("" if made.new else "; it was there already")
        self.notify(words, title=title_of(made.dataset), markup=False)
        self.edits.clear()  # they are in the new version now, or were given up for it
        self._open(made.dataset.id)

    def open_version(self, dataset_id: str) -> None:
        """Open another version in this one's place."""
        self.unless_changed(partial(self._open, dataset_id))

    def _open(self, dataset_id: str) -> None:
        from tui.screens.dataset import DatasetScreen

        self.when_in_front(lambda: self.app.switch_screen(DatasetScreen(dataset_id, self.seen_by)))

    def show_parent(self, parent: "Dataset") -> None:
        self.open_version(parent.id)

    def dataset_changed(self, dataset_id: str | None) -> None:
        if dataset_id is None:
            self.leave()
        else:
            self._open(dataset_id)

    # Leaving

    def action_leave(self) -> None:
        self.unless_changed(self.leave)

    async def action_quit(self) -> None:
        self.unless_changed(lambda: self.app.run_worker(self.app.action_quit()))

    def unless_changed(self, leave: Callable[[], object]) -> None:
        """Leave; where changes wait to be written, only after asking."""
        if not self.edits:
            leave()
            return
        body = f"{self.edits.words} would be lost. w writes them as v{self.next_version}."
        ask(self, ConfirmDialog("Leave without writing?", body, "leave, and lose them"), lambda _: leave())
