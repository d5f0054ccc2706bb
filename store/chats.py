"""Chats and their messages."""

import json
import sqlite3
from collections.abc import Collection
from typing import Any

from store import query as filters
from store.connection import Database
from store.errors import StoreError
from store.other_languages import CHATS
from store.records import Chat, Message


class ChatStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def add(self, chat: Chat) -> None:
        """Raises `StoreError` where the id is taken."""
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    "INSERT INTO chats (id, title, created, updated, panes, system, settings, search) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, '')",
                    (
                        chat.id,
                        chat.title,
                        chat.created,
                        chat.updated,
                        json.dumps(chat.panes),
                        chat.system,
                        json.dumps(chat.settings),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(f"There is a chat {chat.id} already.") from error
            _refresh_search(connection, chat.id)

    def append(self, message: Message) -> None:
        """One more turn. Raises `StoreError` where there is no such chat or the place is taken."""
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
            connection.execute("UPDATE chats SET updated = max(updated, ?) WHERE id = ?", (message.t, message.chat_id))

    def rename(self, chat_id: str, title: str) -> None:
        with self._database.transaction() as connection:
            if not connection.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat_id)).rowcount:
                raise StoreError(f"The store knows no chat {chat_id}.")
            _refresh_search(connection, chat_id)

    def update(self, chat: Chat) -> None:
        """Another title, other panes, system message or settings. Raises `StoreError` where there is no such chat."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE chats SET title = ?, panes = ?, system = ?, settings = ? WHERE id = ?",
                (chat.title, json.dumps(chat.panes), chat.system, json.dumps(chat.settings), chat.id),
            )
            if not changed.rowcount:
                raise StoreError(f"The store knows no chat {chat.id}.")
            _refresh_search(connection, chat.id)

    def delete(self, chat_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM chats WHERE id = ?", (chat_id,))

    # reading

    def get(self, chat_id: str) -> Chat | None:
        return next(iter(self._select("WHERE c.id = ?", [chat_id])), None)

    def messages(self, chat_id: str) -> list[Message]:
        """Every turn of every pane, in order."""
        return [
            Message(chat_id, *row)
            for row in self._database.all(
                "SELECT position, pane, role, text, t, tokens, first_token_s, tokens_per_s FROM messages "
                "WHERE chat = (SELECT key FROM chats WHERE id = ?) ORDER BY position, pane",
                (chat_id,),
            )
        ]

    def _select(self, clauses: str, parameters: Collection[Any]) -> list[Chat]:
        return [
            Chat(chat_id, title, created, updated, tuple(json.loads(panes)), system, json.loads(settings))
            for chat_id, title, created, updated, panes, system, settings in self._database.all(
                f"SELECT c.id, c.title, c.created, c.updated, c.panes, c.system, c.settings FROM chats c {clauses}",
                tuple(parameters),
            )
        ]

    # last, because its name hides the type's

    def list(self, query: str = "", limit: int = 200) -> list[Chat]:
        """Chats whose title, models or messages match, the last used first. Raises `QueryError`."""
        where, parameters = filters.compile(query, CHATS)
        return self._select(f"WHERE {where} ORDER BY c.updated DESC, c.key DESC LIMIT ?", [*parameters, limit])


def _refresh_search(connection: sqlite3.Connection, chat_id: str) -> None:
    title, panes = connection.execute("SELECT title, panes FROM chats WHERE id = ?", (chat_id,)).fetchone()
    text = filters.searchable(title, chat_id, *json.loads(panes))
    connection.execute("UPDATE chats SET search = ? WHERE id = ?", (text, chat_id))
