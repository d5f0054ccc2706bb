"""How answers are written: the system message and the sampling, in a dialog."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static, TextArea

from engine.inference.client import Sampling
from tui.screens.dialogs import Dialog, key_words

FIELDS = {
    "temperature": ("temperature", "0 is greedy, 0.7 is lively"),
    "top_p": ("top_p", "share of likely tokens; 1 is all"),
    "top_k": ("top_k", "so many likely tokens; 0 is all"),
    "max_new_tokens": ("max new tokens", "the longest answer"),
    "seed": ("seed", "empty draws anew each time"),
}
LIMITS: dict[str, tuple[type, float, float, str]] = {
    "temperature": (float, 0, 10, "a number from 0 to 10"),
    "top_p": (float, 0.001, 1, "a number above 0, up to 1"),
    "top_k": (int, 0, 1_000_000, "a whole number, 0 or more"),
    "max_new_tokens": (int, 1, 32_768, "a whole number from 1 to 32768"),
    "seed": (int, 0, 2**32 - 1, "a whole number, or nothing"),
}


@dataclass(frozen=True)
class ChatSettings:
    """What all models of a chat are told and how they choose their words."""

    system: str = ""
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def words(self) -> str:
        """In one line: `greedy · up to 256 tokens · system message`."""
        sampling = self.sampling
        parts = ["greedy" if sampling.temperature == 0 else f"temperature {sampling.temperature:g}"]
        parts += [f"top_p {sampling.top_p:g}"] if sampling.top_p < 1 else []
        parts += [f"top_k {sampling.top_k}"] if sampling.top_k else []
        parts += [f"seed {sampling.seed}"] if sampling.seed is not None else []
        parts.append(f"up to {sampling.max_new_tokens} tokens")
        parts += ["system message"] if self.system else []
        return " · ".join(parts)


class ChatSettingsDialog(Dialog[ChatSettings | None]):
    """Enter or Ctrl+S takes them, Esc leaves them as they were (`None`)."""

    CSS = """
    ChatSettingsDialog {
        .row { height: 1; }
        .row > .name { width: 16; color: $text-muted; }
        .row > Input { width: 14; margin: 0; border-left: thick $border-blurred; }
        .row > Input:focus { width: 14; margin: 0; border-left: thick $primary; }
        .row > .about { width: 1fr; padding-left: 2; color: $text-muted; }
        TextArea { height: 4; border-left: thick $border-blurred !important; background: $panel; margin-bottom: 1; }
        TextArea:focus { border-left: thick $primary !important; }
        #problem { color: $text-error; height: 1; margin-top: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("ctrl+s", "take", "take them", id="chat.take_settings", priority=True),
    ]
    title_text = "How they answer"

    def __init__(self, settings: ChatSettings) -> None:
        super().__init__()
        self.settings = settings

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield Static("system message", classes="muted", markup=False)
            yield TextArea(self.settings.system, compact=True, highlight_cursor_line=False, id="system")
            for name, (title, about) in FIELDS.items():
                value = getattr(self.settings.sampling, name)
                with Horizontal(classes="row"):
                    yield Static(title, classes="name", markup=False)
                    yield Input("" if value is None else f"{value:g}", id=name, compact=True)
                    yield Static(about, classes="about", markup=False)
            yield Static("", id="problem", markup=False)
            yield Static(key_words(("ctrl+s", "take them"), ("tab", "next"), ("esc", "cancel")), classes="keys")

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Hand the settings back, or say what is wrong with them."""
        values: dict[str, Any] = {}
        for name, (title, _) in FIELDS.items():
            field_input = self.query_one(f"#{name}", Input)
            kind, low, high, words = LIMITS[name]
            text = field_input.value.strip()
            if not text and name == "seed":
                values[name] = None
                continue
            value = _number(text, kind)
            if value is None or not low <= value <= high:
                self.query_one("#problem", Static).update(f"{title}: {words}")
                field_input.focus()
                return
            values[name] = value
        self.dismiss(ChatSettings(self.query_one("#system", TextArea).text.strip(), Sampling(**values)))

    def action_cancel(self) -> None:
        self.dismiss(None)


def _number(text: str, kind: type) -> float | int | None:
    try:
        value: float | int = kind(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
