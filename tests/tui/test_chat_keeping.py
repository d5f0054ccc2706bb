"""What is kept of chats and beside them: their history, ways of sampling, who is seated and with which notes."""

from functools import partial
from pathlib import Path

import pytest
from textual.widgets import Input

from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.client import Sampling
from engine.inference.presets import forget_preset, keep_preset, own_presets, presets, sampling_of
from engine.knowledge.library import KnowledgeLibrary
from store import Store, StoreError
from store.records import Chat, Message
from tests.tui.chats import ChatDriver, OpenChat, asked, settled, talk, texts
from tests.tui.sample_runs import SampleRuns
from tui.screens.arena import ArenaScreen
from tui.screens.chat import ChatScreen
from tui.screens.chat_settings import stops_of
from tui.screens.chats import ChatKeeper
from tui.screens.suites import SuitesScreen


async def test_the_history_is_searched_tagged_pinned_renamed_and_deleted(
    open_chat: OpenChat, two: SampleRuns, store: Store
) -> None:
    for number, said in enumerate(("about needles", "about hay", "evil \x1b[31m[red]")):
        store.chats.add(Chat(f"c{number}", f"{said}", 1.0, float(number), ("base", "r1emoji0000"), "", {"base": "x"}))
        store.chats.append(Message(f"c{number}", 0, -1, "user", f"what {said}", float(number)))
    async with open_chat() as chat:
        driver = chat.driver
        await driver.sees("A emoji-r16")
        await driver.press("ctrl+o")
        await driver.sees("evil [red]", "about hay", "base, emoji-r8")
        await driver.press("j", "j", "p")
        await driver.sees("★ about needles")
        assert driver.text().index("about needles") < driver.text().index("evil")
        await driver.press("t")
        await driver.sees("Tags")
        await driver.type("keep, old")
        await driver.press("enter")
        await driver.sees("#keep #old")
        await driver.press("r")
        await driver.sees("Rename the conversation")
        driver.app.screen.query_one(Input).value = "Renamed"
        await driver.press("enter")
        await driver.sees("★ Renamed")
        await driver.press("slash")
        await driver.type("eedle")
        await driver.sees_no("about hay")
        await driver.press("enter", "d")
        await driver.sees("Delete this conversation?")
        await driver.press("y")
        await driver.sees("No conversation matches")
        assert [one.id for one in store.chats.list()] == ["c2", "c1"]


async def test_deleting_the_open_conversation_begins_a_new_one(
    open_chat: OpenChat, two: SampleRuns, store: Store
) -> None:
    async with open_chat() as chat:
        await talk(chat, "one")
        await chat.driver.press("ctrl+o")
        await chat.driver.sees("Conversations")
        await chat.driver.press("d")
        await chat.driver.sees("Delete this conversation?")
        await chat.driver.press("y")
        await chat.driver.wait(lambda: not store.chats.list())
        await chat.driver.press("escape")
        await chat.driver.sees_no("adapter one")
        await talk(chat, "two")
        assert [texts(store, one.id)[0] for one in store.chats.list()] == ["two"]


