"""Chat: is it better?"""

import time
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_duration
from tui.screens.chat_asking import ChatAsking
from tui.screens.chat_settings import ChatSettings, ChatSettingsDialog
from tui.screens.chats import ChatKeeper, OpenedChat, chat_options, open_chat
from tui.screens.dialogs import Option, PickDialog
from tui.text import clean
from tui.widgets.chat_seats import (
    BASE,
    Seat,
)
from tui.widgets.chat_turns import Stage, Turn
from tui.widgets.conversation import Conversation
from tui.widgets.pane import PaneHeads
from tui.widgets.prompt import Prompt

EMPTY = """\
No run has an adapter to chat with yet.

Press 3 to launch a run: when it is done, it answers here beside its base.
Or quit and type: finetui demo
It trains a small model on sample data, here, in two minutes, with no GPU."""
HINT = """\
Ask the base model and the adapter the same, side by side.
ctrl+a puts another run beside them."""
HINT_ALONE = """\
Only the base model answers so far.
When a run is done, ctrl+a puts its adapter beside it."""


class ChatScreen(ChatAsking):
    """The base model and adapters, asked the same, answering side by side. Every turn is kept."""

    MODE = "chat"
    TITLE = "Chat"
    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = ""
    HELP = """
**Is it better?** Ask the base model and up to three adapters the same thing; they answer side by side, each with its
own earlier answers in mind. Under an answer: its tokens, the time to the first one, and the speed after it.

Enter sends, Alt+Enter or Ctrl+J begins a new line. While the cursor is in the input, digits are text: **Esc leaves the
input**, then `1` to `6` change the screen as everywhere, `j` `k` scroll and `y` copies; Enter goes back to the input.
Esc ends answers that are being written; what is there is kept.

The model server starts with the first question and stays for a while. Conversations are kept on this machine only.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape", "stop", "stop", id="chat.stop", key_display="esc", tooltip="End the answers; keep what is there"
        ),
        Binding("escape", "leave", "keys 1-6", id="chat.leave", key_display="esc", tooltip="Leave the input"),
        Binding("enter,i", "write", "write", id="chat.write", tooltip="Go to the input"),
        Binding("ctrl+r", "again", "again", id="chat.again", tooltip="Ask the last question again"),
        Binding("ctrl+a", "add", "add a run", id="chat.add", tooltip="Put one more model beside them"),
        Binding("ctrl+s", "settings", "settings", id="chat.settings", tooltip="System message, temperature, length"),
        Binding("ctrl+o", "history", "history", id="chat.history", tooltip="Open a conversation that was kept"),
        Binding("ctrl+n", "new", "new", id="chat.new", show=False, tooltip="Begin a new conversation"),
        Binding("ctrl+d", "remove", "take one away", id="chat.remove", show=False, tooltip="Take a model away"),
        Binding("y", "copy", "copy", id="chat.copy", tooltip="Copy the last question and its answers"),
        Binding("pageup", "page(-1)", "page up", id="chat.page_up", show=False),
        Binding("pagedown", "page(1)", "page down", id="chat.page_down", show=False),
    ]

    def compose_body(self) -> ComposeResult:
        yield PaneHeads()
        yield Conversation()
        yield Static("", id="status", markup=False)
        with Horizontal(id="input"):
            yield Static("›", id="mark", markup=False)
            yield Prompt()
        yield Static("", id="empty", markup=False)

    def on_mount(self) -> None:
        self.add_class("-bare")
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(lambda _: self.seat_newest())
        self.seat_first()

    @property
    def _prompt(self) -> Prompt:
        return self.query_one(Prompt)

    # What is shown

    def begin(self, seats: list[Seat]) -> None:
        self._open_turns(seats, [], None)

    def _open_turns(self, seats: list[Seat], turns: list[Turn], keeper: ChatKeeper | None) -> None:
        """Show a conversation, new or stored."""
        self._turns, self._keeper = turns, keeper
        self.show_seats(seats)
        if not seats:
            self.set_focus(None)
        elif self.focused is None:
            self._prompt.focus()

    def show_seats(self, seats: list[Seat]) -> None:
        self.seats = seats
        self.set_class(not seats, "-bare")
        self.query_one("#empty", Static).update(Content(EMPTY))
        self.query_one(PaneHeads).show(seats)
        self._conversation.hint = HINT if any(seat.key != BASE for seat in seats) else HINT_ALONE
        self._conversation.show(seats, self._turns)
        self._show_status()
        self.refresh_bindings()

    @property
    def places(self) -> int:
        stored = len(self._keeper.chat.panes) if self._keeper and self._keeper.chat else 0
        return max(stored, *(seat.place + 1 for seat in self.seats)) if self._turns else 0

    # Asking

    @on(Prompt.Sent)
    def _sent(self, event: Prompt.Sent) -> None:
        if self.busy:
            self.notify("They are still answering; esc stops them.")
            return
        if not self._can_answer():
            return
        self._prompt.clear()
        turn = Turn(event.text)
        self._turns.append(turn)
        self._conversation.show(self.seats, self._turns)
        self._ask(turn, new=True)

    def _show_status(self) -> None:
        status = self.query_one("#status", Static)
        status.set_class(self.busy, "-busy")
        if not self.busy:
            status.update(self._settings.words)
            return
        took = fmt_duration(int(time.monotonic() - self._since))
        answers = self._turns[-1].answers.values() if self._turns else ()
        writing = any(answer.stage is not Stage.WAITING for answer in answers)
        words = "writing" if writing else f"{self._at} …" if self._at else "waiting for the first words …"
        status.update(f"{words}  {took}")

    # Settings and history

    def action_settings(self) -> None:
        """System message and sampling."""
        self.app.push_screen(ChatSettingsDialog(self._settings), self._take_settings)

    def _take_settings(self, settings: ChatSettings | None) -> None:
        if settings is not None:
            self._settings = settings
            self._show_status()

    def action_new(self) -> None:
        """Begin a new conversation with the same models. The old one is in the history."""
        seats = [replace(seat, place=place) for place, seat in enumerate(self.seats) if seat.pane is not None]
        self.begin(seats or self.seats)
        self.focus_prompt()

    def action_history(self) -> None:
        """Pick a conversation that was kept."""
        self.in_thread(partial(chat_options, self.services.store), self._pick_chat, group="pick")

    def _pick_chat(self, choices: list[Option]) -> None:
        if not choices:
            self.notify("No conversation has been kept yet.")
            return
        current = self._keeper.chat.id if self._keeper and self._keeper.chat else None
        self.app.push_screen(PickDialog("Conversations", choices, selected=current), self._open)

    def _open(self, chat_id: str | None) -> None:
        if chat_id is not None:
            read = partial(open_chat, self.services.store, self.services.home, chat_id)
            self.in_thread(read, self._opened, group="seats", title="The conversation cannot be opened")

    def _opened(self, opened: OpenedChat) -> None:
        self._settings = opened.settings
        self._open_turns(opened.seats, opened.turns, opened.keeper)
        if opened.problems:
            self.show_error(opened.problems[0], "Not every model can go on")

    # Keys

    def action_leave(self) -> None:
        """Leave the input: the keys of the app work again."""
        self._conversation.focus()

    def focus_prompt(self) -> None:
        self._prompt.focus()

    def action_write(self) -> None:
        self.focus_prompt()

    def action_page(self, pages: int) -> None:
        height = max(1, self._conversation.size.height - 2)
        self._conversation.scroll_relative(y=pages * height, animate=False)

    def action_copy(self) -> None:
        """Copy the last question and what each answered."""
        turn = self._turns[-1]
        answers = [(seat.label, turn.answers[seat.place].text) for seat in self.seats if seat.place in turn.answers]
        self.app.copy_to_clipboard(clean("\n\n".join([turn.prompt, *(f"{label}: {text}" for label, text in answers)])))
        self.notify("Copied.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or not self.finetui.is_ready:
            return action not in ("add", "remove", "again", "history", "stop", "copy", "leave", "settings", "new")
        match action:
            case "stop":
                return self.busy
            case "leave":
                return self._prompt.has_focus and not self.busy
            case "write":
                return bool(self.seats) and not self._prompt.has_focus
            case "copy" | "again":
                return bool(self._turns) and not self.busy
            case "new":
                return bool(self._turns) and not self.busy
            case "remove":
                return len(self.seats) > 1 and not self.busy
            case "add" | "history":
                return not self.busy
            case "settings":
                return bool(self.seats)
        return super().check_action(action, parameters)
