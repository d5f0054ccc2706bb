"""A choice of yes or no in a form: a box that space ticks."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class Toggle(Widget, can_focus=True):
    """A label after a box. Space ticks it; Enter is the form's, as in an input."""

    DEFAULT_CSS = """
    Toggle { height: 1; width: auto; padding: 0 1; text-wrap: nowrap; }
    Toggle:focus { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,h,l,left,right,x", "change", "change", id="toggle.change", show=False),
        Binding("enter", "submit", "take it", id="toggle.submit", show=False),
    ]
    ALLOW_SELECT = False

    value: reactive[bool] = reactive(False)

    class Submitted(Message):
        """Enter."""

    def __init__(self, label: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.label = label

    def render(self) -> Content:
        return Content(f"[{'x' if self.value else ' '}] {self.label}")

    def get_content_width(self, *_: object) -> int:
        return len(self.label) + 4

    def action_change(self) -> None:
        self.value = not self.value

    def action_submit(self) -> None:
        self.post_message(self.Submitted())

    def on_click(self, _: events.Click) -> None:
        self.action_change()
