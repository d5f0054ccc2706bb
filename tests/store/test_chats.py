"""Chats and their messages."""

import pytest

from store import Store, StoreError
from store.records import Chat, Message


def chat(chat_id: str = "c1", updated: float = 10.0) -> Chat:
    return Chat(
        chat_id, "Where is my order?", 10.0, updated, ("base", "r1"), "Be kind.", {"temperature": 0.7, "top_k": 0}
    )


def test_a_chat_and_its_turns_come_back_as_they_were(store: Store) -> None:
    store.chats.add(chat())
    turns = [
        Message("c1", 0, -1, "user", "Where is\nit? 🙂", 11.0),
        Message("c1", 1, 0, "assistant", "I do not know.", 12.0, 5, 0.21, 33.5),
        Message("c1", 1, 1, "assistant", "On its way.", 12.5, 4, 0.2, 30.0),
    ]
    for turn in (turns[0], turns[2], turns[1]):
        store.chats.append(turn)
    assert store.chats.messages("c1") == turns
    assert store.chats.get("c1") == chat(updated=12.5)
    assert store.chats.get("c2") is None
    assert store.chats.messages("c2") == []


def test_what_cannot_be_added(store: Store) -> None:
    store.chats.add(chat())
    store.chats.append(Message("c1", 0, -1, "user", "Hello", 11.0))
    with pytest.raises(StoreError, match="already"):
        store.chats.add(chat())
    for turn in (Message("c1", 0, -1, "user", "Again", 99.0), Message("c2", 0, -1, "user", "Nowhere", 99.0)):
        with pytest.raises(StoreError, match="cannot be added"):
            store.chats.append(turn)
    with pytest.raises(StoreError, match="no chat c2"):
        store.chats.rename("c2", "x")
    assert store.chats.get("c1") == chat(updated=11.0)


def test_list_finds_titles_models_and_words_said(store: Store) -> None:
    for number in range(5):
        store.chats.add(chat(f"c{number}", updated=float(number)))
    store.chats.append(Message("c3", 0, 0, "assistant", "Öffnen Sie den Kasten", 3.0))
    store.chats.rename("c1", "Refunds")
    assert [one.id for one in store.chats.list()] == ["c4", "c3", "c2", "c1", "c0"]
    assert [one.id for one in store.chats.list(limit=2)] == ["c4", "c3"]
    assert [one.id for one in store.chats.list("öffnen")] == ["c3"]
    assert [one.id for one in store.chats.list("REFUNDS")] == ["c1"]
    assert [one.id for one in store.chats.list("r1 -order")] == ["c1"]
    assert [one.id for one in store.chats.list("-öffnen order")] == ["c4", "c2", "c0"]


def test_delete_takes_the_messages_along(store: Store) -> None:
    store.chats.add(chat())
    store.chats.append(Message("c1", 0, -1, "user", "Hello", 11.0))
    store.chats.delete("c1")
    assert store.chats.list() == []
    with store.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
