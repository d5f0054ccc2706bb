"""Small questions over a screen: yes or no, a line of text, one of many, and what went wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets import option_list as options

from tui.screens.in_front import InFront
from tui.text import clean, clean_line

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer], InFront[Answer]):
    """A box in the middle of the screen. Its words are shown as they are, never as markup."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = "dialogs.tcss"
    title_text: str = ""

    def box(self, *classes: str) -> Vertical:
        """The frame that holds the dialog's parts, its title on the border."""
        box = Vertical(id="box", classes=" ".join(classes))
        box.border_title = Content(clean_line(self.title_text))
        return box

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Go, with a result: where something lies over it, as soon as that is gone."""
        if self.is_active:
            return super().dismiss(result)
        self.when_in_front(partial(self.dismiss, result))
        return AwaitComplete()


class ConfirmDialog(Dialog[bool]):
    """Asks before something is done that cannot be taken back: `y` or Enter does it, `n` or Esc does not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "yes", id="dialog.yes"),
        Binding("n,escape", "answer(False)", "no", id="dialog.no"),
    ]

    def __init__(self, title: str, body: str, confirm_label: str = "yes") -> None:
        super().__init__()
        self.title_text = title
        self.body = body
        self.confirm_label = confirm_label

    def compose(self) -> ComposeResult:
        with self.box("-act"):
            yield Static(clean(self.body), markup=False, classes="part")
            yield Static(key_words(("y", self.confirm_label), ("n", "leave it")), classes="keys")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class TextDialog(Dialog[str | None]):
    """Asks for one line of text. Enter takes it, Esc gives `None`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="dialog.cancel")]

    def __init__(self, title: str, value: str = "", *, hint: str = "") -> None:
        super().__init__()
        self.title_text = title
        self.value = value
        self.hint = hint

    def compose(self) -> ComposeResult:
        with self.box():
            yield Input(clean_line(self.value), compact=True)
            if self.hint:
                yield Static(self.hint, markup=False, classes="part muted")
            yield Static(key_words(("enter", "take it"), ("esc", "cancel")), classes="keys")

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_cancel(self) -> None:
        self.dismiss(None)


@dataclass(frozen=True)
class Option:
    """One thing to pick: what is handed back, its name, and a few words about it."""

    id: str
    label: str
    detail: str = ""


class PickDialog(Dialog[str | None]):
    """Picks one of many by typing a part of its name. Enter takes the marked one, Esc gives `None`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("down,ctrl+n", "move(1)", "down", id="pick.down", priority=True),
        Binding("up,ctrl+p", "move(-1)", "up", id="pick.up", priority=True),
        Binding("pagedown", "move(10)", "page down", id="pick.page_down", priority=True),
        Binding("pageup", "move(-10)", "page up", id="pick.page_up", priority=True),
    ]
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (("enter", "take it"), ("↑↓", "move"), ("esc", "cancel"))
    """What stands at its foot."""

    def __init__(self, title: str, choices: Sequence[Option], *, selected: str | None = None) -> None:
        super().__init__()
        self.title_text = title
        self.choices = choices
        self.selected = selected
        self.shown: list[Option] = []

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield Input(placeholder="type to filter", compact=True)
            listing = OptionList(markup=False)
            listing.can_focus = False
            yield listing
            yield Static(key_words(*self.KEYS), classes="keys")

    def on_mount(self) -> None:
        self._filter("")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        self.shown = [
            choice
            for choice in self.choices
            if all(word in f"{choice.label} {choice.detail} {choice.id}".lower() for word in words)
        ]
        listing = self.query_one(OptionList)
        listing.clear_options()
        width = max((len(clean_line(choice.label)) for choice in self.shown), default=0)
        for choice in self.shown:
            label = clean_line(choice.label).ljust(min(width, 40))
            content = Content.assemble(label, "  ", (clean_line(choice.detail), "dim"))  # of the cursor's colour, too
            listing.add_option(options.Option(content))
        if not self.shown:
            listing.add_option(options.Option(Content("nothing of that name"), disabled=True))
            return
        ids = [choice.id for choice in self.shown]
        listing.highlighted = ids.index(self.selected) if self.selected in ids else 0

    def action_move(self, rows: int) -> None:
        listing = self.query_one(OptionList)
        if self.shown:
            row = (listing.highlighted or 0) + rows
            listing.highlighted = row % len(self.shown) if abs(rows) == 1 else max(0, min(row, len(self.shown) - 1))

    @on(Input.Submitted)
    def _take(self) -> None:
        highlighted = self.query_one(OptionList).highlighted
        if self.shown and highlighted is not None:
            self.take(self.shown[highlighted].id)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.take(self.shown[event.option_index].id)

    def take(self, choice: str) -> None:
        """The choice is made."""
        self.dismiss(choice)

    def action_cancel(self) -> None:
        self.dismiss(None)


class ErrorDialog(Dialog[None]):
    """What went wrong, why, and what to do now."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,space,q", "close", "close", id="dialog.close")]

    def __init__(self, title: str, what: str, why: str = "", fix: str = "") -> None:
        super().__init__()
        self.title_text = title
        self.parts = (what, why, fix)

    def compose(self) -> ComposeResult:
        what, why, fix = (clean(part) for part in self.parts)
        with self.box("-act", "-wide"):
            with VerticalScroll(id="parts"):
                yield Static(what, markup=False, classes="part")
                if why:
                    yield Static(why, markup=False, classes="part muted")
                if fix:
                    yield Static(fix, markup=False, classes="part fix")
            yield Static(key_words(("esc", "close")), classes="keys")

    def action_close(self) -> None:
        self.dismiss(None)


def key_words(*keys: tuple[str, str]) -> Content:
    """The line of keys at the foot of a dialog."""
    parts: list[tuple[str, str]] = []
    for key, text in keys:
        parts += [(key, "bold $footer-key-foreground"), (f" {text}   ", "")]
    return Content.assemble(*parts)
