"""What is done with the turns of a chat: asked anew, in other words, forked, copied, compared, asked of others."""

import base64

import pytest

from engine.errors import FinetuiError
from engine.inference.pool import Delta
from engine.inference.trust import Trust
from store import Store
from tests.tui.chats import OpenChat, asked, settled, talk, texts
from tests.tui.sample_runs import SampleRuns
from tui.widgets.conversation import Conversation
from tui.widgets.prompt import Prompt


async def test_a_question_in_other_words_leaves_what_followed_in_the_history(
    open_chat: OpenChat, two: SampleRuns, store: Store
) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await talk(chat, "one", "two", "three")
        await driver.type("a draft")
        await driver.press("escape", "k", "enter")
        await driver.sees("turn 2 in other words")
        prompt = driver.app.screen.query_one(Prompt)
        assert prompt.text == "two"
        await driver.press("escape")
        assert prompt.text == "a draft"
        await driver.press("e")
        await driver.type("b")
        await driver.press("enter")
        await driver.wait(lambda: len(chat.pool.asked) == 4)
        assert asked(chat, 1) == ["one", "adapter one", "twob"]
        chat.pool.answer_whole("base twob", "adapter twob")
        await driver.sees("adapter twob")
        await driver.sees_no("adapter three")
        assert prompt.text == "a draft"
        await settled(chat)
        forked, whole = store.chats.list()
        assert (forked.parent, whole.parent) == (whole.id, "")
        assert texts(store, whole.id)[-3:] == ["three", "base three", "adapter three"]
        assert texts(store, forked.id) == ["one", "base one", "adapter one", "twob", "base twob", "adapter twob"]


