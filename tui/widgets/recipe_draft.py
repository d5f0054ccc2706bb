"""A recipe being written: what it starts from, what was changed, what is wrong with it."""

import re
from collections.abc import Mapping
from typing import Any

from engine.recipe import Recipe, make_recipe, recipe_problems
from tui.widgets.recipe_fields import field_specs

KEPT = ("model", "dataset")
"""What stays when a preset is applied."""


class RecipeDraft:
    """Values of all fields, valid or not, beside those of the preset or the run that they start from."""

    def __init__(self) -> None:
        self.source = ""
        """The name of the preset or the run."""
        self.base: dict[str, Any] = {name: spec.default for name, spec in field_specs().items()}
        self.values: dict[str, Any] = dict(self.base)
        self.problems: dict[str, str] = find_problems(self.values)
        """What is wrong, by field."""

    def start_from(self, source: str, values: Mapping[str, Any], *, keep: tuple[str, ...] = KEPT) -> None:
        """Take the fields of a preset or a run, defaults for the rest; the fields in `keep` stay as they are."""
        kept = {name: self.values[name] for name in keep}
        defaults = {name: spec.default for name, spec in field_specs().items()}
        self.source = source
        self.base = {**defaults, **{name: _frozen(value) for name, value in values.items()}, **kept}
        self.values = dict(self.base)
        self._check()

    def set(self, name: str, value: Any) -> None:
        """Change a field. `model` and `dataset` are what the run is about, not changes of the preset."""
        self.values[name] = value
        if name in KEPT:
            self.base[name] = value
        self._check()

    def reset(self, name: str) -> None:
        """Take a field's change back."""
        self.set(name, self.base[name])

    @property
    def changed(self) -> list[str]:
        """Fields that differ from what the draft started from."""
        return [name for name, value in self.values.items() if not _same(value, self.base.get(name))]

    def is_changed(self, name: str) -> bool:
        return not _same(self.values[name], self.base.get(name))

    def recipe(self) -> Recipe | None:
        """The recipe, or `None` while something is wrong with it."""
        return None if self.problems else make_recipe(self.values)

    def preset_values(self) -> dict[str, Any]:
        """Fields that differ from the defaults, for a preset: without the model and the dataset."""
        recipe = make_recipe(self.values)
        specs = field_specs()
        dumped = recipe.model_dump(mode="json", exclude_none=True)
        return {
            name: value
            for name, value in dumped.items()
            if name not in KEPT and not _same(getattr(recipe, name), specs[name].default)
        }

    def _check(self) -> None:
        self.problems = find_problems(self.values)


def find_problems(values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with a recipe's fields, in few words: `must be a valid number (got '64x')`."""
    return {name: _plain(text) for name, text in recipe_problems(dict(values)).items()}


def _plain(text: str) -> str:
    text = re.sub(r", unable to parse string as an? \w+", "", text)
    return re.sub(r"^input should be", "must be", text)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _same(one: Any, other: Any) -> bool:
    return one is other if isinstance(one, bool) or isinstance(other, bool) else bool(one == other)
