"""Chats and their messages."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from store import query as filters
from store.connection import Database
from store.errors import StoreError
from store.other_languages import CHATS
from store.records import Chat, Message
from store.talk_records import Passage

_COLUMNS = (
    "c.id, c.title, c.created, c.updated, c.panes, c.system, c.settings, "
    "(SELECT json_group_array(tag) FROM (SELECT t.tag FROM chat_tags t WHERE t.chat = c.key ORDER BY t.tag)), "
    "c.pinned, c.parent"
)


class ChatStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, chat: Chat) -> None:
        """Raises `StoreError` where the id is taken."""
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO chats (id, title, created, updated, panes, system, settings, pinned, parent, search) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
                    (
                        chat.id,
                        chat.title,
                        chat.created,
                        chat.updated,
                        json.dumps(chat.panes),
                        chat.system,
                        json.dumps(chat.settings),
                        int(chat.pinned),
                        chat.parent,
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is a chat {chat.id} already.") from error
            _set_tags(connection, chat.id, chat.tags)

    def fork(self, chat: Chat, before: int | None = None) -> None:
        """A new chat that begins as `chat.parent` does: its turns before the position `before`, or all of them.

        Raises `StoreError` where the parent is gone or the id is taken.
        """
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM chats WHERE id = ?", (chat.parent,)).fetchone() is None:
                raise StoreError(f"The store knows no chat {chat.parent}.", "It was deleted meanwhile.")
            self.add(chat)
            connection.execute(
                "INSERT INTO messages SELECT (SELECT key FROM chats WHERE id = ?), position, pane, role, text, search, "
                "t, tokens, first_token_s, tokens_per_s FROM messages "
                "WHERE chat = (SELECT key FROM chats WHERE id = ?) AND position < ifnull(?, position + 1)",
                (chat.id, chat.parent, before),
            )
            connection.execute(
                "INSERT INTO message_passages SELECT (SELECT key FROM chats WHERE id = ?), position, pane, number, "
                "knowledge, source, title, text, score, place, about FROM message_passages "
                "WHERE chat = (SELECT key FROM chats WHERE id = ?) AND position < ifnull(?, position + 1)",
                (chat.id, chat.parent, before),
            )

    def append(self, message: Message) -> None:
        """One more turn, with the passages that it is based on: all of it or nothing.

        Raises `StoreError` where there is no such chat or the place is taken.
        """
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO messages VALUES ((SELECT key FROM chats WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        message.chat_id,
                        message.position,
                        message.pane,
                        message.role,
                        message.text,
                        message.text.casefold(),
                        message.t,
                        message.tokens,
                        message.first_token_s,
                        message.tokens_per_s,
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(
                    f"Turn {message.position} of pane {message.pane} cannot be added to the chat {message.chat_id}.",
                    "There is no such chat, or it has that turn already.",
                ) from error
            connection.executemany(
                "INSERT INTO message_passages "
                "VALUES ((SELECT key FROM chats WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (message.chat_id, message.position, message.pane, number, *_columns_of(passage))
                    for number, passage in enumerate(message.passages)
                ),
            )
            connection.execute("UPDATE chats SET updated = max(updated, ?) WHERE id = ?", (message.t, message.chat_id))

    def rename(self, chat_id: str, title: str) -> None:
        with self._changing(chat_id) as connection:
            connection.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat_id))
            _refresh_search(connection, chat_id)

    def tag(self, chat_id: str, tags: Iterable[str]) -> None:
        """These are its tags from now on."""
        with self._changing(chat_id) as connection:
            _set_tags(connection, chat_id, tags)

    def pin(self, chat_id: str, pinned: bool) -> None:
        """Pinned chats are listed first."""
        with self._changing(chat_id) as connection:
            connection.execute("UPDATE chats SET pinned = ? WHERE id = ?", (int(pinned), chat_id))

    def update(self, chat: Chat) -> None:
        """Other panes, system message or settings. Raises `StoreError` where there is no such chat."""
        with self._changing(chat.id) as connection:
            connection.execute(
                "UPDATE chats SET panes = ?, system = ?, settings = ? WHERE id = ?",
                (json.dumps(chat.panes), chat.system, json.dumps(chat.settings), chat.id),
            )
            _refresh_search(connection, chat.id)

    def delete(self, chat_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM chats WHERE id = ?", (chat_id,))

    @contextmanager
    def _changing(self, chat_id: str) -> Iterator[sqlite3.Connection]:
        """Raises `StoreError` where there is no such chat."""
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM chats WHERE id = ?", (chat_id,)).fetchone() is None:
                raise StoreError(f"The store knows no chat {chat_id}.", "It was deleted meanwhile.")
            yield connection

    # reading

    def get(self, chat_id: str) -> Chat | None:
        return next(iter(self._select("WHERE c.id = ?", [chat_id])), None)

    def messages(self, chat_id: str) -> list[Message]:
        """Every turn of every pane, in order."""
        passages = self._passages(chat_id)
        return [
            replace(Message(chat_id, *row), passages=tuple(passages.get(row[:2], ())))
            for row in self._database.all(
                "SELECT position, pane, role, text, t, tokens, first_token_s, tokens_per_s FROM messages "
                "WHERE chat = (SELECT key FROM chats WHERE id = ?) ORDER BY position, pane",
                (chat_id,),
            )
        ]

    def _passages(self, chat_id: str) -> dict[tuple[int, int], list[Passage]]:
        """What answers are based on, by position and pane."""
        found: dict[tuple[int, int], list[Passage]] = {}
        for position, pane, about, *row in self._database.all(
            "SELECT position, pane, about, knowledge, source, title, text, score, place FROM message_passages "
            "WHERE chat = (SELECT key FROM chats WHERE id = ?) ORDER BY position, pane, number",
            (chat_id,),
        ):
            found.setdefault((position, pane), []).append(replace(Passage(*row), about=json.loads(about)))
        return found

    def count(self, query: str = "") -> int:
        """How many chats match. Raises `QueryError`."""
        where, parameters = filters.compile(query, CHATS)
        found = self._database.one(f"SELECT count(*) FROM chats c WHERE {where}", tuple(parameters))
        return int(found[0]) if found else 0

    def _select(self, clauses: str, parameters: Collection[Any]) -> list[Chat]:
        return [
            _chat(*row) for row in self._database.all(f"SELECT {_COLUMNS} FROM chats c {clauses}", tuple(parameters))
        ]

    # last, because its name hides the type's

    def list(self, query: str = "", limit: int = 200) -> list[Chat]:
        """Chats that match, the pinned ones and then the last used first. Raises `QueryError`."""
        where, parameters = filters.compile(query, CHATS)
        return self._select(
            f"WHERE {where} ORDER BY c.pinned DESC, c.updated DESC, c.key DESC LIMIT ?", [*parameters, limit]
        )


def _chat(
    chat_id: str,
    title: str,
    created: float,
    updated: float,
    panes: str,
    system: str,
    settings: str,
    tags: str,
    pinned: int,
    parent: str,
) -> Chat:
    about = tuple(json.loads(panes)), system, json.loads(settings), tuple(json.loads(tags))
    return Chat(chat_id, title, created, updated, *about, bool(pinned), parent)


def _columns_of(passage: Passage) -> tuple[Any, ...]:
    return (
        *(passage.knowledge, passage.source, passage.title, passage.text),
        *(passage.score, passage.place, json.dumps(passage.about)),
    )


def _set_tags(connection: sqlite3.Connection, chat_id: str, tags: Iterable[str]) -> None:
    (key,) = connection.execute("SELECT key FROM chats WHERE id = ?", (chat_id,)).fetchone()
    connection.execute("DELETE FROM chat_tags WHERE chat = ?", (key,))
    connection.executemany("INSERT OR IGNORE INTO chat_tags VALUES (?, ?)", [(key, tag) for tag in tags])
    _refresh_search(connection, chat_id)


def _refresh_search(connection: sqlite3.Connection, chat_id: str) -> None:
    key, title, panes = connection.execute("SELECT key, title, panes FROM chats WHERE id = ?", (chat_id,)).fetchone()
    tags = [tag for (tag,) in connection.execute("SELECT tag FROM chat_tags WHERE chat = ? ORDER BY tag", (key,))]
    text = filters.searchable(title, chat_id, *json.loads(panes), *tags)
    connection.execute("UPDATE chats SET search = ? WHERE id = ?", (text, chat_id))
