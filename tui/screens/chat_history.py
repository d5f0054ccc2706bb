"""Conversations that were kept: found by anything said in them, opened, pinned, tagged, renamed, deleted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from tui.format import fmt_when
from tui.screens.dialogs import ConfirmDialog, Dialog, TextDialog, key_words
from tui.text import clean_line
from tui.widgets.chat_seats import API, BASE
from tui.widgets.filter_line import FilterLine
from tui.widgets.row_list import Cells, RowList, fitted

if TYPE_CHECKING:
    from store import Store
    from store.records import Chat

MOST = 500
"""So many are listed; a filter finds the others."""
WHEN_WIDTH = 14


@dataclass(frozen=True)
class Found:
    """The chats that a filter finds, and what their runs are called."""

    query: str
    chats: "list[Chat]"
    total: int
    names: dict[str, str]


@dataclass(frozen=True)
class Chosen:
    """What comes of looking: the chat to open or to ask anew, and those that were deleted."""

    open: str = ""
    again: str = ""
    deleted: frozenset[str] = frozenset()


def find_chats(store: "Store", query: str) -> Found:
    """Blocks. Raises `QueryError`."""
    chats = store.chats.list(query, limit=MOST)
    total = len(chats) if len(chats) < MOST else store.chats.count(query)
    keys = {key for chat in chats for key in chat.panes}
    names = {run.id: clean_line(run.name) for run in store.runs.some(list(keys))}
    return Found(query, chats, total, names)


class ChatList(RowList):
    """A conversation a line: what it is about, who answered, when it was last used."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Found("", [], 0, {})

    def show(self, found: Found) -> None:
        """Show these; the cursor stays on the chat that it is on, if that is among them."""
        current = self.chat
        self.found = found
        ids = [chat.id for chat in found.chats]
        if current is not None and current.id in ids:
            self.cursor = ids.index(current.id)
        self.set_count(len(ids))

    @property
    def chat(self) -> "Chat | None":
        """The one at the cursor."""
        return self.found.chats[self.cursor] if 0 <= self.cursor < len(self.found.chats) else None

    def cells(self, row: int, width: int) -> Cells:
        chat = self.found.chats[row]
        who = ", ".join(self._who(chat, place, key) for place, key in enumerate(chat.panes) if key)
        tags = " ".join(f"#{clean_line(tag)}" for tag in chat.tags)
        room = max(10, width - WHEN_WIDTH - 2)
        title = room * 11 // 20
        return [
            ("★ " if chat.pinned else "⑂ " if chat.parent else "  ", "mark"),
            (fitted(clean_line(chat.title) or "(without a title)", title - 2) + "  ", ""),
            (fitted(f"{tags}  {who}" if tags else who, room - title - 1) + " ", "dim"),
            (fitted(fmt_when(chat.updated), WHEN_WIDTH, right=True), "dim"),
        ]

    def _who(self, chat: "Chat", place: int, key: str) -> str:
        """A pane of a chat, as its head says it: `base + notes`."""
        name = key if key == BASE else self.found.names.get(key, clean_line(key.removeprefix(API)))
        knowledge = (chat.settings.get("places") or {}).get(str(place), {}).get("knowledge", "")
        return f"{name} + {clean_line(knowledge)}" if knowledge else name


