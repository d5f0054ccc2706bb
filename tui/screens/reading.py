"""A text to read over a screen: scrolled with j and k, closed with Esc."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.screens.dialogs import Dialog
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.datasets.rows import RowProblem


class ReadingDialog(Dialog[bool]):
    """Shows text as it is. With an `offer`, `s` answers `True`; closing answers `False`."""

    DEFAULT_CSS = """
    ReadingDialog #text { height: auto; max-height: 100%; background: $surface; }
    ReadingDialog #scroll { height: auto; max-height: 26; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", "close", id="dialog.close"),
        Binding("s", "accept", "take the offer", id="dialog.accept"),
        Binding("j,down", "scroll(1)", "down", id="reading.down"),
        Binding("k,up", "scroll(-1)", "up", id="reading.up"),
        Binding("pagedown,ctrl+d,space", "scroll(12)", "page down", id="reading.page_down"),
        Binding("pageup,ctrl+u", "scroll(-12)", "page up", id="reading.page_up"),
    ]

    def __init__(self, title: str, text: Content | str, *, head: str = "", offer: str = "") -> None:
        super().__init__()
        self.title_text = title
        self.text = Content(clean(text)) if isinstance(text, str) else text
        self.head = head
        self.offer = offer

    def compose(self) -> ComposeResult:
        keys = [("j k", "scroll")] if not self.offer else [("j k", "scroll"), ("s", self.offer)]
        with self.box("-wide"):
            if self.head:
                yield Static(clean(self.head), markup=False, classes="part")
            with VerticalScroll(id="scroll", can_focus=False):
                yield Static(self.text, id="text", markup=False, classes="part")
            parts = [(part, style) for key, words in [*keys, ("esc", "close")] for part, style in _key(key, words)]
            yield Static(Content.assemble(*parts), classes="keys")

    def on_mount(self) -> None:
        self.query_one("#scroll").styles.max_height = max(4, self.app.size.height * 9 // 10 - 8)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.offer) if action == "accept" else True

    def action_scroll(self, lines: int) -> None:
        self.query_one("#scroll").scroll_relative(y=lines, animate=False)

    def action_accept(self) -> None:
        self.dismiss(True)

    def action_close(self) -> None:
        self.dismiss(False)


def problems_dialog(title: str, head: str, problems: "Sequence[RowProblem]", total: int, offer: str) -> ReadingDialog:
    """The rows of a file that cannot be used, one a line."""
    lines = []
    for problem in problems:
        place = f"row {problem.row:,}" + (
            f", line {problem.line:,}" if problem.line and problem.line != problem.row else ""
        )
        words = clean_line(f"{problem.field} {problem.problem}")
        lines.append(Content.assemble((f"{place:<10}  ", "$text-error"), words))
    if total > len(problems):
        lines.append(Content.assemble((f"and {total - len(problems):,} more", "$text-muted")))
    return ReadingDialog(title, Content("\n").join(lines), head=head, offer=offer)


def _key(key: str, words: str) -> list[tuple[str, str]]:
    return [(key, "bold $footer-key-foreground"), (f" {words}   ", "")]
