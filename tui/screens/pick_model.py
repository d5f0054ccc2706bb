"""Picks a base model: one that is here, or whatever name or folder is typed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.screens.dialogs import Option, PickDialog
from tui.widgets.launch_plan import model_words

if TYPE_CHECKING:
    from engine.models import ModelInfo


class PickModel(PickDialog):
    """The models of this machine; what is typed can be taken as a name on the hub or a folder."""

    def __init__(self, models: "Sequence[ModelInfo]", selected: str) -> None:
        super().__init__("Base model · type a hub name or a folder", _choices(models), selected=selected)
        self._known = list(self.choices)

    def _filter(self, text: str) -> None:
        typed = text.strip()
        others = [Option(typed, typed, "a name on the hub, or a folder")] if "/" in typed or "~" in typed else []
        self.choices = [*self._known, *(one for one in others if one.id not in {known.id for known in self._known})]
        super()._filter(text)


def _choices(models: "Sequence[ModelInfo]") -> list[Option]:
    return [Option(model.name, model.name, model_words(model)) for model in models]
