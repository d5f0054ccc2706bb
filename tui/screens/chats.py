"""Stored conversations: kept turn by turn, listed, opened again. Everything here blocks: call it in a thread."""

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import FinetuiError, NotFound
from engine.inference.presets import sampling_of
from tui.screens.chat_settings import ChatSettings
from tui.text import clean_line, shorten
from tui.widgets.chat_seats import API, BASE, MOST_SEATS, Seat, api_seat, base_seat, lettered, run_seat, seats_for
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
        self._forks: tuple[str, int | None] | None = None
        """The chat that it is to begin as, and where it leaves it."""

    def fork(self, before: int | None) -> "ChatKeeper":
        """The keeper of a conversation that begins as this one, up to the position `before`.

        It is written with the first that is kept of it, or by `settle`.
        """
        forked = ChatKeeper(self._store, self.chat, self.position if before is None else before)
        if self._forks is not None:
            forked._forks = (self._forks[0], before if before is not None else self._forks[1])
        elif self.chat is not None:
            forked._forks = (self.chat.id, before)
        return forked

    def settle(self, title: str = "") -> None:
        """Write a fork as far as it goes, by another title where one is given."""
        with self._lock:
            self._settle(title)

    def _settle(self, title: str = "") -> None:
        if self._forks is None or self.chat is None:
            return
        (parent, before), now = self._forks, time.time()
        known = self._store.chats.get(parent)
        title = title or (known.title if known else self.chat.title)
        chat = replace(self.chat, id=_new_id(), title=title, created=now, updated=now, pinned=False, parent=parent)
        self._store.chats.fork(chat, before)
        self.chat, self._forks = chat, None

    def keep_prompt(self, text: str, seats: Sequence[Seat], settings: ChatSettings) -> int:
        """The user's turn, and who is asked, with which settings. Gives its position."""
        from store.records import Chat, Message

        now = time.time()
        with self._lock:
            self._settle(_title(text) if self.position == 0 else "")
            panes = list(self.chat.panes) if self.chat else []
            panes += [""] * (max(seat.place for seat in seats) + 1 - len(panes))
            for seat in seats:
                panes[seat.place] = seat.key
            base = next((seat.model for seat in seats if seat.key == BASE), None)
            stored = asdict(settings.sampling) | {"base": base} | _about(seats, self.chat)
            if self.chat is None:
                chat = Chat(_new_id(), _title(text), now, now, tuple(panes), settings.system, settings=stored)
                self._store.chats.add(chat)
                self.chat = chat
            else:
                chat = replace(self.chat, panes=tuple(panes), system=settings.system, settings=stored)
                if chat != self.chat:
                    self._store.chats.update(chat)
                    self.chat = chat
            self._store.chats.append(Message(chat.id, self.position, USER, "user", text, now))
            self.position += 1
            return self.position - 1

    def begin_answers(self) -> int:
        """The place of the next answers, all of one batch at the same one."""
        with self._lock:
            self._settle()
            self.position += 1
            return self.position - 1

    def keep_answer(self, position: int, place: int, answer: Answer) -> None:
        """One pane's answer, whole or as far as it came. Nothing is kept before the first prompt."""
        from store.records import Message

        with self._lock:
            if self.chat is None:
                return
            figures = (answer.tokens, answer.first_token_s, answer.tokens_per_s)
            told = (answer.text, time.time(), *figures, tuple(answer.passages))
            self._store.chats.append(Message(self.chat.id, position, place, "assistant", *told))


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
    run_ids = [key for key in chat.panes if key not in (BASE, "") and not key.startswith(API)]
    known: dict[str, dict[str, Any]] = chat.settings.get("places") or {}
    for place, key in enumerate(chat.panes):
        if not key:
            continue
        about = known.get(str(place), {})
        found = _seat(store, home, key, base_model, run_ids, about)
        if isinstance(found, FinetuiError):
            problems.append(found)
            run = store.runs.get(key) if key != BASE else None
            found = Seat(key, run.name if run else key.removeprefix(API), run.model if run else base_model)
        seats.append(replace(found, place=place, knowledge=str(about.get("knowledge", ""))))
    position = messages[-1].position + 1 if messages else 0
    settings = ChatSettings(chat.system, sampling_of(chat.settings))
    keeper = ChatKeeper(store, chat, position)
    return OpenedChat(keeper, turns_of(messages), lettered(seats)[-MOST_SEATS:], settings, problems)


def _about(seats: Sequence[Seat], chat: "Chat | None") -> dict[str, Any]:
    """What there is to know of places beside their keys: notes, and where an endpoint is. Never a key's value."""
    known: dict[str, dict[str, Any]] = dict(chat.settings.get("places") or {}) if chat else {}
    for seat in seats:
        about = {"knowledge": seat.knowledge} if seat.knowledge else {}
        if seat.pane is not None and seat.pane.url:
            about |= {"url": seat.pane.url, "key_env": seat.pane.key_env}
        known.pop(str(seat.place), None)
        known |= {str(seat.place): about} if about else {}
    return {"places": known} if known else {}


def _new_id() -> str:
    return f"c{secrets.token_hex(5)}"


def _title(text: str) -> str:
    return shorten(clean_line(text), TITLE_LENGTH)


def _seat(
    store: "Store", home: "Home", key: str, base_model: str, run_ids: Sequence[str], about: dict[str, Any]
) -> Seat | FinetuiError:
    if key.startswith(API):
        try:
            return api_seat(str(about.get("url", "")), key.removeprefix(API), str(about.get("key_env", "")))
        except FinetuiError as error:
            return error
    if key != BASE:
        run = store.runs.get(key)
        return run_seat(run) if run is not None else NotFound(f"Run {key} is gone.", why="Its answers are kept.")
    # The base of a run is held as the run holds it (4-bit for QLoRA), so that one server answers both.
    for run_id in run_ids:
        seating = seats_for(store, home, [run_id])
        if seating.seats and seating.seats[0].model == base_model:
            return seating.seats[0]
    return base_seat(base_model or "starter", home)
