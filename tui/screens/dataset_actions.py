"""What one does to a dataset, the same on the list and on its own screen.

A new run on it, validating, exporting, going to the version it was made from, removing it.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tui.messages import NewRunLike, OpenDataset
from tui.screens.dialogs import ConfirmDialog
from tui.screens.page import Page
from tui.screens.working import GivenUp, Progress, run_long
from tui.text import clean_line
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.quality import Report
    from store.records import Dataset
    from tui.services import Services

LISTED = 6
REASONS = 2


class DatasetActions(Page):
    """A page that acts on `current_dataset`."""

    ON_DATASET: ClassVar[frozenset[str]] = frozenset({"remove", "validate", "export"})
    """Actions that apply to every dataset."""

    @property
    def current_dataset(self) -> "Dataset | None":
        """The dataset that the keys are about."""
        raise NotImplementedError

    def dataset_changed(self, dataset_id: str | None) -> None:
        """Called when the dataset was removed (`None`), or another is to be shown."""
        raise NotImplementedError

    def dataset_validated(self, dataset: "Dataset", report: "Report") -> None:
        """Called when a dataset has its report. Says the grade and why; subclasses show it."""
        severity = "information" if report.grade in ("A", "B") else "warning"
        words = "\n".join(clean_line(reason) for reason in report.reasons[:REASONS]) or "Nothing was found."
        self.notify(words, title=f"{title_of(dataset)}: {report.grade}", severity=severity, markup=False)  # type: ignore[arg-type]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        dataset = self.current_dataset if self.is_mounted else None
        if action in self.ON_DATASET:
            return dataset is not None
        if action == "new_run":
            return dataset is not None and dataset.shape != "prompts"
        if action == "parent":
            return dataset is not None and dataset.parent is not None
        return super().check_action(action, parameters)

    def action_new_run(self) -> None:
        """The form for a new run on this dataset."""
        if dataset := self.current_dataset:
            self.post_message(NewRunLike(dataset_id=dataset.id))

    # The report

    def action_validate(self) -> None:
        """Look for everything that may be wrong with it, and grade it."""
        if dataset := self.current_dataset:
            run_long(
                self,
                f"Validating {title_of(dataset)}",
                partial(_validate, self.services, dataset),
                partial(self.dataset_validated, dataset),
            )

    # The version it was made from

    def action_parent(self) -> None:
        """Go to the version that this one was made from."""
        if (dataset := self.current_dataset) and dataset.parent is not None:
            self.in_thread(partial(_parent, self.services, dataset), self.show_parent, group="parent")

    def show_parent(self, parent: "Dataset") -> None:
        """Show the version that the current one was made from."""
        self.post_message(OpenDataset(parent.id))

    # Into a file

    def action_export(self) -> None:
        """Ask for a file, and write the rows into it."""
        from tui.screens.export_dialog import ExportDialog

        if dataset := self.current_dataset:
            self.app.push_screen(ExportDialog(dataset), partial(self._ask_to_replace, dataset))

    def _ask_to_replace(self, dataset: "Dataset", target: "Path | None") -> None:
        if target is None:
            return

        def found(exists: bool) -> None:
            if not exists:
                self._export(dataset, target)
                return
            body = f"{clean_line(str(target))} is there already. What it holds is lost."
            dialog = ConfirmDialog("Replace the file?", body, "replace it")
            self.app.push_screen(dialog, lambda yes: self._export(dataset, target) if yes else None)

        self.in_thread(target.exists, found, group="export")

    def _export(self, dataset: "Dataset", target: Path) -> None:
        def written(rows: int) -> None:
            self.notify(f"{count_words(rows, 'row')} in {clean_line(str(target))}", title="Exported", markup=False)

        work = partial(_export, self.services, dataset, target)
        run_long(self, f"Exporting {title_of(dataset)}", work, written)

    # Removing

    def action_remove(self) -> None:
        """Remove the dataset, unless runs were trained on it."""
        if dataset := self.current_dataset:
            self.in_thread(lambda: _uses(self.services, dataset), self._ask_remove, group="runs-on")

    def _ask_remove(self, found: "tuple[Dataset, list[str], list[str]]") -> None:
        dataset, runs, children = found
        title = title_of(dataset)
        if runs:
            from engine.errors import BadInput
            from tui.errors import show_error

            names = "\n".join(f"  {name}" for name in runs[:LISTED])
            more = f"\n  and {len(runs) - LISTED} more" if len(runs) > LISTED else ""
            what = f"It is the data of {'1 run' if len(runs) == 1 else f'{len(runs)} runs'}, so it stays."
            error = BadInput(what, why=names + more, fix="Remove those runs first.")
            show_error(self.app, error, f"{title} is in use")
            return
        body = f"This deletes its {count_words(dataset.rows, 'row')} from finetui. "
        if children:
            more = f" and {len(children) - LISTED} more" if len(children) > LISTED else ""
            body += f"What was made from it stays: {', '.join(children[:LISTED])}{more}."
        else:
            body += "The file it came from is not touched."
        self.app.push_screen(
            ConfirmDialog(f"Remove {title}?", body, "remove it"), lambda yes: self._remove(dataset) if yes else None
        )

    def _remove(self, dataset: "Dataset") -> None:
        self.in_thread(
            lambda: self.services.library.remove(dataset.id),
            lambda _: self.dataset_changed(None),
            group="remove",
            title="The dataset was not removed",
            exclusive=False,
        )


def _validate(services: "Services", dataset: "Dataset", progress: Progress, cancelled: GivenUp) -> "Report":
    from engine.datasets.quality import validate

    return validate(services.library, dataset, progress=progress, cancelled=cancelled)


def _export(services: "Services", dataset: "Dataset", target: Path, progress: Progress, cancelled: GivenUp) -> int:
    from engine.datasets.export import export_dataset

    return export_dataset(services.library, dataset, target, progress=progress, cancelled=cancelled)


def _parent(services: "Services", dataset: "Dataset") -> "Dataset":
    """The version that `dataset` was made from. Raises `NotFound` where it was removed."""
    from engine.errors import NotFound

    lineage = services.library.lineage(dataset.id)
    if len(lineage) > 1:
        return lineage[1]
    what = f"The version that {title_of(dataset)} was made from is not here any more."
    raise NotFound(what, why="It was removed.", fix="What was made from it stays as it is.")


def _uses(services: "Services", dataset: "Dataset") -> "tuple[Dataset, list[str], list[str]]":
    """The dataset, the names of the runs that were trained on it, and the versions that were made from it."""
    ids = services.store.datasets.runs_using(dataset.id)
    runs = [services.store.runs.get(run_id) for run_id in ids]
    children = [title_of(one) for one in services.library.children(dataset.id)]
    return dataset, [run.name for run in runs if run is not None], children
