"""Which notes a chat pane looks in before it is asked: one collection, or none."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tui.format import fmt_bytes
from tui.screens.dialogs import Option, PickDialog
from tui.text import clean_line
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from store.talk_records import Knowledge
    from tui.screens.page import Page

NONE = "none"
MANAGE = "manage"


class PickKnowledge(PickDialog):
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

    `current` is the one that is looked in now. Esc changes nothing.
    """

    def picked(choice: str | None) -> None:
        if choice == MANAGE:
            from tui.screens.knowledge import KnowledgeScreen

            page.app.push_screen(KnowledgeScreen())
        elif choice == NONE:
            then("")
        elif choice is not None:
            then(choice.removeprefix("name:"))

    def show(every: "list[Knowledge]") -> None:
        page.app.push_screen(PickKnowledge(every, current), picked)

    page.in_thread(page.services.store.knowledge.all, show, group="notes", title="The notes cannot be read")


def _about(one: "Knowledge") -> str:
    files, passages = count_words(one.sources, "file"), count_words(one.passages, "passage")
    return f"{files}, {passages}, {fmt_bytes(one.size_bytes)}"