class ChatHistory(Dialog[Chosen]):
    """Gives what was chosen, and which chats were deleted meanwhile."""

    CSS = """
    ChatHistory {
        #box { width: 90%; max-width: 140; }
        ChatList { height: 16; max-height: 60vh; }
        FilterLine { padding: 0; }
        #none { display: none; height: 3; }
        &.-none ChatList { display: none; }
        &.-none #none { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "close", id="chats.close"),
        Binding("slash", "filter", "filter", id="chats.filter"),
        Binding("p", "pin", "pin", id="chats.pin"),
        Binding("t", "tag", "tags", id="chats.tag"),
        Binding("r", "rename", "rename", id="chats.rename"),
        Binding("d", "delete", "delete", id="chats.delete"),
        Binding("a", "again", "ask others", id="chats.again"),
    ]
    title_text = "Conversations"

    def __init__(self, store: "Store", found: Found, current: str = "") -> None:
        """`current` is the id of the chat that is open."""
        super().__init__()
        self._store = store
        self._first = found
        self._current = current
        self._deleted: set[str] = set()

    def compose(self) -> ComposeResult:
        with self.box():
            yield FilterLine("words said in them, model:, tag:, is:pinned, updated<7d")
            yield ChatList()
            yield Static("", id="none", markup=False)
            yield Static(_KEYS, classes="keys")

    def on_mount(self) -> None:
        self._show(self._first)
        ids = [chat.id for chat in self._first.chats]
        self._list.move_to(ids.index(self._current) if self._current in ids else 0)
        self._list.focus()

    @property
    def _list(self) -> ChatList:
        return self.query_one(ChatList)

    @property
    def _line(self) -> FilterLine:
        return self.query_one(FilterLine)

    @property
    def chat(self) -> "Chat | None":
        """The one that keys are about."""
        return self._list.chat

    def _show(self, found: Found) -> None:
        self._list.show(found)
        self._line.show_problem("")
        self._line.show_count(f"{found.total:,}" if found.total <= MOST else f"{MOST:,} of {found.total:,}")
        self.set_class(not found.chats, "-none")
        words = "No conversation matches; esc in the filter and an empty one show all." if found.query else ALL_GONE
        self.query_one("#none", Static).update(Content(words))

    # Finding

    @on(FilterLine.Changed)
    def _filtered(self, event: FilterLine.Changed) -> None:
        self._read(event.query)

    @on(FilterLine.Submitted)
    def _to_list(self) -> None:
        if self._list.count:
            self._list.focus()

    @work(group="find", exclusive=True)
    async def _read(self, query: str) -> None:
        try:
            found = await asyncio.to_thread(find_chats, self._store, query)
        except Exception as error:  # a filter that is not understood, or a store that cannot be read
            if self.is_running:
                self._line.show_problem(clean_line(str(error)))
            return
        if self.is_running:
            self._show(found)

    def action_filter(self) -> None:
        self._line.start()

    # Opening

    @on(RowList.Opened)
    def _opened(self) -> None:
        if self.chat is not None:
            self.dismiss(Chosen(open=self.chat.id, deleted=frozenset(self._deleted)))

    def action_again(self) -> None:
        """Ask its questions of others."""
        if self.chat is not None:
            self.dismiss(Chosen(again=self.chat.id, deleted=frozenset(self._deleted)))

    def action_close(self) -> None:
        """Out of the filter into the list; from there, close."""
        if self._line.typing and self._list.count:
            self._list.focus()
        else:
            self.dismiss(Chosen(deleted=frozenset(self._deleted)))

    # Changing

    def action_pin(self) -> None:
        """Keep it on top, or let it go."""
        if (chat := self.chat) is not None:
            self._change(partial(self._store.chats.pin, chat.id, not chat.pinned))

    def action_tag(self) -> None:
        """Give it tags."""
        if (chat := self.chat) is not None:
            self._ask("Tags", ", ".join(chat.tags), "separated by commas", partial(self._tag, chat.id))

    def _tag(self, chat_id: str, text: str) -> None:
        tags = dict.fromkeys(clean_line(tag) for tag in text.split(","))
        self._store.chats.tag(chat_id, [tag for tag in tags if tag])

    def action_rename(self) -> None:
        """Give it another title."""
        if (chat := self.chat) is not None:
            self._ask("Rename the conversation", chat.title, "", partial(self._rename, chat.id))

    def _rename(self, chat_id: str, text: str) -> None:
        if text:
            self._store.chats.rename(chat_id, text)

    def action_delete(self) -> None:
        """Ask, then delete it with all that was said."""
        if (chat := self.chat) is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._deleted.add(chat.id)
                self._change(partial(self._store.chats.delete, chat.id))

        body = f"{clean_line(chat.title)}\n\nAll that was said in it goes. It cannot be undone."
        self.app.push_screen(ConfirmDialog("Delete this conversation?", body, "delete"), answered)

    def _ask(self, title: str, value: str, hint: str, write: Callable[[str], None]) -> None:
        def named(text: str | None) -> None:
            if text is not None and text != value:
                self._change(partial(write, text))

        self.app.push_screen(TextDialog(title, value, hint=hint), named)

    @work(group="change")
    async def _change(self, write: Callable[[], None]) -> None:
        from tui.errors import show_error

        try:
            await asyncio.to_thread(write)
        except Exception as error:  # shown to the user, whatever it is
            show_error(self.app, error)
        if self.is_running:
            self._read(self._line.query_text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("pin", "tag", "rename", "delete", "again"):
            return self.focused is self._list and self.chat is not None
        return not isinstance(self.focused, Input) if action == "filter" else True


ALL_GONE = "No conversation is left. What is asked next is kept here."
_KEYS = key_words(
    ("enter", "open"),
    ("/", "filter"),
    ("a", "ask others"),
    ("p", "pin"),
    ("t", "tags"),
    ("r", "rename"),
    ("d", "delete"),
)
