"""Where one writes to the models: Enter sends, Alt+Enter or Ctrl+J begins a new line."""

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

GIVEN_UP = {"ctrl+a", "ctrl+d", "ctrl+k", "pageup", "pagedown"}
"""Keys of the text area that the screen has a better use for; Home and Delete do what the first two did."""


def _editing_keys() -> list[BindingType]:
    found: list[BindingType] = []
    for binding in TextArea.BINDINGS:
        if isinstance(binding, Binding):
            keys = [key for key in binding.key.split(",") if key not in GIVEN_UP]
            found += [replace(binding, key=",".join(keys))] if keys else []
    return found


class Prompt(TextArea, inherit_bindings=False):
    """Grows with what is written, up to a few lines."""

    DEFAULT_CSS = """
    Prompt, Prompt:focus {
        height: auto; max-height: 8; width: 1fr; padding: 0; border: none; background: $panel;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "send", id="chat.send", priority=True, tooltip="Ask all models at once"),
        Binding(
            "alt+enter,ctrl+j,shift+enter",
            "line",
            "new line",
            id="chat.line",
            key_display="alt+⏎",
            priority=True,
            tooltip="Begin a new line",
        ),
        *_editing_keys(),
    ]

    class Sent(Message):
        """Enter was pressed on some text. The screen clears the prompt when it takes it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True, compact=True, highlight_cursor_line=False, placeholder="ask all of them the same"
        )

    # Keys that come in one go are still in the queue when Enter, which is seen to first, is: it takes its place after
    # them.

    def action_send(self) -> None:
        self.call_later(self._send)

    def action_line(self) -> None:
        self.call_later(self.insert, "\n")

    def _send(self) -> None:
        if text := self.text.strip():
            self.post_message(self.Sent(text))
