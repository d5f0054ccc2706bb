"""The arena: blind pairs, one key a vote. A stand-in answers in place of the model servers."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from engine.datasets.library import DatasetLibrary
from engine.errors import FinetuiError
from engine.home import Home
from engine.inference.pool import Delta, Pane, Sampling, ServerPool
from engine.runs.rundir import RunDir, write_json
from store import Store, StoreError
from store.records import Run
from store.talk_records import SuiteAnswer, SuiteRun, Vote, Winner
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.arena import LOOKING, ArenaScreen
from tui.screens.arena_leaderboard import LeaderboardScreen

Messages = list[dict[str, str]]


class StandIn:
    """Every model answers with its name spelt backwards, and the question."""

    def __init__(self) -> None:
        self.on_status: Callable[[str], None] | None = None
        self.asked: list[str] = []
        self.held = asyncio.Event()
        self.held.set()
        self.error: Exception | None = None
        self.alike = False
        """Whether they all say the same."""
        self.conversations: list[Messages] = []

    async def answer(
        self, panes: Sequence[Pane], conversations: Sequence[Messages], sampling: Sampling
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append(conversations[0][-1]["content"])
        self.conversations += [[dict(message) for message in messages] for messages in conversations]
        if self.error is not None:
            raise self.error
        if self.on_status is not None:
            self.on_status(f"loading adapter {panes[0].label}")
        for place, (pane, messages) in enumerate(zip(panes, conversations, strict=True)):
            yield Delta(place, "" if self.alike else f"{pane.label[::-1]} on ")
            await self.held.wait()
            yield Delta(place, f"{messages[-1]['content']}\x1b[31m [bold]")
            yield Delta(place, "", True, 4, 0.1, 30.0)

    async def close(self) -> None:
        """Nothing to end."""


def with_adapter(runs: SampleRuns, run_id: str, name: str, **options: Any) -> Run:
    run = runs.add(run_id, name, steps=10, **options)
    folder = RunDir(Path(run.dir))
    write_json(folder.inputs, {"id": run_id, "name": name, "model": {"name": "starter", "path": "/models/starter"}})
    folder.adapter.mkdir()
    (folder.adapter / "adapter_model.safetensors").touch()
    return run


@pytest.fixture
def two(runs: SampleRuns) -> SampleRuns:
    with_adapter(runs, "r1aaa", "alpha", age_s=900)
    with_adapter(runs, "r2bbb", "bravo", age_s=600)
    return runs


@pytest.fixture
def suite(home: Home, store: Store, tmp_path: Path) -> str:
    file = tmp_path / "asks.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"question {number}?"}) + "\n" for number in range(3)))
    library = DatasetLibrary(home, store)
    dataset = library.import_file(file, shape="prompts")
    library.close()
    return dataset.id


Open = Callable[..., AbstractAsyncContextManager[tuple[Driver, StandIn]]]


@pytest.fixture
def arena(make_app: MakeApp, home: Home) -> Open:
    """The app with the arena in front; `voter` empty is one who was never asked."""

    @asynccontextmanager
    async def start(
        models: Sequence[str] = ("r1aaa", "r2bbb"),
        suite: str = "",
        *,
        voter: str = "ann",
        size: tuple[int, int] = (100, 30),
    ) -> AsyncIterator[tuple[Driver, StandIn]]:
        if voter:
            write_json(home.root / "arena.json", {"voter": voter, "criteria": []})
        async with make_app(size) as driver:
            pool = StandIn()
            driver.app.services._made[ServerPool] = pool
            await driver.app.push_screen(ArenaScreen(models, suite))
            yield driver, pool

    return start


NAMES = {"ahpla": "r1aaa", "ovarb": "r2bbb", "esab": "base:starter"}


def sides(driver: Driver) -> tuple[str, str]:
    """Which model stands left and which right, by what they say."""
    text = driver.line(" on question")
    places = sorted((text.index(name), model) for name, model in NAMES.items() if name in text)
    return places[0][1], places[1][1]


async def judge(driver: Driver, key: str) -> None:
    """Press a key on a pair, once both have answered."""
    screen = driver.app.screen
    assert isinstance(screen, ArenaScreen)
    await driver.wait(lambda: screen.current is not None and screen.current.complete)
    await driver.press(key)


async def test_a_vote_is_kept_the_models_are_told_and_the_next_pair_is_there(
    arena: Open, two: SampleRuns, suite: str, store: Store
) -> None:
    async with arena(suite=suite) as (driver, pool):
        await driver.sees("0 of 3 pairs", "0 votes", "by overall", "ann", "question 0?", "ahpla on", "ovarb on")
        assert "alpha" not in driver.text() and "bravo" not in driver.text()
        await driver.wait(lambda: len(pool.asked) == 2)  # the next one is fetched while this one is read
        assert driver.line("ahpla on").index("ahpla") != driver.line("ovarb on").index("ovarb")
        left, right = sides(driver)
        await judge(driver, "1")
        await driver.sees("question 1?", "1 of 3 pairs", "1 vote ", "you said A, overall")
        (vote,) = store.votes.list()
        assert (vote.left, vote.right, vote.winner, vote.voter) == (left, right, Winner.LEFT, "ann")
        assert vote.conversation == ({"role": "user", "content": "question 0?"},)
        assert (vote.suite, vote.position) == (suite, 0)
        assert vote.left_text.endswith("question 0?\x1b[31m [bold]")  # kept as it was said, shown clean
        assert "[bold]" in driver.text() and "\x1b" not in driver.text()
        told = driver.line("you said")
        assert (told.index("alpha") < told.index("bravo")) == (left == "r1aaa")
        await judge(driver, "t")
        await driver.sees("question 2?", "you said tie")
        await judge(driver, "4")
        await driver.sees("Every pair has been judged by overall", "3 of 3 pairs", "you said both bad")
        assert [one.winner for one in store.votes.list()] == [Winner.LEFT, Winner.TIE, Winner.BOTH_BAD]


async def test_undo_skip_and_another_criterion(arena: Open, two: SampleRuns, suite: str, store: Store) -> None:
    async with arena(suite=suite, size=(80, 24)) as (driver, _):
        await driver.sees("question 0?", "ahpla on")
        await judge(driver, "l")
        await driver.sees("question 1?", "1 of 3 pairs")
        await driver.press("u")
        await driver.sees("question 0?", "0 of 3 pairs")
        assert store.votes.list() == []
        await driver.press("s")
        await driver.sees("question 1?", "0 of 3 pairs")
        await driver.press("c", "c")
        await driver.sees("by warm")
        await driver.press("N")
        await driver.sees("Note on this pair")
        await driver.type("kinder")
        await driver.press("enter")
        await driver.sees("note: kinder")
        await judge(driver, "h")
        await driver.sees("1 of 3 pairs")
        (vote,) = store.votes.list()
        assert (vote.criterion, vote.note, vote.position) == ("warm", "kinder", 1)
        await driver.press("C")
        await driver.sees("By what do you judge?")
        await driver.type("Playful")
        await driver.press("enter")
        await driver.sees("by playful", "0 of 3 pairs")
        kept = driver.app.home.root / "arena.json"
        await driver.wait(lambda: json.loads(kept.read_text())["criteria"] == ["playful"])


async def test_the_name_is_asked_once_and_can_be_changed(
    arena: Open, two: SampleRuns, suite: str, store: Store
) -> None:
    async with arena(suite=suite, voter="") as (driver, _):
        await driver.sees("Who votes?")
        below = driver.app.screen_stack[-2].query_one("#empty", Static)
        await driver.wait(lambda: str(below.content) == LOOKING)  # and not that models are missing
        await driver.press("ctrl+u")
        await driver.type("judge:me")
        await driver.press("enter")
        await driver.wait(lambda: "Who votes?" in driver.text())
        await driver.press("ctrl+u")
        await driver.type("ann")
        await driver.press("enter")
        await driver.sees("question 0?", "· ann", "ahpla on")
        await judge(driver, "1")
        await driver.sees("1 of 3 pairs")
        await driver.press("V")
        await driver.sees("somebody else")
        await driver.type("somebody")
        await driver.press("enter")
        await driver.sees("Votes are kept under this name")
        await driver.press("ctrl+u")
        await driver.type("ben")
        await driver.press("enter")
        await driver.sees("0 of 3 pairs", "1 vote ", "· ben")
    async with arena(suite=suite, voter="") as (driver, _):
        await driver.sees("question 0?", "· ben")


async def test_the_name_is_not_asked_on_another_screen(
    arena: Open, two: SampleRuns, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Callable[[], None]] = []
    take = ArenaScreen._take_seats
    monkeypatch.setattr(ArenaScreen, "_take_seats", lambda self, seated: told.append(lambda: take(self, seated)))
    async with arena(suite=suite, voter="") as (driver, _):
        await driver.wait(lambda: told)
        await driver.press("L")
        await driver.sees("whose votes")
        told[0]()
        await driver.pilot.pause(0.1)
        assert "Who votes?" not in driver.text()
        await driver.press("escape")
        await driver.sees("Who votes?")


async def test_the_next_pair_waits_for_the_disk(
    arena: Open, two: SampleRuns, suite: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with arena(suite=suite) as (driver, pool):
        screen = driver.app.screen
        assert isinstance(screen, ArenaScreen)
        await driver.wait(lambda: len(pool.asked) == 2)
        add, go_on = driver.app.services.store.votes.add, threading.Event()

        def slow(vote: Vote) -> None:
            go_on.wait(20)
            add(vote)

        monkeypatch.setattr(driver.app.services.store.votes, "add", slow)
        await judge(driver, "1")
        await driver.press("2", "1")  # keys in between do not vote again
        assert "question 0?" in driver.text()
        go_on.set()
        await driver.sees("question 1?")
        assert store.votes.count() == 1

        def full(vote: Vote) -> None:
            raise StoreError("The disk is full.")

        monkeypatch.setattr(driver.app.services.store.votes, "add", full)
        await judge(driver, "1")
        await driver.sees("The vote is not kept", "The disk is full.")
        await driver.press("escape")
        await driver.sees("question 1?")
        monkeypatch.setattr(driver.app.services.store.votes, "add", add)
        await judge(driver, "1")
        await driver.sees("question 2?")
        assert store.votes.count() == 2


async def test_nobody_can_vote_before_both_have_answered(
    arena: Open, two: SampleRuns, suite: str, store: Store
) -> None:
    async with arena(suite=suite) as (driver, pool):
        pool.held.clear()
        await driver.sees("loading adapter a model …")
        await driver.press("1", "2", "3")
        assert isinstance(driver.app.screen, ArenaScreen) and store.votes.count() == 0
        pool.held.set()
        await driver.sees("both bad")
        await judge(driver, "2")
        await driver.wait(lambda: store.votes.count() == 1)


async def test_a_failure_stands_in_place_and_can_be_tried_again(
    arena: Open, two: SampleRuns, suite: str, store: Store
) -> None:
    async with arena(suite=suite) as (driver, pool):
        pool.error = FinetuiError("The server of alpha ended.", fix="Ask again.")
        await driver.press("s")
        await driver.sees("The server of a model ended.", "ask again")
        await driver.press("1")
        assert store.votes.count() == 0
        pool.error = None
        await driver.press("r")
        await driver.sees("ahpla on", "both bad")


async def test_stored_answers_of_a_suite_run_are_used(arena: Open, two: SampleRuns, suite: str, store: Store) -> None:
    store.suites.add(SuiteRun("s1", suite, "asks", 1.0, ("r2bbb", "r1aaa"), {"system": "Be brief."}, 3))
    store.suites.append(
        SuiteAnswer("s1", model, position, 0, f"stored {name} on question {position}")
        for model, name in enumerate(("ovarb", "ahpla"))
        for position in range(3)
    )
    async with arena(suite=suite) as (driver, pool):
        await driver.sees("stored ahpla", "stored ovarb", "both bad")
        left, _ = sides(driver)
        await judge(driver, "2")
        await driver.sees("1 of 3 pairs")
        assert pool.asked == []
        (vote,) = store.votes.list()
        assert vote.left == left and vote.conversation[0] == {"role": "system", "content": "Be brief."}
        assert {vote.left_text, vote.right_text} == {f"stored {name} on question 0" for name in ("ovarb", "ahpla")}


async def test_all_turns_are_asked_shown_and_judged(
    arena: Open, two: SampleRuns, home: Home, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "turns.jsonl"
    file.write_text(json.dumps({"turns": ["question of a colour?", "and [bold]another?"]}))
    library = DatasetLibrary(home, store)
    turns = library.import_file(file, shape="prompts", validation=0).id
    library.close()
    async with arena(suite=turns) as (driver, pool):
        await driver.sees("question of a colour?  turn 1 of 2", "› and [bold]another?", "ovarb on and", "both bad")
        own = {messages[1]["content"][:5]: messages for messages in pool.conversations[2:]}
        assert set(own) == {"ahpla", "ovarb"}, "each goes on from its own answer"
        left, _ = sides(driver)
        await judge(driver, "1")
        await driver.sees("you said A")
        (vote,) = store.votes.list()
        assert [message["role"] for message in vote.conversation] == ["user", "assistant", "user"]
        spelt = {model: name for name, model in NAMES.items()}
        assert vote.conversation[1]["left"].startswith(f"{spelt[left]} on question")
        assert vote.left_text.startswith(f"{spelt[left]} on and [bold]another?")


async def test_the_same_answer_twice_is_passed_over_and_can_be_a_tie(
    arena: Open, two: SampleRuns, suite: str, store: Store
) -> None:
    async with arena(suite=suite) as (driver, pool):
        pool.alike = True
        await driver.press("r")
        await driver.sees("Every pair has been judged", "0 of 3 pairs, 3 the same", "3 pairs: both said the same")
        assert store.votes.count() == 0 and len(pool.asked) == 3
        await driver.press("equals_sign")
        await driver.sees("3 of 3 pairs")
        assert [vote.winner for vote in store.votes.list()] == [Winner.TIE] * 3
        await driver.press("c")
        await driver.sees("by helpful", "3 of 3 pairs")
    assert json.loads((two.home.root / "arena.json").read_text())["same_are_ties"] is True


async def test_a_model_at_an_address_takes_part_unnamed(
    arena: Open, two: SampleRuns, suite: str, store: Store, home: Home
) -> None:
    async with arena(("r1aaa",), suite=suite) as (driver, pool):
        await driver.sees("Two models are needed", "OpenAI-compatible address")
        await driver.press("m")
        await driver.sees("Who takes part", "an API")
        await driver.type("an api")
        await driver.press("enter")
        await driver.sees("the environment variable")
        for text in ("http://127.0.0.1:9/v1", "far"):
            await driver.pilot.press(*("slash" if one == "/" else "full_stop" if one == "." else one for one in text))
            await driver.press("tab")
        await driver.press("enter")
        await driver.sees("raf on question 0?", "ahpla on question 0?", "both bad")
        await driver.wait(lambda: len(pool.asked) == 2)
        pool.error = FinetuiError("http://127.0.0.1:9/v1 does not answer.", why="127.0.0.1:9 is away.")
        await judge(driver, "1")
        await driver.sees("A was", "far")
        (vote,) = store.votes.list()
        assert {vote.left, vote.right} == {"api:far", "r1aaa"}
        await judge(driver, "1")
        await driver.sees("a model does not answer.", "a model is away.")
    async with arena(("r1aaa", "api:far"), suite=suite) as (driver, _):
        await driver.sees("raf on question", "ahpla on question")  # the address is known from then on


async def test_a_long_prompt_leaves_room_for_the_answers_and_can_be_read(
    arena: Open, two: SampleRuns, home: Home, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text(json.dumps({"prompt": "\n".join(f"line {number} of it" for number in range(40))}))
    library = DatasetLibrary(home, store)
    long = library.import_file(file, shape="prompts", validation=0).id
    library.close()
    async with arena(suite=long, size=(80, 24)) as (driver, _):
        await driver.sees("line 0 of it", "ahpla on", "ovarb on")
        assert "line 7 of it" not in re.split("ahpla|ovarb", driver.text())[0]
        await driver.press(*"JJJJJJ")
        await driver.sees("line 9 of it")
        assert "line 0 of it" not in re.split("ahpla|ovarb", driver.text())[0]


async def test_a_typed_prompt(arena: Open, two: SampleRuns, store: Store) -> None:
    async with arena() as (driver, _):
        await driver.sees("What shall they be asked?")
        await driver.type("a question of 1")
        await driver.press("enter")
        await driver.sees("ahpla on a question of 1", "0 of 1 pairs")
        await judge(driver, "2")
        await driver.sees("1 of 1 pairs", "you said B")
        (vote,) = store.votes.list()
        assert (vote.suite, vote.position, vote.conversation[-1]["content"]) == ("", -1, "a question of 1")
        await driver.press("escape", "L")
        await driver.wait(lambda: isinstance(driver.app.screen, LeaderboardScreen))


async def test_models_and_suites_are_chosen_by_key(arena: Open, runs: SampleRuns, suite: str) -> None:
    async with arena(()) as (driver, _):
        await driver.sees("Two models are needed")
        with_adapter(runs, "r1aaa", "alpha")
        with_adapter(runs, "r2bbb", "bravo")
        for name in ("alpha", "bravo"):
            await driver.press("m")
            await driver.sees("Who takes part", f"{name} ")
            await driver.type(name)
            await driver.press("enter")
            await driver.sees_no("Who takes part")
        await driver.sees("What shall they be asked?")
        await driver.press("escape", "P")
        await driver.sees("Which prompts", "everyday")
        await driver.type("asks")
        await driver.press("enter")
        await driver.sees("question 0?", "asks · 0 of 3 pairs")


async def test_without_models_named_the_newest_runs_meet_their_base(arena: Open, two: SampleRuns, suite: str) -> None:
    async with arena(("r1aaa", "gone")) as (driver, _):
        await driver.sees("The arena cannot begin", "no run gone")
        await driver.press("escape")
        screen = driver.app.screen
        assert isinstance(screen, ArenaScreen)
        await driver.wait(lambda: len(screen.entrants) == 3)
        assert set(screen.entrants) == {"base:starter", "r1aaa", "r2bbb"}


def cast_votes(store: Store) -> None:
    for number, (left, right, winner, voter, criterion) in enumerate(
        [
            *[("r1aaa", "r2bbb", Winner.LEFT, "ann", "overall")] * 6,
            ("r2bbb", "r1aaa", Winner.LEFT, "ben", "overall"),
            ("r2bbb", "base:starter", Winner.TIE, "judge:starter", "overall"),
            ("r2bbb", "base:starter", Winner.BOTH_BAD, "ann", "overall"),
            ("r2bbb", "base:starter", Winner.LEFT, "ann", "warm"),
        ]
    ):
        said = ({"role": "user", "content": "hello"},)
        store.votes.add(Vote(f"v{number}", float(number), voter, criterion, left, right, winner, said, "a", "b"))


@pytest.mark.parametrize("size", [(80, 24), (160, 40)])
async def test_the_leaderboard(make_app: MakeApp, two: SampleRuns, store: Store, size: tuple[int, int]) -> None:
    cast_votes(store)
    async with make_app(size) as driver:
        await driver.app.push_screen(LeaderboardScreen())
        await driver.sees("9 votes of everybody", "alpha", "bravo", "starter", "●", "6/0/1")
        lines = [driver.line(name) for name in ("alpha", "bravo")]
        assert "0.86 (" in lines[0] and "n 7)" in lines[0] and "├" in lines[0] and "┤" in lines[0]
        assert lines[0].index("●") > lines[1].index("●")
        await driver.press("v")
        await driver.sees("8 votes of people")
        await driver.press("v", "v")
        await driver.sees("1 vote of ben", "0/0/1")
        await driver.press("v", "v", "]")
        await driver.sees("1 vote of everybody", "1.00 (", "n 1)")


async def test_an_empty_leaderboard_says_what_to_do(make_app: MakeApp) -> None:
    async with make_app((80, 24)) as driver:
        await driver.app.push_screen(LeaderboardScreen("warm"))
        await driver.sees("Nobody has voted by this yet", "0 votes of everybody", "warm")
        await driver.press("escape")
        await driver.wait(lambda: not isinstance(driver.app.screen, LeaderboardScreen))


async def test_the_list_of_runs_shows_win_rates_where_somebody_voted(
    make_app: MakeApp, two: SampleRuns, store: Store
) -> None:
    async with make_app((120, 24)) as driver:
        await driver.sees("alpha", "bravo")
        assert "win rate" not in driver.text()
    cast_votes(store)
    async with make_app((120, 24)) as driver:
        await driver.sees("win rate", "0.86 (n 7)")
        await driver.wait(lambda: "0.19 (n 8)" in driver.line("bravo"))
    async with make_app((80, 24)) as driver:
        await driver.sees("alpha")
        await driver.press("slash")
        await driver.type("win>0.5")
        await driver.press("enter")
        await driver.sees_no("bravo")
        await driver.sees("alpha")
