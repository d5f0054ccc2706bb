"""Chats and their messages."""

from dataclasses import replace

import pytest

from store import Store, StoreError
from store.records import Chat, Message
from store.talk_records import Passage
from tests.store.builders import new_run


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


def passages_kept(store: Store) -> int:
    with store.transaction() as connection:
        return int(connection.execute("SELECT count(*) FROM message_passages").fetchone()[0])


def test_passages_stay_with_the_answer_that_they_went_into(store: Store) -> None:
    best = Passage("desk", "/notes/faq.md", "Bill \x1b", "Sent on\nthe first. 🙂", 7.5, 3, {"line": 5})
    found = (best, replace(best, source="/notes/guide.pdf", score=-0.25, place=0, about={}))
    turns = [
        Message("c1", 0, -1, "user", "When?", 11.0),
        Message("c1", 1, 0, "assistant", "Now.", 12.0),
        Message("c1", 1, 1, "assistant", "On the first.", 12.5, 4, 0.2, 30.0, found),
        Message("c1", 2, 1, "assistant", "On the 1st.", 13.0, 4, 0.2, 30.0, found[:1]),
    ]
    store.chats.add(chat())
    for turn in turns:
        store.chats.append(turn)
    assert store.chats.messages("c1") == turns
    store.chats.fork(replace(chat("c2"), parent="c1"), 2)
    assert [(turn.position, turn.passages) for turn in store.chats.messages("c2")] == [(0, ()), (1, ()), (1, found)]
    assert passages_kept(store) == 5
    with pytest.raises(StoreError, match="cannot be added"):
        store.chats.append(turns[2])
    assert passages_kept(store) == 5, "the turn and its passages are kept together or not at all"
    store.chats.delete("c1")
    assert passages_kept(store) == 2 and store.check() == []


def test_what_is_said_is_found_wherever_it_stands_in_a_word(store: Store) -> None:
    store.chats.add(chat("c1", 1.0))
    store.chats.add(chat("c2", 2.0))
    store.chats.append(Message("c1", 0, -1, "user", 'Die Straße "heißt" 100%_* so', 1.0))
    store.chats.append(Message("c2", 0, -1, "user", "Reset my password", 2.0))
    store.chats.append(Message("c2", 1, 3, "assistant", "日本語の答え", 2.0))
    for query, found in (
        ("asswor", ["c2"]),
        ('"reset my pass"', ["c2"]),
        ("STRASSE", ["c1"]),
        ("heißt", ["c1"]),
        ("100%_*", ["c1"]),
        ("%_", ["c1"]),
        ("日本語", ["c2"]),
        ("語", ["c2"]),
        ("nowhere", []),
        ("zz", []),
        ("my -password", ["c1"]),
    ):
        assert [one.id for one in store.chats.list(query)] == found, query
    store.chats.delete("c2")
    assert store.chats.list("password") == []
    store.chats.add(chat("c3", 3.0))
    assert store.chats.list("password") == []


def test_pins_tags_and_models_can_be_asked_for(store: Store) -> None:
    store.runs.add(new_run("r1", "emoji-r16", model="Qwen2.5-1.5B"))
    store.chats.add(replace(chat("c1", 1.0), settings={"base": "starter"}))
    store.chats.add(replace(chat("c2", 2.0), panes=("base",), settings={"base": "Llama-3"}, tags=("keep",)))
    store.chats.tag("c1", ["Keep", "emoji"])
    store.chats.pin("c1", True)
    assert [(one.id, one.pinned, one.tags) for one in store.chats.list()] == [
        ("c1", True, ("Keep", "emoji")),
        ("c2", False, ("keep",)),
    ]
    for query, found in (
        ("is:pinned", ["c1"]),
        ("-is:pinned", ["c2"]),
        ("tag:keep", ["c1", "c2"]),
        ("tag:kee", []),
        ("tag~moj", ["c1"]),
        ("emoji", ["c1"]),
        ("model:qwen", ["c1"]),
        ("model:emoji-r16", ["c1"]),
        ("model=r1", ["c1"]),
        ("model:llama", ["c2"]),
        ("model!=starter", ["c2"]),
        ("is:forked", []),
    ):
        assert [one.id for one in store.chats.list(query)] == found, query
        assert store.chats.count(query) == len(found)
    store.chats.tag("c1", [])
    assert store.chats.list("tag:emoji") == []


def test_a_fork_begins_as_its_parent_does_and_lives_on_alone(store: Store) -> None:
    store.chats.add(chat("c1"))
    for position, text in enumerate(("first", "one", "second", "two")):
        store.chats.append(Message("c1", position, position % 2 - 1, "user", text, 11.0, 3, 0.1, 2.0))
    store.chats.fork(replace(chat("c2"), parent="c1"), before=2)
    store.chats.fork(replace(chat("c3"), parent="c1"))
    assert [turn.text for turn in store.chats.messages("c2")] == ["first", "one"]
    assert [replace(turn, chat_id="c1") for turn in store.chats.messages("c3")] == store.chats.messages("c1")
    store.chats.delete("c1")
    assert [one.id for one in store.chats.list("second")] == ["c3"]
    assert [one.id for one in store.chats.list("is:forked first")] == ["c3", "c2"]
    with pytest.raises(StoreError, match="no chat c1"):
        store.chats.fork(replace(chat("c4"), parent="c1"))
    assert store.chats.get("c4") is None


def test_a_name_given_meanwhile_outlives_an_update(store: Store) -> None:
    store.chats.add(chat("c1"))
    store.chats.rename("c1", "Mine")
    store.chats.update(replace(chat("c1"), system="Be brief."))
    found = store.chats.get("c1")
    assert found is not None and (found.title, found.system) == ("Mine", "Be brief.")
