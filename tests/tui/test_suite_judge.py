"""A judge over the answers of a suite run, asked from its screen; it is behind a real socket."""

import json
import threading

import pytest

from engine.arena.matches import SAME
from engine.home import Home
from engine.judging.pairs import pairs_of_suite_run
from engine.suites.endpoints import FarModel, keep_endpoint
from engine.suites.kept import suite_of
from store import Store
from store.talk_records import SuiteRun, Vote, Winner
from tests.engine.endpoint_made import Reply, Request, says, serving
from tests.tui.conftest import Driver, MakeApp
from tests.tui.test_suites import asked, tuned
from tui.screens.suite_judge import SuiteJudgeScreen
from tui.screens.suite_run import SuiteRunScreen

__all__ = ["asked", "tuned"]


def surely_wins(request: Request) -> Reply:
    """The answer with more of the word `Surely` is better; it is no warmer."""
    first, _, second = request.question.partition("\nAnswer B")
    one, other = first.count("Surely"), second.count("Surely")
    verdict = "A" if one > other else "B" if other > one else "tie"
    return says(json.dumps({"reason": "\x1b[31mwords", "overall": verdict, "brief": "A"}))


async def start(driver: Driver, run: SuiteRun, criteria: str) -> None:
    await driver.app.push_screen(SuiteRunScreen(run.id))
    await driver.sees("first look", "judge")
    await driver.press("J")
    await driver.sees("No model has judged these answers yet.")
    await driver.press("n")
    await driver.sees("Who judges", "strict", "answered itself")
    await driver.type("strict")
    await driver.press("enter")
    await driver.sees("By what it judges", "by 5 criteria, each in both orders")
    await driver.press("ctrl+u")
    for character in criteria:
        await driver.press({" ": "space", ",": "comma", "=": "equals_sign"}.get(character, character))
    await driver.press("enter")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_judge_is_asked_and_people_are_compared_with_it(
    make_app: MakeApp, asked: SuiteRun, home: Home, store: Store, size: tuple[int, int]
) -> None:
    with serving(surely_wins) as there:
        keep_endpoint(home, FarModel("strict", there.url))
        async with make_app(size) as driver:
            pairs = pairs_of_suite_run(store, suite_of(driver.app.services.library, asked), asked)
            said = next(pair for pair in pairs if "Surely" in f"{pair.left_text} {pair.right_text}")
            winner = Winner.LEFT if "Surely" in said.left_text else Winner.RIGHT
            about = (said.left, said.right, winner, said.conversation, said.left_text, said.right_text)
            store.votes.add(Vote("v1", 1.0, "ann", "overall", *about))
            await start(driver, asked, "overall, brief=in few words")
            await driver.sees("judge:strict", "emoji-r8", "order changed", "1.00")
            await driver.sees("100% of 6", "looks at places", "agreement says little")  # brief is decided by the place
            await driver.press(*"jjjjjjjj")
            await driver.sees("By category, overall", "numbers")
            assert "\x1b" not in driver.text()
        votes = store.votes.list("overall", voter="judge:strict")
        assert len(votes) == len(pairs)
        turns = [vote for vote in votes if vote.position == 0]
        assert turns and all(len(vote.conversation) == 3 for vote in turns), "both turns are judged"


async def test_leaving_stops_the_judge_and_keeps_what_it_said(
    make_app: MakeApp, asked: SuiteRun, home: Home, store: Store
) -> None:
    began, release = threading.Event(), threading.Event()

    def slow(request: Request) -> Reply:
        began.set()
        release.wait(20)
        return surely_wins(request)

    with serving(slow) as there:
        keep_endpoint(home, FarModel("strict", there.url))
        try:
            async with make_app((100, 30)) as driver:
                await start(driver, asked, "overall")
                await driver.wait(began.is_set)
                await driver.sees("stop")
                await driver.press("s")
                screen = driver.app.screen
                assert isinstance(screen, SuiteJudgeScreen)
                await driver.sees("ask a judge", "judge:strict")
                await driver.press("escape")
                await driver.wait(lambda: isinstance(driver.app.screen, SuiteRunScreen))
        finally:
            release.set()
    assert {vote.note for vote in store.votes.list("overall")} == {SAME}, "nobody was asked of those"
