"""What one does to a dataset, the same on the list and on its own screen: a new run on it, removing it."""

from typing import TYPE_CHECKING

from tui.messages import NewRunLike
from tui.screens.dialogs import ConfirmDialog
from tui.screens.page import Page
from tui.text import clean_line

if TYPE_CHECKING:
    from store.records import Dataset
    from tui.services import Services

LISTED = 6


class DatasetActions(Page):
    """A page that acts on `current_dataset`."""

    @property
    def current_dataset(self) -> "Dataset | None":
        """The dataset that the keys are about."""
        raise NotImplementedError

    def dataset_changed(self, dataset_id: str | None) -> None:
        """Called when the dataset was removed (`None`), or another is to be shown."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("new_run", "remove"):
            return self.current_dataset is not None
        return super().check_action(action, parameters)

    def action_new_run(self) -> None:
        """The form for a new run on this dataset."""
        if dataset := self.current_dataset:
            self.post_message(NewRunLike(dataset_id=dataset.id))

    def action_remove(self) -> None:
        """Remove the dataset, unless runs were trained on it."""
        if dataset := self.current_dataset:
            self.in_thread(lambda: _runs_on(self.services, dataset), self._ask_remove, group="runs-on")

    def _ask_remove(self, found: "tuple[Dataset, list[str]]") -> None:
        dataset, runs = found
        title = f"{clean_line(dataset.name)} v{dataset.version}"
        if runs:
            from engine.errors import BadInput
            from tui.errors import show_error

            names = "\n".join(f"  {name}" for name in runs[:LISTED])
            more = f"\n  and {len(runs) - LISTED} more" if len(runs) > LISTED else ""
            what = f"It is the data of {'1 run' if len(runs) == 1 else f'{len(runs)} runs'}, so it stays."
            error = BadInput(what, why=names + more, fix="Remove those runs first.")
            show_error(self.app, error, f"{title} is in use")
            return
        body = f"This deletes its {dataset.rows:,} rows from finetui. The file it came from is not touched."
        self.app.push_screen(
            ConfirmDialog(f"Remove {title}?", body, "remove it"), lambda yes: self._remove(dataset) if yes else None
        )

    def _remove(self, dataset: "Dataset") -> None:
        self.in_thread(
            lambda: self.services.library.remove(dataset.id),
            lambda _: self.dataset_changed(None),
            group="remove",
            title="The dataset was not removed",
        )


def _runs_on(services: "Services", dataset: "Dataset") -> "tuple[Dataset, list[str]]":
    """The dataset, and the names of the runs that were trained on it."""
    ids = services.store.datasets.runs_using(dataset.id)
    runs = [services.store.runs.get(run_id) for run_id in ids]
    return dataset, [run.name for run in runs if run is not None]
