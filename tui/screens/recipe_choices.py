"""What a recipe form is filled from: models, datasets, presets, files; and presets that are kept."""

import re
from functools import partial
from typing import TYPE_CHECKING

from tui.screens.dialogs import ConfirmDialog, Option, PickDialog, TextDialog
from tui.screens.page import Page
from tui.text import clean_line, shorten
from tui.widgets.launch_plan import Surroundings, dataset_reference, split_words
from tui.widgets.recipe_draft import KEPT, RecipeDraft
from tui.widgets.recipe_fields import field_specs
from tui.widgets.recipe_form import NAME, PRESET, RecipeForm

if TYPE_CHECKING:
    from engine.presets import Preset
    from store.records import Dataset


class RecipeChoices(Page):
    """A page with a recipe form. The page itself says what follows from a choice."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = RecipeDraft()
        self.around: Surroundings | None = None
        """What there is to choose from, once it has been read."""
        self.run_name = ""

    @property
    def chosen_dataset(self) -> "Dataset | None":
        """What the draft's dataset turned out to be."""
        raise NotImplementedError

    def changed(self) -> None:
        """The draft is another."""
        raise NotImplementedError

    def show_plan(self) -> None:
        """Show what a launch would do."""
        raise NotImplementedError

    def reload(self) -> None:
        """Read anew what there is to choose from."""
        raise NotImplementedError

    def start_with(self, dataset: "Dataset") -> None:
        """Take a dataset that is new."""
        raise NotImplementedError

    def action_pick(self, field: str) -> None:
        """Open the list, or the line, that a field is chosen by."""
        form = self.query_one(RecipeForm)
        form.lines.go_to(field)
        if self.around is None:
            return
        if field == NAME:
            hint = "empty: finetui names it after the dataset and the method"
            self.app.push_screen(TextDialog("Name of the run", self.run_name, hint=hint), self._named)
        elif field == "model":
            from tui.screens.pick_model import PickModel

            chosen = str(self.draft.values["model"])
            self.app.push_screen(PickModel(self.around.models, chosen), partial(self._picked, field))
        elif field == "dataset":
            self._pick_dataset(self.around.datasets)
        elif field == PRESET:
            presets = [Option(one.name, one.name, _preset_words(one)) for one in self.around.presets]
            self.app.push_screen(PickDialog("Preset", presets, selected=self.draft.source), self._preset_picked)
        else:
            choices = [Option(choice, choice) for choice in field_specs()[field].choices]
            dialog = PickDialog(field, choices, selected=str(self.draft.values[field]))
            self.app.push_screen(dialog, partial(self._picked, field))

    def action_find_field(self) -> None:
        """Go to a field by its name."""
        lines = self.query_one(RecipeForm).lines
        options = [Option(name, name, spec.help) for name, spec in field_specs().items()]
        self.app.push_screen(PickDialog("Go to", options, selected=lines.field), self._field_found)

    def _field_found(self, field: str | None) -> None:
        if field is not None:
            self.query_one(RecipeForm).lines.go_to(field)

    def _pick_dataset(self, datasets: "list[Dataset]") -> None:
        if not datasets:
            self.action_import_file()
            return
        options = [Option(one.id, f"{one.name} v{one.version}", split_words(one)) for one in datasets]
        selected = self.chosen_dataset.id if self.chosen_dataset else None
        self.app.push_screen(PickDialog("Dataset", options, selected=selected), self._dataset_picked)

    def _named(self, name: str | None) -> None:
        if name is not None:
            self.run_name = name
            self.show_plan()

    def _picked(self, field: str, value: str | None) -> None:
        if value is not None:
            self.query_one(RecipeForm).change(field, value)

    def _dataset_picked(self, dataset_id: str | None) -> None:
        datasets = self.around.datasets if self.around else []
        for dataset in datasets:
            if dataset.id == dataset_id:
                self.query_one(RecipeForm).change("dataset", dataset_reference(dataset, datasets))

    def _preset_picked(self, name: str | None) -> None:
        preset = next((one for one in (self.around or Surroundings()).presets if one.name == name), None)
        if preset is None:
            return
        if preset.problem:
            from engine.errors import BadInput
            from tui.errors import show_error

            fix = "Mend or remove its file."
            show_error(self.app, BadInput(f"The preset {name} cannot be used.", why=preset.problem, fix=fix))
            return
        self.draft.start_from(preset.name, without_kept(preset.values))
        self.changed()

    def action_import_file(self) -> None:
        """Import a file and train on it."""
        from tui.screens.import_dialog import ImportDialog

        if self.finetui.is_ready:
            self.app.push_screen(ImportDialog(self.services.library), self._imported)

    def _imported(self, dataset: "Dataset | None") -> None:
        if dataset is not None:
            self.start_with(dataset)

    def action_save_preset(self) -> None:
        """Keep the fields as a preset of the user's."""
        problems = {name: text for name, text in self.draft.problems.items() if name not in KEPT}
        if problems:
            name, text = next(iter(problems.items()))
            self.notify(f"{name}: {text}", title="Not saved", severity="error", markup=False)
            return
        hint = "all fields but the model and the dataset are kept"
        self.app.push_screen(TextDialog("Save as a preset called", "", hint=hint), self._preset_named)

    def _preset_named(self, name: str | None) -> None:
        if not name:
            return
        taken = {one.name for one in (self.around or Surroundings()).presets}
        if name not in taken:
            self._save_preset(name)
            return
        body = "There is a preset of that name. The new one takes its place."
        dialog = ConfirmDialog(f"Replace {name}?", body, "replace it")
        self.app.push_screen(dialog, lambda yes: self._save_preset(name) if yes else None)

    def _save_preset(self, name: str) -> None:
        from engine.presets import save_preset

        values = self.draft.preset_values()
        save = partial(save_preset, self.services.home, name, values, f"Saved from {self.draft.source or 'the form'}.")
        self.in_thread(save, lambda _: self._preset_saved(name), group="save", title="The preset was not saved")

    def _preset_saved(self, name: str) -> None:
        self.draft.start_from(name, self.draft.preset_values())
        self.notify(f"Saved. finetui train --preset {name} takes it too.", title=name, markup=False)
        self.reload()


def _preset_words(preset: "Preset") -> str:
    """What a preset is for, in one line."""
    if preset.problem:
        return "cannot be used: " + shorten(clean_line(preset.problem), 40)
    return shorten(re.split(r"(?<=[.?!]) ", preset.description)[0], 56)


def without_kept(values: dict[str, object]) -> dict[str, object]:
    """The fields that a preset decides: without the model and the dataset."""
    return {name: value for name, value in values.items() if name not in KEPT}
