"""Help for the screen at hand, built from its bindings."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from tui.widgets.light_markdown import markdown_content

KeyRow = tuple[str, str]


class HelpScreen(ModalScreen[None]):
    """What the screen is for, its keys, the keys of the widget in focus, and the keys of the whole app."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "close", "close", id="help.close"),
        Binding("j", "scroll(1)", "down", id="help.down"),
        Binding("k", "scroll(-1)", "up", id="help.up"),
    ]

    def __init__(self, page: Screen[object]) -> None:
        super().__init__()
        self.heading = page.title or type(page).__name__
        self.about = str(getattr(page, "HELP", "")).strip()
        self.sections = key_sections(page)

    def compose(self) -> ComposeResult:
        box = VerticalScroll(id="box")
        box.border_title = Content(f"Help: {self.heading}")
        box.border_subtitle = Content("esc close")
        with box:
            if self.about:
                yield Static(_paragraphs(self.about), id="about")
            for heading, rows in self.sections:
                yield Static(heading, classes="heading", markup=False)
                yield Static(_table(rows), classes="keys")

    def on_mount(self) -> None:
        self.query_one("#box").focus()

    def action_scroll(self, lines: int) -> None:
        self.query_one("#box").scroll_relative(y=lines * 2, animate=False)

    def action_close(self) -> None:
        self.dismiss(None)


def key_sections(page: Screen[object]) -> list[tuple[str, list[KeyRow]]]:
    """Keys and what they do, by who listens to them: the screen, the focused widget, the app."""
    groups: dict[str, dict[str, tuple[list[str], str]]] = {"This screen": {}, "What is in focus": {}, "Everywhere": {}}
    for node, binding, enabled, tooltip in page.active_bindings.values():
        own = binding.id or node not in (page, page.app)
        if binding.system or not binding.description or not enabled or not own:
            continue
        group = "This screen" if node is page else "Everywhere" if node is page.app else "What is in focus"
        keys, _ = groups[group].setdefault(binding.action, ([], tooltip or binding.description))
        shown = page.app.get_key_display(binding)
        if shown not in keys:
            keys.append(shown)
    return [
        (heading, [(" ".join(keys), text) for keys, text in rows.values()]) for heading, rows in groups.items() if rows
    ]


def _paragraphs(text: str) -> Content:
    """Markdown whose lines end anywhere, to be wrapped anew."""
    return markdown_content("\n\n".join(" ".join(part.split()) for part in text.split("\n\n")))


def _table(rows: Iterable[KeyRow]) -> Content:
    rows = list(rows)
    width = max(len(keys) for keys, _ in rows)
    lines = [Content.assemble((keys.ljust(width), "bold $footer-key-foreground"), f"  {text}") for keys, text in rows]
    return Content("\n").join(lines)
