"""How answers are written: the system message and the sampling, in a dialog."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static, TextArea

from engine.errors import FinetuiError
from engine.inference.client import Sampling
from tui.screens.dialogs import Dialog, TextDialog, key_words
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.home import Home

MOST_STOPS = 8
BETWEEN = "|"
"""What stands between texts that end an answer."""
FIELDS = {
    "temperature": ("temperature", "0 is greedy, 0.7 is lively"),
    "top_p": ("top_p", "share of likely tokens; 1 is all"),
    "top_k": ("top_k", "so many likely tokens; 0 is all"),
    "max_new_tokens": ("max new tokens", "the longest answer"),
    "seed": ("seed", "empty draws anew each time"),
    "stop": ("stop", f"ends an answer: a{BETWEEN}b; \\n is a new line"),
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
        parts += [f"stops at {len(sampling.stop)} texts"] if sampling.stop else []
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
        Binding("ctrl+o", "preset", "presets", id="chat.preset", priority=True),
        Binding("ctrl+k", "keep", "keep as", id="chat.keep_preset", priority=True),
    ]
    title_text = "How they answer"

    def __init__(self, settings: ChatSettings, home: "Home") -> None:
        super().__init__()
        self.settings = settings
        self._home = home

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield Static("system message", classes="muted", markup=False)
            yield TextArea(self.settings.system, compact=True, highlight_cursor_line=False, id="system")
            for name, (title, about) in FIELDS.items():
                with Horizontal(classes="row"):
                    yield Static(title, classes="name", markup=False)
                    yield Input(_written(self.settings.sampling, name), id=name, compact=True)
                    yield Static(about, classes="about", markup=False)
            yield Static("", id="problem", markup=False)
            yield Static(_KEYS, classes="keys")

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Hand the settings back, or say what is wrong with them."""
        if (sampling := self._sampling()) is not None:
            self.dismiss(ChatSettings(self.query_one("#system", TextArea).text.strip(), sampling))

    def _sampling(self) -> Sampling | None:
        """What the fields say; `None`, and a word about it, where one of them cannot be."""
        values: dict[str, Any] = {}
        for name, (title, _) in FIELDS.items():
            field_input = self.query_one(f"#{name}", Input)
            if name == "stop":
                values[name] = stops_of(field_input.value)
                problem = f"at most {MOST_STOPS} texts" if len(values[name]) > MOST_STOPS else ""
            else:
                values[name], problem = _read(name, field_input.value.strip())
            if problem:
                self._say(f"{title}: {problem}")
                field_input.focus()
                return None
        return Sampling(**values)

    def _say(self, words: str) -> None:
        self.query_one("#problem", Static).update(words)

    def action_preset(self) -> None:
        """Pick a way of sampling that has a name."""
        from engine.inference.presets import presets, sampling_of
        from tui.screens.chat_presets import PresetDialog

        def picked(name: str | None) -> None:
            if name is not None:
                sampling = sampling_of(presets(self._home)[name], self._sampling())
                for each in FIELDS:
                    self.query_one(f"#{each}", Input).value = _written(sampling, each)
                self._say("")

        try:
            dialog = PresetDialog(self._home)
        except FinetuiError as error:
            self._say(error.what)
            return
        self.app.push_screen(dialog, picked)

    def action_keep(self) -> None:
        """Keep these values under a name."""
        from engine.inference.presets import keep_preset

        sampling = self._sampling()
        if sampling is None:
            return

        def named(name: str | None) -> None:
            if not name:
                return
            try:
                keep_preset(self._home, name, sampling)
            except FinetuiError as error:
                self._say(error.what)
            else:
                self.notify(f"Kept as {clean_line(name)}; ctrl+o brings it back.")

        self.app.push_screen(TextDialog("Keep these values as", hint="one of the same name is replaced"), named)

    def action_cancel(self) -> None:
        self.dismiss(None)


_KEYS = key_words(("ctrl+s", "take"), ("ctrl+o", "presets"), ("ctrl+k", "keep as"), ("esc", "cancel"))


def stops_of(text: str) -> tuple[str, ...]:
    """The texts that end an answer, as they are typed: `###|\\nUser:`."""
    return tuple(part.replace("\\n", "\n") for part in text.split(BETWEEN) if part.strip())


def _written(sampling: Sampling, name: str) -> str:
    """A value as it is typed."""
    value = getattr(sampling, name)
    if isinstance(value, tuple):
        return BETWEEN.join(text.replace("\n", "\\n") for text in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _read(name: str, text: str) -> tuple[float | int | None, str]:
    """A number, or what is wrong with it."""
    kind, low, high, words = LIMITS[name]
    if not text and name == "seed":
        return None, ""
    value = _number(text, kind)
    return value, "" if value is not None and low <= value <= high else words


def _number(text: str, kind: type) -> float | int | None:
    try:
        value: float | int = kind(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
