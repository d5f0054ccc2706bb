"""Chat: is it better?"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import Worker

from engine.errors import FinetuiError
from tui.format import fmt_duration
from tui.screens.chat_seating import ChatSeating
from tui.screens.chat_settings import ChatSettings, ChatSettingsDialog
from tui.screens.chats import ChatKeeper, OpenedChat, chat_options, open_chat
from tui.screens.dialogs import Option, PickDialog
from tui.text import clean, clean_line
from tui.widgets.chat_seats import (
    BASE,
    Seat,
)
from tui.widgets.chat_turns import Answer, Stage, Turn, messages_for
from tui.widgets.conversation import Conversation
from tui.widgets.pane import PaneHeads
from tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from engine.inference.pool import Delta

TICK_S = 0.1
"""How often what streamed in is drawn."""

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


class ChatScreen(ChatSeating):
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

    def __init__(self) -> None:
        super().__init__()
        self._turns: list[Turn] = []
        self._settings = ChatSettings()
        self._keeper: ChatKeeper | None = None
        self._answering: Worker[None] | None = None
        self._since = 0.0
        self._at = ""
        """What the model server is at, in its own words."""
        self._drawn: tuple[int, ...] = ()
        self._timer: Timer | None = None

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
        self._timer = self.set_interval(TICK_S, self._tick, pause=True)
        self.when_ready(self._start)

    def _start(self) -> None:
        self.on_runs_changed(lambda _: self.seat_newest())
        self.seat_first()

    @property
    def _prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @property
    def _conversation(self) -> Conversation:
        return self.query_one(Conversation)

    @property
    def busy(self) -> bool:
        return self._answering is not None

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

    def action_again(self) -> None:
        """Ask the last question anew. The answers that were there stay in the store."""
        if self._settings.sampling.temperature == 0 and all(
            answer.stage is Stage.DONE for answer in self._turns[-1].answers.values()
        ):
            self.notify("Greedy answers come out the same; ctrl+s sets a temperature.")
        if self._can_answer():
            self._ask(self._turns[-1], new=False)

    def _can_answer(self) -> bool:
        if any(seat.pane is not None for seat in self.seats):
            return True
        self.notify("None of these models can answer any more; ctrl+a adds one.", severity="warning")
        return False

    def _ask(self, turn: Turn, *, new: bool) -> None:
        seats = [seat for seat in self.seats if seat.pane is not None]
        for seat in seats:
            turn.answers[seat.place] = Answer()
        turn.version += 1
        if self._keeper is None:
            self._keeper = ChatKeeper(self.services.store)
        self._since, self._at = time.monotonic(), ""
        self._answering = self.run_worker(self._answer(turn, seats, self._keeper, new=new), group="answer")
        if self._timer is not None:
            self._timer.resume()
        self._tick()
        self.refresh_bindings()

    async def _answer(self, turn: Turn, seats: list[Seat], keeper: ChatKeeper, *, new: bool) -> None:
        panes = [seat.pane for seat in seats if seat.pane is not None]
        turns = self._turns[: self._turns.index(turn) + 1]
        conversations = [messages_for(turns, seat.place, self._settings.system) for seat in seats]
        pool = self.services.pool
        pool.on_status = self._say
        position: int | None = None
        try:
            await asyncio.to_thread(import_module, "httpx")  # a tenth of a second, better not on the loop
            if new:
                await self._keep(partial(keeper.keep_prompt, turn.prompt, seats, self._settings))
            position = await self._keep(keeper.begin_answers)
            async with aclosing(pool.answer(panes, conversations, self._settings.sampling)) as deltas:
                async for delta in deltas:
                    answer = turn.answers[seats[delta.pane].place]
                    _take(answer, delta)
                    turn.version += 1
                    if answer.stage is Stage.DONE and position is not None:
                        await self._keep(partial(keeper.keep_answer, position, seats[delta.pane].place, answer))
            failed = [answer.error for answer in turn.answers.values() if answer.stage is Stage.FAILED]
            if failed:
                what, _, why = failed[0].partition("\n")
                self.show_error(FinetuiError(what, why=why), "Not every model answered")
        except asyncio.CancelledError:
            for seat in seats:
                self._end(turn, seat, Stage.STOPPED, keeper, position)
            raise
        except Exception as error:  # shown to the user, whatever it is
            for seat in seats:
                self._end(turn, seat, Stage.FAILED, keeper, position, str(error).partition("\n")[0])
            self.show_error(error, "The models could not answer")
        finally:
            pool.on_status = None
            self._answering = None
            if self.is_running:
                self._tick()
                self._show_status()
                self.refresh_bindings()
                if self._timer is not None:
                    self._timer.pause()

    def _end(
        self, turn: Turn, seat: Seat, stage: Stage, keeper: ChatKeeper, position: int | None, error: str = ""
    ) -> None:
        """Close an answer that was not written to its end; what there is of it is kept."""
        answer = turn.answers[seat.place]
        if not answer.open:
            return
        answer.stage, answer.error = stage, error
        turn.version += 1
        if answer.text and position is not None and self.is_running:
            keep = partial(keeper.keep_answer, position, seat.place, replace(answer))
            self.run_worker(self._keep(keep), group="keep")

    async def _keep(self, write: Callable[[], int | None]) -> int | None:
        """Write to the store in a thread. Where that fails the chat goes on, and the user is told once a turn."""
        try:
            return await asyncio.to_thread(write)
        except Exception as error:  # a full disk must not end a conversation
            self.show_error(error, "This conversation is not kept")
            return None

    def _say(self, line: str) -> None:
        self._at = clean_line(line)

    def action_stop(self) -> None:
        """End the answers that are being written."""
        if self._answering is not None:
            self._answering.cancel()

    def _tick(self) -> None:
        """Draw what has come since the last time, and how long it has been."""
        drawn = tuple(turn.version for turn in self._turns)
        if drawn != self._drawn:
            self._drawn = drawn
            self._conversation.turns_changed()
        self._show_status()

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


def _take(answer: Answer, delta: "Delta") -> None:
    """Take one more piece into an answer."""
    answer.text += delta.text
    if delta.error is not None:
        answer.stage, answer.error = Stage.FAILED, delta.error
    elif delta.done:
        answer.stage = Stage.DONE
        answer.tokens, answer.first_token_s = delta.tokens, delta.first_token_s
        answer.tokens_per_s = delta.tokens_per_s
    elif delta.text:
        answer.stage = Stage.WRITING
