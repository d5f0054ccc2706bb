"""Pick a way of sampling by its name, or forget one of one's own."""

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import OptionList

from engine.errors import FinetuiError
from tui.screens.dialogs import Option, PickDialog

if TYPE_CHECKING:
    from engine.home import Home


class PresetDialog(PickDialog):
    """Gives the name of a preset."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+d,delete", "forget", "forget", id="presets.forget", priority=True),
    ]

    KEYS = (*PickDialog.KEYS[:2], ("ctrl+d", "forget one of your own"), *PickDialog.KEYS[2:])

    def __init__(self, home: "Home") -> None:
        """Raises `BadInput` where the user's own cannot be read."""
        super().__init__("Ways of sampling", _options(home))
        self._home = home

    def action_forget(self) -> None:
        """Forget the marked one, if it is one of the user's own."""
        from engine.inference.presets import forget_preset
        from tui.errors import show_error

        highlighted = self.query_one(OptionList).highlighted
        if not self.shown or highlighted is None:
            return
        try:
            forget_preset(self._home, self.shown[highlighted].id)
        except FinetuiError as error:
            show_error(self.app, error)
            return
        self.choices = _options(self._home)
        self._filter("")


def words_of(values: dict[str, Any]) -> str:
    """What a preset sets, in one line: `temperature 0.7 · top_p 0.9`."""
    shown = {name: value for name, value in values.items() if value not in (None, [], ()) or name == "temperature"}
    return " · ".join(f"{name} {value if not isinstance(value, list) else len(value)}" for name, value in shown.items())


def _options(home: "Home") -> list[Option]:
    from engine.inference.presets import presets

    return [Option(name, name, words_of(values)) for name, values in presets(home).items()]
