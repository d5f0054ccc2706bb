"""A few fields in one box, with a line below that says what would come of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Label, Static

from engine.errors import BadInput
from tui.screens.dialogs import Dialog, key_words
from tui.text import clean

Values = dict[str, str]


@dataclass(frozen=True)
class Field:
    """One line of the form."""

    id: str
    label: str
    value: str = ""
    hint: str = ""


class FormDialog(Dialog[Values | None]):
    """Enter takes the values, Esc gives `None`. `preview` puts them into words; what it refuses cannot be taken."""

    DEFAULT_CSS = """
    FormDialog .line { height: 1; }
    FormDialog .label { width: 14; color: $text-muted; }
    FormDialog .line > Input, FormDialog .line > Input:focus { width: 1fr; margin: 0; height: 1; }
    FormDialog #outcome { height: auto; min-height: 2; margin: 1 0; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("down", "app.focus_next", "next field", id="form.next"),
        Binding("up", "app.focus_previous", "previous field", id="form.previous"),
    ]

    def __init__(
        self, title: str, fields: Sequence[Field], preview: Callable[[Values], str], *, label: str = "take it"
    ) -> None:
        super().__init__()
        self.title_text = title
        self.fields = fields
        self.preview = preview
        self.label = label

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            for field in self.fields:
                with Horizontal(classes="line"):
                    yield Label(field.label, classes="label", markup=False)
                    yield Input(field.value, placeholder=field.hint, id=f"field-{field.id}", compact=True)
            yield Static("", id="outcome", markup=False)
            yield Static(key_words(("enter", self.label), ("tab", "next field"), ("esc", "cancel")), classes="keys")

    @property
    def values(self) -> Values:
        return {field.id: self.query_one(f"#field-{field.id}", Input).value.strip() for field in self.fields}

    def on_mount(self) -> None:
        self._show()

    @on(Input.Changed)
    def _show(self) -> bool:
        """Say what would come of the values; whether they can be taken."""
        outcome = self.query_one("#outcome", Static)
        try:
            words = self.preview(self.values)
        except BadInput as error:
            parts = [clean(part) for part in (error.what, error.why, error.fix) if part]
            outcome.update(Content("\n".join(parts)).stylize("$text-error"))
            return False
        outcome.update(Content(clean(words)))
        return True

    @on(Input.Submitted)
    def _take(self) -> None:
        if self._show():
            self.take()

    def take(self) -> None:
        """Do what Enter asks for: values that can be taken are handed back."""
        self.dismiss(self.values)

    def action_cancel(self) -> None:
        self.dismiss(None)
