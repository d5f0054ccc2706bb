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
from tui.screens.chat_history import ChatHistory, Chosen, Found, find_chats
from tui.screens.chat_settings import ChatSettings, ChatSettingsDialog
from tui.screens.chat_turns import TURN_ACTIONS, ChatTurns
from tui.screens.chats import ChatKeeper, OpenedChat, open_chat
from tui.widgets.chat_seats import (
    BASE,
    Seat,
)
from tui.widgets.chat_turns import Stage, Turn
from tui.widgets.conversation import Conversation
from tui.widgets.conversation_lines import Against
from tui.widgets.pane import PaneHeads, warnings_of
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

DIFFER = {
    Against.NOTHING: "",
    Against.FIRST: "differences from the first pane",
    Against.EARLIER: "differences from the answer before",
}
OWN = {"add", "remove", "history", "stop", "leave", "end_edit", "settings", "new", "knowledge", "arena", "suites"}
"""What needs the services."""


class ChatScreen(ChatTurns):
    """The base model and adapters, asked the same, answering side by side. Every turn is kept."""

    MODE = "chat"
    TITLE = "Chat"
    CSS_PATH = "chat.tcss"
    AUTO_FOCUS = ""
    HELP = """
**Is it better?** Ask the base model and up to three others the same thing; they answer side by side, each with its
own earlier answers in mind. Under an answer: its tokens, the time to the first one, and the speed after it.

Enter sends, Alt+Enter or Ctrl+J begins a new line. While the cursor is in the input, letters and digits are text:
**Esc leaves the input**. Then `j` `k` go from turn to turn; `Enter` asks the turn at the cursor in other words, `r`
again, `R` again of one model, `f` forks the conversation there, `y` copies the turn and `Y` all, `d` shows word by word
what differs, `a` asks all questions anew of other models; `i` goes back to the input and `1` to `6` change the screen.
What followed a turn that is asked anew stays in the history. Esc ends answers that are being written.

A `✓` in the head of a pane says that its adapter is on, and how far it moves the logits of its base (Δ); a `⚠` says
what does not match. `ctrl+k` has a pane look in notes before it answers. `ctrl+o` finds conversations by anything said
in them. The model server starts with the first question. Conversations are kept on this machine only.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape", "stop", "stop", id="chat.stop", key_display="esc", tooltip="End the answers; keep what is there"
        ),
        Binding(
            "escape",
            "end_edit",
            "leave it",
            id="chat.end_edit",
            key_display="esc",
            tooltip="Leave it as it was",
        ),
        Binding("escape", "leave", "keys 1-6", id="chat.leave", key_display="esc", tooltip="Leave the input"),
        Binding("enter", "edit", "edit", id="chat.edit_too", tooltip="Ask this in other words"),
        Binding("enter,i", "write", "write", id="chat.write", tooltip="Go to the input"),
        Binding("ctrl+a", "add", "add", id="chat.add", tooltip="Put one more model beside them: a run, a base, an API"),
        Binding("ctrl+s", "settings", "settings", id="chat.settings", tooltip="System message, temperature, length"),
        Binding("ctrl+o", "history", "history", id="chat.history", tooltip="Find a conversation that was kept"),
        Binding("ctrl+b", "arena", "blind", id="chat.arena", tooltip="Vote without knowing who answers"),
        Binding("ctrl+k", "knowledge", "notes", id="chat.knowledge", tooltip="Have one of them look in notes first"),
        Binding("ctrl+t", "suites", "suites", id="chat.suites", show=False, tooltip="Ask them a whole prompt suite"),
        Binding("ctrl+n", "new", "new", id="chat.new", show=False, tooltip="Begin a new conversation"),
        Binding("ctrl+d", "remove", "take one away", id="chat.remove", show=False, tooltip="Take a model away"),
        Binding("pageup", "page(-1)", "page up", id="chat.page_up", show=False),
        Binding("pagedown", "page(1)", "page down", id="chat.page_down", show=False),
    ]

    def compose_body(self) -> ComposeResult:
        yield PaneHeads()
        yield Static("", id="warnings", markup=False)
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

    # What is shown

    def begin(self, seats: list[Seat]) -> None:
        self._open_turns(seats, [], None)

    def _open_turns(self, seats: list[Seat], turns: list[Turn], keeper: ChatKeeper | None) -> None:
        """Show a conversation, new or stored."""
        self._turns, self._keeper = turns, keeper
        self._editing = None
        self._to_ask.clear()
        self.show_seats(seats)
        if not seats:
            self.set_focus(None)
        elif self.focused is None:
            self.call_after_refresh(self._prompt.focus)  # it may still be hidden, and what is hidden takes no keys

    def show_seats(self, seats: list[Seat]) -> None:
        self.seats = seats
        self.set_class(not seats, "-bare")
        self.query_one("#empty", Static).update(Content(EMPTY))
        self._show_trust()
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
        elif self._can_answer():
            self._send(event.text)

    def _show_trust(self) -> None:
        known = {}
        if self._turns:  # before that nothing is loaded, and the pool need not be imported
            pool = self.services.pool
            known = {seat.place: pool.trust(seat.pane) for seat in self.seats if seat.pane is not None}
        trust = {place: found for place, found in known.items() if found is not None}
        self.query_one(PaneHeads).show(self.seats, trust)
        warnings = warnings_of(self.seats, trust)
        shown = self.query_one("#warnings", Static)
        shown.display = bool(warnings)
        shown.update(Content("\n".join(warnings)))

    def _show_status(self) -> None:
        status = self.query_one("#status", Static)
        status.set_class(self.busy, "-busy")
        if not self.busy:
            status.update(self._state)
            return
        took = fmt_duration(int(time.monotonic() - self._since))
        answers = self._turns[-1].answers.values() if self._turns else ()
        writing = any(answer.stage is Stage.WRITING for answer in answers)
        words = "writing" if writing else f"{self._at} …" if self._at else "waiting for the first words …"
        follow = f"  ·  {len(self._to_ask)} more questions follow" if self._to_ask else ""
        status.update(f"{words}  {took}{follow}")

    @property
    def _state(self) -> str:
        """How things are while nobody answers."""
        if self._editing is not None:
            return f"turn {self._editing + 1} in other words: enter asks it; esc leaves it as it was"
        differ = DIFFER[self._conversation.against]
        return f"{self._settings.words}{f' · {differ}' if differ else ''}"

    # Settings and history

    def action_settings(self) -> None:
        """System message and sampling."""
        self.app.push_screen(ChatSettingsDialog(self._settings, self.services.home), self._take_settings)

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
        """Find a conversation that was kept."""
        self.in_thread(partial(find_chats, self.services.store, ""), self._pick_chat, group="pick")

    def _pick_chat(self, found: Found) -> None:
        if not found.chats:
            self.notify("No conversation has been kept yet.")
            return
        current = self._keeper.chat.id if self._keeper and self._keeper.chat else ""
        self.app.push_screen(ChatHistory(self.services.store, found, current), self._open)

    def _open(self, chosen: Chosen | None) -> None:
        if chosen is None:
            return
        if self._keeper and self._keeper.chat and self._keeper.chat.id in chosen.deleted:
            self.action_new()
        if chat_id := chosen.open or chosen.again:
            read = partial(open_chat, self.services.store, self.services.home, chat_id)
            then = self._opened if chosen.open else self._ask_anew
            self.in_thread(read, then, group="seats", title="The conversation cannot be opened")

    def _ask_anew(self, opened: OpenedChat) -> None:
        """The questions of a stored conversation, with its settings, for others."""
        self._settings = opened.settings
        self._show_status()
        self.ask_of_others([turn.prompt for turn in opened.turns])

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

    # Other ways to ask

    @property
    def models(self) -> list[str]:
        """Who is seated, as models are written everywhere."""
        return [seat.written for seat in self.seats if seat.pane is not None]

    def _models_to_hand_over(self) -> list[str]:
        """Who is seated; where those at an address are found is kept, for others know them by name."""
        from engine.suites.endpoints import FarModel, keep_endpoint

        for seat in self.seats:
            if seat.pane is not None and seat.pane.url:
                keep_endpoint(self.services.home, FarModel(seat.pane.model, seat.pane.url, seat.pane.key_env))
        return self.models

    def action_arena(self) -> None:
        """Vote on who is seated without knowing who answers."""
        from tui.screens.arena import ArenaScreen

        self.app.push_screen(ArenaScreen(self._models_to_hand_over()))

    def action_suites(self) -> None:
        """Ask who is seated a whole prompt suite."""
        from tui.screens.suites import SuitesScreen

        self.app.push_screen(SuitesScreen(self._models_to_hand_over()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or not self.finetui.is_ready:
            return action not in OWN and action not in TURN_ACTIONS
        match action:
            case "stop":
                return self.busy
            case "leave":
                return self.focused is self._prompt and not self.busy and self._editing is None
            case "write":
                return bool(self.seats) and self.focused is not self._prompt
            case "new":
                return bool(self._turns) and not self.busy
            case "remove":
                return len(self.seats) > 1 and not self.busy
            case "add" | "history":
                return not self.busy
            case "knowledge" | "arena" | "suites":
                return bool(self.seats) and not self.busy
            case "settings":
                return bool(self.seats)
        return super().check_action(action, parameters)
