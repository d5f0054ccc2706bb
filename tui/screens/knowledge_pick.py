"""Which notes a chat pane looks in before it is asked: one collection, or none."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.format import fmt_bytes
from tui.screens.dialogs import Option, PickDialog
from tui.text import clean_line
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from store.talk_records import Knowledge
    from tui.screens.page import Page

NONE = "none"
MANAGE = "manage"


class PickAboutNotes(PickDialog):
    """A choice that has to do with notes: a key leads to them, and is answered with `MANAGE`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+k", "manage", "the notes", id="knowledge.manage", priority=True),
    ]
    KEYS = (*PickDialog.KEYS[:2], ("ctrl+k", "look at the notes"), *PickDialog.KEYS[2:])

    def action_manage(self) -> None:
        """Look at the notes, or add some."""
        self.take(MANAGE)


class PickKnowledge(PickAboutNotes):
    """Answers with `name:` and the collection's name, `NONE`, `MANAGE`, or `None` where Esc was pressed."""

    def __init__(self, every: "Sequence[Knowledge]", selected: str = "") -> None:
        options = [Option(f"name:{one.name}", clean_line(one.name), _about(one)) for one in every]
        none = [Option(NONE, "no notes", "asked as it is")] if every else []
        manage = Option(
            MANAGE, "add notes …" if not every else "look at the notes …", "files that answers are based on"
        )
        chosen = f"name:{selected}" if selected else NONE
        super().__init__("Look in notes first", [*none, *options, manage], selected=chosen)


def pick_knowledge(page: "Page", current: str, then: Callable[[str], object]) -> None:
    """Ask which notes to look in, and call `then` with the name of the collection, empty for none.

    `current` is the one that is looked in now. Esc changes nothing. From the notes one comes back to the choice.
    """

    def picked(choice: str | None) -> None:
        if choice == MANAGE:
            open_notes(page, partial(offer, only_some=True))
        elif choice == NONE:
            then("")
        elif choice is not None:
            then(choice.removeprefix("name:"))

    def show(only_some: bool, every: "list[Knowledge]") -> None:
        if every or not only_some:
            page.app.push_screen(PickKnowledge(every, current), picked)

    def offer(*, only_some: bool) -> None:
        read = page.services.store.knowledge.all
        page.in_thread(read, partial(show, only_some), group="notes", title="The notes cannot be read")

    offer(only_some=False)


def open_notes(page: "Page", back: Callable[[], None]) -> None:
    """Show the notes; `back` is called when they are left by Esc."""
    from tui.screens.knowledge import KnowledgeScreen

    def left(_: None) -> None:
        back()

    page.app.push_screen(KnowledgeScreen(), left)


def _about(one: "Knowledge") -> str:
    files, passages = count_words(one.sources, "file"), count_words(one.passages, "passage")
    return f"{files}, {passages}, {fmt_bytes(one.size_bytes)}"
