"""The screen where models are asked side by side. A stand-in answers in place of the model servers."""

import re

from textual.widgets import Input

from engine.errors import FinetuiError
from engine.inference.pool import Delta
from store import Store
from store.records import Chat, Message
from tests.tui.chats import OpenChat, settled, with_adapter
from tests.tui.sample_runs import SampleRuns
from tui.widgets.conversation import Conversation
from tui.widgets.prompt import Prompt


async def test_base_and_newest_adapter_answer_side_by_side(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await driver.sees("base  starter, 4-bit", "A emoji-r16  ✓ adapter on starter")
        await chat.ask("reset my password 123")
        await driver.wait(lambda: chat.pool.asked)
        panes, conversations, _ = chat.pool.asked[0]
        assert [pane.adapter is None for pane in panes] == [True, False]
        assert conversations == [[{"role": "user", "content": "reset my password 123"}]] * 2
        chat.pool.answer_whole("Open the settings page.", "Go to ⚙️ Security.")
        await driver.sees("40 tok · 0.21 s · 58.4/s", "41 tok")
        line = driver.line("Open the settings page.")
        assert line.index("Open the settings page.") < line.index("│") < line.index("Go to ⚙️")
        assert "› reset my password 123" in driver.text()


async def test_keys_that_come_in_one_go_are_sent_whole(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.driver.sees("A emoji-r16  ✓ adapter on starter")
        for key in ("h", "e", "y", "ctrl+j", "y", "o", "u", "enter"):
            chat.driver.app.simulate_key(key)
        await chat.driver.wait(lambda: chat.pool.asked)
        assert chat.pool.asked[0][1][0] == [{"role": "user", "content": "hey\nyou"}]


async def test_answers_stream_in(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.ask("hello")
        chat.pool.say(Delta(0, "one "), Delta(1, "uno "))
        await chat.driver.sees("one ▌", "uno ▌", "writing")
        chat.pool.say(Delta(0, "two\nthree"), Delta(0, done=True, tokens=3, first_token_s=0.1, tokens_per_s=9.0))
        await chat.driver.sees("one two", "three", "3 tok · 0.10 s · 9.0/s", "uno ▌")
        chat.pool.say(Delta(1, done=True, tokens=1, first_token_s=0.1, tokens_per_s=None), None)
        await chat.driver.sees("1 tok · 0.10 s", "greedy · up to 256 tokens")


async def test_says_what_it_waits_for_and_for_how_long(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.ask("hello")
        await chat.driver.wait(lambda: chat.pool.on_status)
        assert chat.pool.on_status is not None
        chat.pool.on_status("loading starter in 4-bit")

        def seconds() -> int:
            found = re.search(r"loading starter in 4-bit … +(\d+) s", chat.driver.text())
            return int(found[1]) if found else -1

        await chat.driver.wait(lambda: seconds() >= 0)
        shown = seconds()
        await chat.driver.wait(lambda: seconds() > shown)


async def test_each_model_keeps_to_its_own_answers(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.ask("first")
        chat.pool.answer_whole("from the base", "from the adapter")
        await chat.driver.sees("41 tok")
        await chat.ask("second")
        await chat.driver.wait(lambda: len(chat.pool.asked) == 2)
        assert [messages[1]["content"] for messages in chat.pool.asked[1][1]] == ["from the base", "from the adapter"]
        assert [messages[-1]["content"] for messages in chat.pool.asked[1][1]] == ["second", "second"]


async def test_escape_stops_and_keeps_what_is_there(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat() as chat:
        await chat.ask("hello")
        chat.pool.say(Delta(0, "half an ans"))
        await chat.driver.sees("half an ans▌", "esc stop")
        await chat.driver.press("escape")
        await chat.driver.wait(lambda: chat.pool.closed == 1)
        await chat.driver.sees("stopped")
        await chat.driver.sees_no("▌", "esc stop")
        (stored,) = store.chats.list()
        await chat.driver.wait(lambda: len(store.chats.messages(stored.id)) == 2)
        assert store.chats.messages(stored.id)[1].text == "half an ans"


async def test_a_failure_is_said_inline_and_explained(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.ask("hello")
        chat.pool.say(FinetuiError("The model server ended.", why="out of memory", fix="Try a smaller model."))
        await chat.driver.sees("The models could not answer", "out of memory", "Try a smaller model.")
        await chat.driver.press("escape")
        await chat.driver.sees("✗ The model server ended.")
        await chat.driver.press("ctrl+r")
        chat.pool.answer_whole("better", "now")
        await chat.driver.sees("better", "41 tok")
        assert "✗" not in chat.driver.text()


async def test_one_pane_fails_the_other_answers(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.ask("hello")
        chat.pool.say(
            Delta(1, done=True, error="The adapter is gone.\nThere is no file."),
            Delta(0, "fine"),
            Delta(0, "", True, 1),
        )
        chat.pool.say(None)
        await chat.driver.sees("Not every model answered")
        await chat.driver.press("escape")
        await chat.driver.sees("fine", "✗ The adapter is gone.")


async def test_turns_are_stored_and_opened_again(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat() as chat:
        await chat.ask("what is stored")
        chat.pool.answer_whole("this", "that")
        await chat.driver.sees("41 tok")
        await settled(chat)
        await chat.driver.press("ctrl+r")
        chat.pool.answer_whole("this again", "that again")
        await chat.driver.sees("this again")
        (stored,) = store.chats.list()
        assert (stored.title, stored.panes) == ("what is stored", ("base", "r2emoji0000"))
        await chat.driver.wait(lambda: len(store.chats.messages(stored.id)) == 5)
        kept = [(turn.pane, turn.text) for turn in store.chats.messages(stored.id)]
        assert kept == [(-1, "what is stored"), (0, "this"), (1, "that"), (0, "this again"), (1, "that again")]
        await chat.driver.press("ctrl+n")
        await chat.driver.sees_no("what is stored")
        await chat.driver.press("ctrl+o")
        await chat.driver.sees("Conversations", "base, emoji-r16")
        await chat.driver.press("enter")
        await chat.driver.sees("› what is stored", "this again", "40 tok")
        await chat.ask("go on")
        chat.pool.answer_whole("yes", "no")
        await chat.driver.wait(lambda: len(store.chats.messages(stored.id)) == 8)
        assert [m["content"] for m in chat.pool.asked[2][1][1]] == ["what is stored", "that again", "go on"]


async def test_a_conversation_with_a_run_that_is_gone_can_be_read(
    open_chat: OpenChat, two: SampleRuns, store: Store
) -> None:
    store.chats.add(Chat("c1", "an old one", 1.0, 1.0, ("base", "gone0000000"), "", {"base": "starter"}))
    for message in (
        Message("c1", 0, -1, "user", "who are you", 1.0),
        Message("c1", 1, 0, "assistant", "the base", 1.0, 5, 0.1, 10.0),
        Message("c1", 1, 1, "assistant", "not any more", 1.0, 5, 0.1, 10.0),
    ):
        store.chats.append(message)
    async with open_chat() as chat:
        await chat.driver.sees("A emoji-r16")
        await chat.driver.press("ctrl+o")
        await chat.driver.sees("an old one")
        await chat.driver.press("enter")
        await chat.driver.sees("Not every model can go on")
        await chat.driver.press("escape")
        await chat.driver.sees("A gone0000000  gone", "not any more")


async def test_models_are_added_and_taken_away(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await chat.ask("one")
        chat.pool.answer_whole("base one", "a one")
        await driver.sees("41 tok")
        await settled(chat)
        await driver.press("ctrl+a")
        await driver.sees("Who else answers", "emoji-r8")
        await driver.press("enter")
        await driver.sees("B emoji-r8")
        await chat.ask("two")
        await driver.wait(lambda: len(chat.pool.asked) == 2)
        assert [len(messages) for messages in chat.pool.asked[1][1]] == [3, 3, 1]
        chat.pool.answer_whole("base two", "a two", "b two")
        await driver.sees("42 tok")
        await settled(chat)
        await driver.press("ctrl+d")
        await driver.sees("Who is taken away")
        await driver.type("r16")
        await driver.press("enter")
        await driver.sees_no("a two")
        assert "B emoji-r8" in driver.text() and "b two" in driver.text()
        await chat.ask("three")
        chat.pool.answer_whole("base three", "b three")
        await driver.sees("b three", "41 tok")
        (stored,) = store.chats.list()
        assert stored.panes == ("base", "r2emoji0000", "r1emoji0000")
        await driver.wait(lambda: [m.pane for m in store.chats.messages(stored.id)][-3:] == [-1, 0, 2])


async def test_settings_reach_the_models(open_chat: OpenChat, two: SampleRuns, store: Store) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await driver.sees("greedy")
        await driver.press("ctrl+s")
        await driver.sees("How they answer")
        await driver.type("Be brief.")
        temperature = driver.app.screen.query_one("#temperature", Input)
        temperature.value = "nan"
        await driver.press("ctrl+s")
        await driver.sees("temperature: a number from 0 to 10")
        temperature.value = "0.7"
        driver.app.screen.query_one("#seed", Input).value = "3"
        await driver.press("ctrl+s")
        await driver.sees("temperature 0.7 · seed 3 · up to 256 tokens · system message")
        await chat.ask("hello")
        await driver.wait(lambda: chat.pool.asked)
        _, conversations, sampling = chat.pool.asked[0]
        assert conversations[1][0] == {"role": "system", "content": "Be brief."}
        assert (sampling.temperature, sampling.seed) == (0.7, 3)
        chat.pool.answer_whole("a", "b")
        await driver.wait(lambda: [chat.system for chat in store.chats.list()] == ["Be brief."])


async def test_digits_are_text_in_the_input_and_change_the_screen_outside(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await driver.sees("A emoji-r16")
        await driver.wait(lambda: chat.writing)
        await driver.wait(lambda: "esc keys 1-6" in driver.text().splitlines()[-1])
        await driver.press("1", "q")
        assert driver.app.current_mode == "chat"
        assert driver.app.screen.query_one(Prompt).text == "1q"
        await driver.press("escape", "1")
        await driver.wait(lambda: driver.app.current_mode == "runs")
        await driver.press("5", "enter", "2")
        assert driver.app.current_mode == "chat"
        assert driver.app.screen.query_one(Prompt).text == "1q2"


async def test_keys_apply_to_what_is_in_focus_before_that_has_heard_of_it(open_chat: OpenChat, two: SampleRuns) -> None:
    """The bar at the bottom may be drawn between the two, and is not drawn again."""
    async with open_chat() as chat:
        await chat.driver.wait(lambda: chat.writing)
        screen = chat.driver.app.screen
        prompt = screen.focused
        assert prompt is not None
        screen.set_focus(None)
        await chat.driver.wait(lambda: not prompt.has_focus)
        screen.set_focus(prompt)
        assert not prompt.has_focus
        assert {"leave"} == {active.binding.action for key, active in screen.active_bindings.items() if key == "escape"}


async def test_a_prompt_has_several_lines(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        driver = chat.driver
        await driver.wait(lambda: chat.writing)
        await driver.press("a", "ctrl+j", "b", "alt+enter", "c", "enter")
        await driver.wait(lambda: chat.pool.asked)
        assert chat.pool.asked[0][1][0][0]["content"] == "a\nb\nc"
        assert driver.app.screen.query_one(Prompt).text == ""


async def test_chat_from_the_list_of_runs(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat("r1emoji0000", "r2emoji0000") as chat:
        await chat.driver.sees("base", "A emoji-r8", "B emoji-r16")
        assert len(chat.driver.app.screen.query_one(Conversation).seats) == 3


async def test_three_models_in_a_narrow_terminal_stand_below_each_other(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat("r1emoji0000", "r2emoji0000", size=(80, 24)) as chat:
        await chat.ask("hello")
        chat.pool.answer_whole("from base", "from r8", "from r16")
        await chat.driver.sees("42 tok")
        lines = [line.strip() for line in chat.driver.text().splitlines()]
        for label, text in (("base", "from base"), ("A emoji-r8", "from r8"), ("B emoji-r16", "from r16")):
            place = next(index for index, line in enumerate(lines) if line == f"│ {text}")
            assert lines[place - 1].startswith(label) and "tok" in lines[place - 1]


async def test_a_run_without_an_adapter_is_explained(open_chat: OpenChat, two: SampleRuns) -> None:
    two.add("r3none00000", "no-adapter", status="stopped")
    async with open_chat("r3none00000") as chat:
        await chat.driver.sees("Run no-adapter has no adapter yet")
        await chat.driver.press("escape")
        await chat.driver.sees("A emoji-r16")


async def test_says_how_to_get_an_adapter_and_takes_it_when_it_is_there(open_chat: OpenChat, runs: SampleRuns) -> None:
    async with open_chat(size=(80, 24)) as chat:
        await chat.driver.sees("No run has an adapter to chat with yet", "finetui demo")
        await chat.driver.press("4")
        await chat.driver.wait(lambda: chat.driver.app.current_mode == "compare")
        await chat.driver.press("5")
        with_adapter(runs, "r1emoji0000", "emoji-r8")
        await chat.driver.sees("A emoji-r8", "Ask the base model and the adapter")


async def test_model_output_is_text(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat() as chat:
        await chat.ask("hello")
        chat.pool.answer_whole("[bold]not bold[/] \x1b[31mred\x07\x1b]0;title\x07 ok", "$primary [b")
        await chat.driver.sees("[bold]not bold[/] red ok", "$primary [b")
        assert "\x1b" not in chat.driver.text()


async def test_a_long_answer_follows_the_end(open_chat: OpenChat, two: SampleRuns) -> None:
    async with open_chat(size=(80, 24)) as chat:
        await chat.ask("count")
        for number in range(200):
            chat.pool.say(Delta(0, f"line {number}\n"))
        await chat.driver.sees("line 199")
        await chat.driver.press("pageup", "pageup")
        await chat.driver.sees_no("line 199")
        chat.pool.say(Delta(0, "the very last"))
        await chat.driver.wait(
            lambda: "the very last" in chat.driver.app.screen.query_one(Conversation).turns[0].answers[0].text
        )
        await chat.driver.pilot.pause(0.3)
        assert "the very last" not in chat.driver.text()
