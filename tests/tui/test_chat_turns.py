"""What is done with the turns of a chat: asked anew, in other words, forked, copied, compared, asked of others."""

import base64
from pathlib import Path

import pytest
from textual.widgets import Input

from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.client import Sampling
from engine.inference.pool import Delta
from engine.inference.presets import forget_preset, keep_preset, own_presets, presets, sampling_of
from engine.inference.trust import Trust
from engine.knowledge.library import KnowledgeLibrary
from store import Store
from store.records import Chat, Message
from tests.tui.chats import ChatDriver, OpenChat, chat_opener, with_adapter
from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.arena import ArenaScreen
from tui.screens.chat import ChatScreen
from tui.screens.chat_settings import stops_of
from tui.screens.suites import SuitesScreen
from tui.widgets.chat_seats import Seat
from tui.widgets.chat_turns import Answer, Stage, Turn
from tui.widgets.conversation import Conversation
from tui.widgets.conversation_lines import Against, turn_lines
from tui.widgets.prompt import Prompt


@pytest.fixture
def open_chat(make_app: MakeApp) -> OpenChat:
    return chat_opener(make_app)


@pytest.fixture
def two(runs: SampleRuns) -> SampleRuns:
    with_adapter(runs, "r1emoji0000", "emoji-r8", age_s=9_000)
    with_adapter(runs, "r2emoji0000", "emoji-r16", age_s=600)
    return runs


async def talk(chat: ChatDriver, *questions: str) -> None:
    """Ask these, one after the other; the base answers `base QUESTION`, the adapter `adapter QUESTION`."""
    for question in questions:
        await chat.ask(question)
        chat.pool.answer_whole(f"base {question}", f"adapter {question}")
        await chat.driver.sees(f"adapter {question}")
        await settled(chat)


async def settled(chat: ChatDriver) -> None:
    """Wait until nobody answers any more."""
    await chat.driver.wait(lambda: "esc stop" not in chat.driver.text().splitlines()[-1] and chat.pool.script.empty())
    await chat.driver.wait(lambda: len(chat.pool.asked) == chat.pool.closed)


def asked(chat: ChatDriver, pane: int = 0) -> list[str]:
    """What a pane was told the last time."""
    return [message["content"] for message in chat.pool.asked[-1][1][pane]]


def texts(store: Store, chat_id: str) -> list[str]:
    return [message.text for message in store.chats.messages(chat_id)]


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


def drawn(text: str, width: int = 40, stage: Stage = Stage.DONE) -> list[list[tuple[str, str]]]:
    return turn_lines(Turn("q", {0: Answer(text, stage)}), [Seat("base", "base", "starter")], width)[1:-1]


def test_answers_are_drawn_as_markdown_while_they_stream() -> None:
    lines = drawn("# Head\n- **bold** word\n```py\nx = 1 # `no`", stage=Stage.WRITING)
    flat = ["".join(text for text, _ in line).rstrip() for line in lines]
    assert flat == ["Head", "• bold word", "py", "▎ x = 1 # `no`▌"]
    tones = {text.strip(): tone for line in lines for text, tone in line}
    assert tones["bold"] == "bold" and tones["Head"] == "bold underline" and tones["x = 1 # `no`▌"] == "$text-accent"


@pytest.mark.parametrize(
    "evil",
    [
        "\x1b[2Jx",
        "\x1b]8;;http://e\x1b\\x\x1b]8;;\x1b\\",
        "\x1b]52;c;aGk=\x07x",
        "\x9b2Jx",
        "\x9d52;c;x\x9cx",
        "x\x00\r",
    ],
)
def test_no_control_character_is_drawn(evil: str) -> None:
    for against in Against:
        turn = Turn(evil, {0: Answer(evil, Stage.DONE), 1: Answer(f"{evil}b", Stage.DONE)}, earlier={1: [Answer(evil)]})
        seats = [Seat("base", evil, "m"), Seat("r", evil, "m", place=1, letter="A", knowledge=evil)]
        for width in (40, 100):
            text = "".join(text for line in turn_lines(turn, seats, width, against) for text, _ in line)
            assert "x" in text and text.isprintable()


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
        await driver.press("escape", "p")
        await driver.sees("▾ 1 passage", "A parcel to the moon takes")
        await driver.press("ctrl+n", "ctrl+o")
        await driver.sees("Conversations")
        await driver.press("enter")
        await driver.sees("› How long", "base + notes")


async def test_arena_and_suites_open_with_who_is_seated(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.driver.sees("A emoji-r16")
        for key, kind in (("ctrl+b", ArenaScreen), ("ctrl+t", SuitesScreen)):
            await chat.driver.press(key)
            await chat.driver.wait(lambda kind=kind: any(isinstance(one, kind) for one in chat.driver.app.screen_stack))
            while len(chat.driver.app.screen_stack) > 1:
                await chat.driver.app.pop_screen()
        screen = chat.driver.app.screen
        assert isinstance(screen, ChatScreen)
        assert screen.models == ["base:starter", "r2emoji0000"]