async def test_an_api_is_seated_by_its_address(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await driver.sees("A emoji-r16")
        await driver.press("ctrl+a")
        await driver.type("an api")
        await driver.press("enter")
        await driver.sees("An address and a model are needed")
        fields = driver.app.screen.query(Input)
        for field, text in zip(fields, ("ftp://x", "gpt", "NO_SUCH_KEY_HERE"), strict=True):
            field.value = text
        await driver.sees("is not a web address")
        fields[0].value = "http://127.0.0.1:9/v1"
        await driver.sees("NO_SUCH_KEY_HERE is not set")
        fields[2].value = ""
        await driver.press("enter")
        await driver.sees("B gpt  at 127.0.0.1:9")
        await chat.ask("one")
        await driver.wait(lambda: chat.pool.asked)
        assert chat.pool.asked[0][0][2].url == "http://127.0.0.1:9/v1"
        chat.pool.answer_whole("a", "b", "c")
        await settled(chat)
        await driver.press("ctrl+n", "ctrl+o")
        await driver.sees("Conversations", "gpt")
        await driver.press("enter")
        await driver.sees("B gpt  at 127.0.0.1:9", "› one")


async def test_presets_and_stops_are_set_and_kept(open_chat: OpenChat, two: SampleRuns, home: Home) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await driver.sees("A emoji-r16")
        await driver.press("ctrl+s")
        await driver.sees("How they answer")
        await driver.press("ctrl+o")
        await driver.sees("Ways of sampling")
        await driver.type("balanced")
        await driver.press("enter")
        await driver.wait(lambda: driver.app.screen.query_one("#temperature", Input).value == "0.7")
        driver.app.screen.query_one("#stop", Input).value = r"###|\nUser:"
        await driver.press("ctrl+k")
        await driver.sees("Keep these values as")
        await driver.type("mine")
        await driver.press("enter")
        await driver.wait(lambda: "mine" in own_presets(home))
        await driver.press("ctrl+s")
        await driver.sees("temperature 0.7 · top_p 0.9 · stops at 2 texts")
        await chat.ask("one")
        await driver.wait(lambda: chat.pool.asked)
        assert chat.pool.asked[0][2] == Sampling(temperature=0.7, top_p=0.9, stop=("###", "\nUser:"))


def test_presets_come_back_as_they_were(home: Home) -> None:
    home.ensure()
    mine = Sampling(10, 0.5, 0.8, 40, 7, ("a", "\n"))
    keep_preset(home, " mine ", mine)
    assert sampling_of(presets(home)["mine"]) == mine
    assert sampling_of(presets(home)["greedy"], mine) == Sampling(10, 0.0, 1.0, 0, 7, ("a", "\n"))
    assert sampling_of({"temperature": "hot", "nothing": 1}) == Sampling()
    for name in ("greedy", ""):
        with pytest.raises(FinetuiError):
            keep_preset(home, name, mine)
    forget_preset(home, "mine")
    assert own_presets(home) == {}
    (home.root / "sampling.json").write_text("[", encoding="utf-8")
    with pytest.raises(FinetuiError, match="cannot be read"):
        presets(home)


def test_stops_are_typed_with_bars_between() -> None:
    assert stops_of(r"a| b |\n\n|") == ("a", " b ", "\n\n")
    assert stops_of("") == ()


async def test_the_base_looks_in_notes_beside_the_base_without(
    open_chat: OpenChat, two: SampleRuns, store: Store, tmp_path: Path
) -> None:
    notes = tmp_path / "guide.md"
    notes.write_text("# Parcels\n\nA parcel to the moon takes nine days.\n", encoding="utf-8")
    KnowledgeLibrary(store).add("notes", [notes])
    async with open_chat() as chat:
        driver = chat.driver
        await driver.sees("A emoji-r16")
        await driver.press("ctrl+k")
        await driver.sees("Who looks in notes", "the base once more")
        await driver.press("ctrl+k")
        await driver.sees("guide.md", "a add")
        await driver.press("escape")
        await driver.sees("Who looks in notes", "the base once more")
        await driver.type("once more")
        await driver.press("enter")
        await driver.sees("Look in notes first")
        await driver.type("notes 1")
        await driver.press("enter")
        await driver.sees("base + notes")
        await chat.ask("How long does a parcel to the moon take")
        await driver.wait(lambda: chat.pool.asked)
        assert [("nine days" in asked(chat, pane)[0]) for pane in range(3)] == [False, False, True]
        chat.pool.answer_whole("a", "b", "nine")
        await driver.sees("▸ 1 passage  guide.md")
        await settled(chat)
        await driver.press("escape")
        await driver.sees("p passages")
        await driver.press("p")
        await driver.sees("▾ 1 passage", "A parcel to the moon takes")
        await driver.press("ctrl+n", "ctrl+o")
        await driver.sees("Conversations", "base, emoji-r16, base + notes")
        KnowledgeLibrary(store).remove("notes")
        await driver.press("enter")
        await driver.sees("› How long", "base + notes", "▾ 1 passage", "guide.md, line 3", "A parcel to the moon takes")
        await driver.press("ctrl+n")
        await chat.ask("And to Mars")
        await driver.wait(lambda: len(chat.pool.asked) == 2)
        await driver.wait(lambda: any("asked without" in one.message for one in driver.app._notifications))
        chat.pool.answer_whole("a", "b", "c")
        await settled(chat)
    chats = store.chats.list()
    kept = [[len(turn.passages) for turn in store.chats.messages(one.id)] for one in chats]
    assert kept == [[0, 0, 0, 0], [0, 0, 0, 1]]


async def test_answers_are_not_kept_without_their_question(
    open_chat: OpenChat, two: SampleRuns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_chat() as chat:
        await chat.ask("first")
        chat.pool.answer_whole("one", "two")
        await settled(chat)

        def busy(*_: object) -> int:
            raise StoreError("The store is busy.")

        with monkeypatch.context() as patch:
            patch.setattr(ChatKeeper, "keep_prompt", busy)
            await chat.ask("second")
            await chat.driver.sees("The store is busy.")
            await chat.driver.press("escape")
            chat.pool.answer_whole("three", "four")
            await settled(chat)
        await chat.ask("third")
        chat.pool.answer_whole("five", "six")
        await settled(chat)
    [kept] = store.chats.list()
    assert texts(store, kept.id) == ["first", "one", "two", "third", "five", "six"]


def shows(chat: ChatDriver, kind: type) -> bool:
    return any(isinstance(one, kind) for one in chat.driver.app.screen_stack)


async def test_arena_and_suites_open_with_who_is_seated(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.driver.sees("A emoji-r16")
        for key, kind in (("ctrl+b", ArenaScreen), ("ctrl+t", SuitesScreen)):
            await chat.driver.press(key)
            await chat.driver.wait(partial(shows, chat, kind))
            while len(chat.driver.app.screen_stack) > 1:
                await chat.driver.app.pop_screen()
        screen = chat.driver.app.screen
        assert isinstance(screen, ChatScreen)
        assert screen.models == ["base:starter", "r2emoji0000"]


@pytest.mark.parametrize("theme", ["finetui-16", "finetui-dark", "finetui-light"])
async def test_the_marked_choice_is_seen_in_every_theme(open_chat: OpenChat, two: SampleRuns, theme: str) -> None:
    async with open_chat(theme=theme) as chat:
        driver = chat.driver
        await driver.sees("A emoji-r16")
        await driver.press("ctrl+k")
        await driver.sees("Who looks in notes", "with notes, beside")

        def ground(words: str) -> object:
            for strip in driver.app.screen._compositor.render_strips():
                for segment in strip:
                    if words in segment.text and segment.style is not None:
                        return segment.style.bgcolor
            raise AssertionError(words)

        await driver.press("up")
        await driver.wait(lambda: ground("the base once more") == ground("with notes, beside"))
        assert ground("the base once more") != ground("A emoji-r16  ")