async def test_an_earlier_turn_asked_again_begins_a_fork(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await talk(chat, "one", "two")
        await driver.press("escape", "g", "r")
        await driver.wait(lambda: len(chat.pool.asked) == 3)
        chat.pool.answer_whole("base anew", "adapter anew")
        await driver.sees("adapter anew", "2. answer")
        assert asked(chat) == ["one"]
        await settled(chat)
        forked, whole = store.chats.list()
        assert len(texts(store, whole.id)) == 6
        assert texts(store, forked.id) == ["one", "base one", "adapter one", "base anew", "adapter anew"]


async def test_one_model_is_asked_again_and_its_answers_are_compared(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await talk(chat, "one")
        await driver.press("escape", "R")
        await driver.sees("Who is asked again")
        await driver.type("r16")
        await driver.press("enter")
        await driver.wait(lambda: len(chat.pool.asked) == 2)
        panes, _, _ = chat.pool.asked[1]
        assert [pane.label for pane in panes] == ["emoji-r16"]
        chat.pool.answer_whole("another one")
        await driver.sees("another one", "base one")
        await settled(chat)
        await driver.press("d")
        await driver.sees("differences from the first pane", "baseanother one")
        await driver.press("d")
        await driver.sees("differences from the answer before", "adapteranother one", "base one")
        await driver.press("d")
        await driver.sees_no("differences from", "adapteranother")


async def test_fork_goes_on_from_a_turn(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat() as chat:
        await talk(chat, "one", "two")
        await chat.driver.press("escape", "k", "f")
        await chat.driver.sees_no("adapter two")
        await chat.driver.wait(lambda: len(store.chats.list()) == 2)
        await talk(chat, "three")
        assert asked(chat) == ["one", "base one", "three"]
        forked, whole = store.chats.list()
        assert texts(store, forked.id)[3:] == ["three", "base three", "adapter three"]
        assert "two" in texts(store, whole.id)


async def test_the_cursor_shows_high_turns_to_their_end(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat(size=(100, 20)) as chat:
        await chat.ask("long")
        chat.pool.answer_whole("\n".join(f"line {number}" for number in range(40)), "short")
        await chat.driver.sees("line 39")
        await settled(chat)
        await talk(chat, "two")
        await chat.driver.press("escape")
        conversation = chat.driver.app.screen.query_one(Conversation)
        assert conversation.cursor == 1
        await chat.driver.press("k")
        await chat.driver.sees("› long", "line 0")
        assert conversation.cursor == 0
        await chat.driver.press("j")
        assert conversation.cursor == 0
        await chat.driver.sees_no("› long")
        await chat.driver.press("j", "j", "j")
        await chat.driver.sees("▎› two")


async def test_copying_takes_the_turn_or_all_and_no_escapes(
    open_chat: OpenChat, two: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    async with open_chat() as chat:
        written: list[str] = []
        driver = chat.driver.app._driver
        assert driver is not None
        monkeypatch.setattr(driver, "write", written.append)
        await talk(chat, "one")
        await chat.ask("two")
        chat.pool.answer_whole("\x1b]52;c;aGFjaw==\x07base", "\x9b31madapter")
        await settled(chat)
        await chat.driver.press("escape", "y", "Y")
        copied = [base64.b64decode(text.removeprefix("\x1b]52;c;").removesuffix("\a")).decode() for text in written]
        assert copied[0] == "two\n\nbase: base\n\nA emoji-r16: adapter"
        assert copied[1].startswith("one\n\nbase: base one") and copied[1].endswith(copied[0])


async def test_all_questions_are_asked_of_others(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat("r2emoji0000") as chat:
        driver = chat.driver
        await talk(chat, "one", "two")
        await driver.press("escape", "a")
        await driver.sees("Who is asked these 2 questions", "those who are seated", "an API …")
        await driver.type("r8")
        await driver.press("enter")
        await driver.sees("A emoji-r8", "1 more questions follow")
        chat.pool.answer_whole("base 1", "r8 1")
        await driver.wait(lambda: len(chat.pool.asked) == 4)
        assert asked(chat, 1) == ["one", "r8 1", "two"]
        chat.pool.answer_whole("base 2", "r8 2")
        await driver.sees("r8 2")
        await settled(chat)
        assert [one.panes[1] for one in store.chats.list()] == ["r1emoji0000", "r2emoji0000"]


async def test_the_head_says_whether_the_adapter_is_on(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat("r1emoji0000", "r2emoji0000", size=(160, 40)) as chat:
        await chat.driver.sees("B emoji-r16")
        chat.pool.trusted["emoji-r8"] = Trust(True, True, 3.1, True, ())
        chat.pool.trusted["emoji-r16"] = Trust(False, True, 0.0, True, ("It was trained on another base. Take [x].",))
        await chat.ask("one")
        chat.pool.answer_whole("a", "b", "c")
        await chat.driver.sees("✓ adapter on (Δ 3.1)", "⚠ adapter without effect (Δ 0)")
        await chat.driver.sees("⚠ B emoji-r16: It was trained on another base. Take [x].")


async def test_a_killed_server_leaves_the_conversation_and_is_asked_again(
    open_chat: OpenChat, two: SampleRuns, store: Store
) -> None:
    async with open_chat() as chat:
        await talk(chat, "one")
        await chat.ask("two")
        chat.pool.say(Delta(0, "half of it"), FinetuiError("The model server ended in the middle of an answer."))
        await chat.driver.sees("The models could not answer", "in the middle of an answer")
        await chat.driver.press("escape")
        await chat.driver.sees("half of it", "✗ The model server ended", "adapter one")
        await chat.driver.press("ctrl+r")
        await chat.driver.wait(lambda: len(chat.pool.asked) == 3)
        assert asked(chat) == ["one", "base one", "two"]
        chat.pool.answer_whole("base two", "adapter two")
        await chat.driver.sees("adapter two")
        await settled(chat)
        (stored,) = store.chats.list()
        assert texts(store, stored.id)[3:] == ["two", "half of it", "base two", "adapter two"]


async def test_what_was_said_is_on_the_disk_before_the_next_is_asked(
    open_chat: OpenChat, two: SampleRuns, store: Store
) -> None:
    async with open_chat() as chat:
        await chat.ask("one")
        chat.pool.say(Delta(0, "half"))
        await chat.driver.sees("half▌")
        await chat.driver.press("escape")
        await chat.driver.wait(lambda: chat.pool.closed)
        await chat.ask("two")
        await chat.driver.wait(lambda: len(chat.pool.asked) == 2)
        (stored,) = store.chats.list()
        assert texts(store, stored.id) == ["one", "half", "two"]
