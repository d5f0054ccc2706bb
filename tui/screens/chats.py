"""Stored conversations: kept turn by turn, listed, opened again. Everything here blocks: call it in a thread."""

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.errors import FinetuiError, NotFound
from engine.inference.client import Sampling
from tui.format import fmt_when
from tui.screens.chat_settings import ChatSettings
from tui.screens.dialogs import Option
from tui.text import clean_line, shorten
from tui.widgets.chat_seats import BASE, MOST_SEATS, Seat, base_seat, lettered, run_seat, seats_for
from tui.widgets.chat_turns import USER, Answer, Turn, turns_of

if TYPE_CHECKING:
    from engine.home import Home
    from store import Store
    from store.records import Chat

TITLE_LENGTH = 60


class ChatKeeper:
    """Writes one conversation to the store as it goes. It is in the store from its first prompt on."""

    def __init__(self, store: "Store", chat: "Chat | None" = None, position: int = 0) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.chat = chat
        self.position = position
        """The next free place in the conversation."""

    def keep_prompt(self, text: str, seats: Sequence[Seat], settings: ChatSettings) -> None:
        """The user's turn, and who is asked, with which settings."""
        from store.records import Chat, Message

        now = time.time()
        with self._lock:
            panes = list(self.chat.panes) if self.chat else []
            panes += [""] * (max(seat.place for seat in seats) + 1 - len(panes))
            for seat in seats:
                panes[seat.place] = seat.key
            base = next((seat.model for seat in seats if seat.key == BASE), None)
            stored = asdict(settings.sampling) | {"base": base}
            if self.chat is None:
                title = shorten(clean_line(text), TITLE_LENGTH)
                chat = Chat(f"c{secrets.token_hex(5)}", title, now, now, tuple(panes), settings.system, settings=stored)
                self._store.chats.add(chat)
                self.chat = chat
            else:
                chat = replace(self.chat, panes=tuple(panes), system=settings.system, settings=stored)
                if chat != self.chat:
                    self._store.chats.update(chat)
                    self.chat = chat
            self._store.chats.append(Message(chat.id, self.position, USER, "user", text, now))
            self.position += 1

    def begin_answers(self) -> int:
        """The place of the next answers, all of one batch at the same one."""
        with self._lock:
            self.position += 1
            return self.position - 1

    def keep_answer(self, position: int, place: int, answer: Answer) -> None:
        """One pane's answer, whole or as far as it came. Nothing is kept before the first prompt."""
        from store.records import Message

        with self._lock:
            if self.chat is None:
                return
            figures = (answer.tokens, answer.first_token_s, answer.tokens_per_s)
            message = Message(self.chat.id, position, place, "assistant", answer.text, time.time(), *figures)
            self._store.chats.append(message)


@dataclass(frozen=True)
class OpenedChat:
    """A stored conversation, ready to go on."""

    keeper: ChatKeeper
    turns: list[Turn]
    seats: list[Seat]
    settings: ChatSettings
    problems: list[FinetuiError]


def open_chat(store: "Store", home: "Home", chat_id: str) -> OpenedChat:
    """Read a conversation and seat who answered in it. Raises `NotFound`.

    Who cannot answer any more keeps a seat without a pane.
    """
    chat = store.chats.get(chat_id)
    if chat is None:
        raise NotFound(f"There is no chat {chat_id}.", why="It was deleted meanwhile.")
    messages = store.chats.messages(chat_id)
    seats: list[Seat] = []
    problems: list[FinetuiError] = []
    base_model = str(chat.settings.get("base") or "")
    run_ids = [key for key in chat.panes if key not in (BASE, "")]
    for place, key in enumerate(chat.panes):
        if not key:
            continue
        found = _seat(store, home, key, base_model, run_ids)
        if isinstance(found, FinetuiError):
            problems.append(found)
            run = store.runs.get(key) if key != BASE else None
            found = Seat(key, run.name if run else key, run.model if run else base_model)
        seats.append(replace(found, place=place))
    known = {one.name for one in fields(Sampling)}
    sampling = Sampling(**{name: value for name, value in chat.settings.items() if name in known})
    position = messages[-1].position + 1 if messages else 0
    keeper = ChatKeeper(store, chat, position)
    settings = ChatSettings(chat.system, sampling)
    return OpenedChat(keeper, turns_of(messages), lettered(seats)[-MOST_SEATS:], settings, problems)


def chat_options(store: "Store") -> list[Option]:
    """The stored conversations, the last used first, to pick one."""
    names: dict[str, str] = {}
    options = []
    for chat in store.chats.list():
        for key in chat.panes:
            if key and key != BASE and key not in names:
                run = store.runs.get(key)
                names[key] = clean_line(run.name) if run else key
        who = ", ".join(names.get(key, key) for key in chat.panes if key)
        options.append(Option(chat.id, shorten(clean_line(chat.title), 40), f"{fmt_when(chat.updated)} · {who}"))
    return options


def _seat(store: "Store", home: "Home", key: str, base_model: str, run_ids: Sequence[str]) -> Seat | FinetuiError:
    if key != BASE:
        run = store.runs.get(key)
        return run_seat(run) if run is not None else NotFound(f"Run {key} is gone.", why="Its answers are kept.")
    # The base of a run is held as the run holds it (4-bit for QLoRA), so that one server answers both.
    for run_id in run_ids:
        seating = seats_for(store, home, [run_id])
        if seating.seats and seating.seats[0].model == base_model:
            return seating.seats[0]
    return base_seat(base_model or "starter", home)
