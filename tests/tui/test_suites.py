"""The screens of prompt suites. A stand-in answers in place of the model servers, in a process of its own."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.inference.pool import Sampling
from engine.suites.endpoints import known_endpoints
from engine.suites.kept import suite_of
from engine.suites.reading import find_suite, read_suite
from engine.suites.running import new_suite_run
from store import Store
from store.talk_records import SuiteAnswer, SuiteRun
from tests.tui.chats import with_adapter
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.suite_run import SuiteRunScreen
from tui.screens.suites import SuitesScreen

SOURCE = Path(__file__).parents[2]
OpenSuites = Callable[..., AbstractAsyncContextManager[Driver]]
QUESTIONS = [
    {"category": "colours", "turns": ["Name a colour.", "Name another."], "reference": ["Red.", "Blue."]},
    {"category": "numbers", "turns": ["Name a [bold]number[/bold]."]},
    {"category": "numbers", "turns": ["Name a prime."], "reference": ["Seven."]},
]
SAID = (("Red.", "Green."), ("One \x1b[31mhundred",), ("Seven, of course.",))


@pytest.fixture
def open_suites(make_app: MakeApp) -> OpenSuites:
    """`async with open_suites("r1…", size=(80, 24))`: the list of suites, with these models at hand."""

    @asynccontextmanager
    async def start(*models: str, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Driver]:
        async with make_app(size) as driver:
            await driver.app.push_screen(SuitesScreen(models))
            yield driver

    return start


@pytest.fixture
def tuned(runs: SampleRuns) -> SampleRuns:
    with_adapter(runs, "r1emoji0000", "emoji-r8", age_s=9_000)
    with_adapter(runs, "r2emoji0000", "emoji-r16", age_s=600)
    return runs


@pytest.fixture
def asked(home: Home, store: Store, tuned: SampleRuns, tmp_path: Path) -> SuiteRun:
    """Three prompts, answered by the base and two runs; the last answer of the last one is an error."""
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, QUESTIONS)))
    library = DatasetLibrary(home, store)
    suite = read_suite(library, find_suite(library, str(file)))
    library.close()
    models = ("base:starter", "r1emoji0000", "r2emoji0000")
    run = new_suite_run(store, suite, models, Sampling(), name="first look")
    for position, turns in enumerate(SAID):
        for turn, text in enumerate(turns):
            said = (text, text if position == 0 else f"{text} Surely.", text.upper())
            store.suites.append(
                SuiteAnswer(run.id, model, position, turn, one, 4 + model, 0.2, 30.0) for model, one in enumerate(said)
            )
    store.suites.append([SuiteAnswer(run.id, 2, 2, 0, "", error="The prompt is too long.")])
    store.suites.set_ended(run.id, run.created + 60)
    return run


async def test_without_a_suite_it_says_how_to_get_one(open_suites: OpenSuites) -> None:
    async with open_suites(size=(80, 24)) as driver:
        await driver.sees("No prompt suites yet.", "twenty prompts that come with finetui")
        await driver.press("i", "enter")
        await driver.sees("everyday v1", "20", "No model was asked yet")
        await driver.sees_no("No prompt suites yet.")


async def test_a_started_suite_is_asked_beside_the_app_and_shows_how_far_it_is(
    open_suites: OpenSuites, tuned: SampleRuns, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    slow = ("0.5", "0.01")

    def start(home: Home, suite_run: str) -> None:
        command = [sys.executable, "-m", "tests.engine.suite_stand_in", str(home.root), suite_run, slow[len(started)]]
        started.append(subprocess.Popen(command, cwd=SOURCE, start_new_session=True))

    monkeypatch.setattr("engine.suites.driver.start_driver", start)
    library = DatasetLibrary(home, store)
    find_suite(library, "everyday")
    library.close()
    async with open_suites("r1emoji0000", "r2emoji0000") as driver:
        await driver.sees("everyday v1")
        await driver.press("enter")
        await driver.sees("[x] emoji-r8", "[x] emoji-r16", "20 prompts for 2 models")
        await driver.press("enter")
        await driver.wait(lambda: isinstance(driver.app.screen, SuiteRunScreen))
        await driver.sees("● running", "left", "/46")
        await driver.press("s")
        await driver.sees("◦ stopped")
        [run] = store.suites.list()
        before = len(store.suites.answers(run.id))
        assert 0 < before < 46 and started[0].wait(10) == 0
        await driver.press("R")
        await driver.wait(lambda: len(started) == 2)
        await driver.press("escape")
        await driver.wait(lambda: isinstance(driver.app.screen, SuitesScreen))
        await driver.sees("✓ done", "46/46")
        assert started[1].wait(10) == 0 and len(started) == 2


async def test_models_are_chosen_and_what_cannot_be_is_refused(open_suites: OpenSuites, asked: SuiteRun) -> None:
    async with open_suites() as driver:
        await driver.sees("questions v1", "first look")
        await driver.press("n")
        await driver.sees("[x] starter", "[x] emoji-r16", "[ ] emoji-r8", "3 prompts for 2 models")
        await driver.press("space", "space", "space")
        await driver.sees("[ ] starter", "[ ] emoji-r16", "[x] emoji-r8", "3 prompts for 1 model")
        await driver.press("tab", "tab", "x", "enter")
        await driver.sees("is a number of tokens")
        await driver.press("escape")
        await driver.sees_no("Ask questions")


async def test_a_model_at_an_address_is_asked_beside_the_others(
    open_suites: OpenSuites, asked: SuiteRun, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.suites.driver.start_driver", lambda home, suite_run: None)
    async with open_suites(size=(80, 24)) as driver:
        await driver.sees("questions v1", "first look")
        await driver.press("n")
        await driver.sees("[x] emoji-r16", "an API")
        await driver.press("a")
        await driver.sees("the environment variable")
        for text in ("http://127.0.0.1:9/v1", "far"):
            await driver.press(*({"/": "slash", ".": "full_stop", ":": "colon"}.get(one, one) for one in text), "tab")
        await driver.press("enter")
        await driver.sees("[x] far", "at 127.0.0.1", "3 prompts for 3 models")
        await driver.press("enter")
        await driver.wait(lambda: isinstance(driver.app.screen, SuiteRunScreen))
    run = store.suites.list()[0]
    assert run.models[-1] == "api:far"
    assert run.sampling["endpoints"]["api:far"] == {"url": "http://127.0.0.1:9/v1", "key_env": ""}
    assert list(known_endpoints(home)) == ["api:far"]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_answers_stand_side_by_side(open_suites: OpenSuites, asked: SuiteRun, size: tuple[int, int]) -> None:
    async with open_suites(size=size) as driver:
        await driver.sees("first look", "✓ done")
        await driver.press("tab", "enter")
        await driver.sees("first look", "1 starter", "2 emoji-r8", "2× Name a colour.", "═ the same", "1 error")
        assert "Name a [bold]number[/bold]." in driver.text() or size[0] == 80, "nothing is markup"
        await driver.wait(lambda: driver.line("starter ").split()[:3] == ["1", "starter", "4"])
        if size[0] == 80:
            assert "emoji-r16" not in driver.line("# prompt")
            await driver.press("right_square_bracket")
            await driver.sees("models 1, 3 of 3", "✗ The prompt is too long", "RED. ⏎ GREEN.")
            await driver.press("j", "enter")
            await driver.sees("prompt 2 of 3 · numbers · models 1, 3 of 3", "ONE HUNDRED")
            await driver.press("escape", "left_square_bracket")
            await driver.sees("models 1, 2 of 3")
        else:
            await driver.sees("✗ The prompt is too long.", "colours", "One hundred Surely.")


async def test_errors_of_a_run_that_is_over_are_asked_again(
    open_suites: OpenSuites, asked: SuiteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(home: Home, suite_run: str) -> None:
        command = [sys.executable, "-m", "tests.engine.suite_stand_in", str(home.root), suite_run, "0"]
        started.append(subprocess.Popen(command, cwd=SOURCE, start_new_session=True))

    monkeypatch.setattr("engine.suites.driver.start_driver", start)
    async with open_suites() as driver:
        await driver.sees("first look")
        await driver.press("tab", "enter")
        await driver.sees("✓ done", "1 error")
        await driver.press("R")
        await driver.sees("✓ done", "emoji-r16")
        await driver.sees_no("1 error")
        assert started[0].wait(10) == 0


@pytest.mark.parametrize("size", [(24, 6), (40, 12)])
async def test_a_small_terminal_breaks_nothing(open_suites: OpenSuites, asked: SuiteRun, size: tuple[int, int]) -> None:
    async with open_suites(size=size) as driver:
        await driver.wait(lambda: not driver.app.screen.has_class("-no-runs") and "quest" in driver.text())
        await driver.press("tab", "enter")
        await driver.wait(lambda: isinstance(driver.app.screen, SuiteRunScreen))
        await driver.wait(lambda: "done" in driver.text())
        await driver.press("right_square_bracket", "f", "enter")
        await driver.sees("prompt 1 of 3")


async def test_words_and_categories_narrow_the_prompts(open_suites: OpenSuites, asked: SuiteRun) -> None:
    async with open_suites() as driver:
        await driver.sees("first look")
        await driver.press("tab", "enter")
        await driver.sees("Name a colour.", "Name a prime.")
        await driver.press("c", "c")
        await driver.sees("only numbers")
        await driver.sees_no("Name a colour.")
        await driver.press("slash")
        await driver.type("course")
        await driver.sees("1 of 3")
        await driver.press("enter")
        await driver.sees_no("Name a [bold]")
        await driver.press("escape", "c")
        await driver.sees("Name a colour.", "Name a prime.")
        await driver.press("slash")
        await driver.type("nowhere")
        await driver.sees("0 of 3", "has these words")


async def test_figures_are_shown_by_category(open_suites: OpenSuites, asked: SuiteRun) -> None:
    async with open_suites(size=(160, 36)) as driver:
        await driver.sees("first look")
        await driver.press("tab", "enter")
        await driver.wait(lambda: driver.line("starter ").split()[:3] == ["1", "starter", "4"])
        assert driver.line("2 emoji-r8")
        await driver.press("c")
        await driver.sees("only colours")
        await driver.wait(lambda: driver.line("starter ").split()[:3] == ["1", "starter", "2"])
        await driver.press("c", "c", "f")
        await driver.sees("category", "prompts")
        await driver.wait(lambda: driver.line("colours ").split()[:5] == ["colours", "1", "4.0", "tok", "1.00×"])
        assert "1 err" in driver.line("numbers "), driver.text()
        await driver.press("f")
        await driver.sees_no("tok")


@pytest.mark.parametrize("looked_at", [True, False])
async def test_a_run_is_shown_when_the_dataset_of_its_suite_is_gone(
    open_suites: OpenSuites, asked: SuiteRun, home: Home, store: Store, looked_at: bool
) -> None:
    library = DatasetLibrary(home, store)
    if looked_at:
        suite_of(library, asked)
    library.remove(asked.suite)
    library.close()
    async with open_suites() as driver:
        await driver.sees("first look", "removed")
        await driver.press("tab", "enter")
        await driver.sees("✓ done", "removed", "2× Name a colour." if looked_at else "2× (This prompt")
        assert "arena" not in driver.text()
        await driver.press("enter")
        await driver.sees("prompt 1 of 3", "Red.", "Green.")


async def test_a_prompt_opens_with_what_differs_marked(open_suites: OpenSuites, asked: SuiteRun) -> None:
    async with open_suites(size=(120, 36)) as driver:
        await driver.sees("first look")
        await driver.press("tab", "enter")
        await driver.sees("Name a prime.")
        await driver.press("enter")
        await driver.sees(
            "prompt 1 of 3 · colours", "› Name a colour.", "› Name another.", "reference  Red.", "the same"
        )
        line = driver.line("1 starter")
        assert line.index("1 starter") < line.index("2 emoji-r8") < line.index("3 emoji-r16")
        await driver.press("j")
        await driver.sees("prompt 2 of 3", "One hundred Surely.", "changed")
        assert "\x1b" not in driver.text()
        await driver.press("d")
        await driver.sees_no("changed")
        await driver.press("j", "j", "d")
        await driver.sees("prompt 3 of 3", "The prompt is too long.")
        await driver.press("escape")
        await driver.sees("first look", "✓ done")
        await driver.press("enter")
        await driver.sees("prompt 3 of 3")


async def test_a_suite_run_is_exported_and_removed(
    open_suites: OpenSuites, asked: SuiteRun, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_suites() as driver:
        await driver.sees("first look")
        await driver.press("tab", "e")
        await driver.sees("Write the answers to")
        await driver.press("enter")
        await driver.wait((tmp_path / "first look.md").exists)
        await driver.press("x")
        await driver.sees("Remove first look?")
        await driver.press("y")
        await driver.sees("No model was asked yet")
        assert store.suites.list() == []


async def test_the_arena_opens_on_the_suite(open_suites: OpenSuites, asked: SuiteRun) -> None:
    from tui.screens.arena import ArenaScreen

    async with open_suites() as driver:
        await driver.sees("first look")
        await driver.press("tab", "b")
        await driver.wait(lambda: any(isinstance(screen, ArenaScreen) for screen in driver.app.screen_stack))
