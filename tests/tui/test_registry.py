"""The registry on the screen: versions and their cards, promoting, going back, comparing, registering, removing."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from engine.home import Home
from engine.registry.folder import NameDir
from engine.registry.keeping import promote
from engine.registry.registering import register
from engine.runs.rundir import RunDir
from store import Store
from store.evaluation_records import Evaluation, Measured
from tests.tui.chats import with_adapter
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.registry import RegistryScreen
from tui.screens.registry_add import register_run

HOSTILE = "[red]warm[/] [@click=app.quit]x\x1b]52;c;x\x07"
OpenRegistry = Callable[..., AbstractAsyncContextManager[Driver]]


@pytest.fixture
def open_registry(make_app: MakeApp) -> OpenRegistry:
    @asynccontextmanager
    async def start(
        size: tuple[int, int] = (100, 30), *, theme: str = "", notifications: bool = True
    ) -> AsyncIterator[Driver]:
        async with make_app(size, theme=theme, notifications=notifications) as driver:
            await driver.app.push_screen(RegistryScreen())
            yield driver

    return start


@pytest.fixture
def tuned(runs: SampleRuns) -> SampleRuns:
    """Two runs with different adapters."""
    for number, (run_id, name) in enumerate((("r1emoji0000", "emoji-r8"), ("r2emoji0000", "emoji-r16")), 1):
        run = with_adapter(runs, run_id, name, age_s=9_000 / number, lora_r=8 * number)
        (RunDir(Path(run.dir)).adapter / "adapter_model.safetensors").write_bytes(bytes([number]))
    return runs


@pytest.fixture
def registered(home: Home, store: Store, tuned: SampleRuns) -> None:
    """`emoji` with two versions, the first promoted and evaluated."""
    for run_id, description in (("r1emoji0000", HOSTILE), ("r2emoji0000", "Higher rank.")):
        run = store.runs.get(run_id)
        assert run is not None
        models = ("base:starter", run_id)
        store.evaluations.add(Evaluation(f"e{run_id}", 1.0, "e", "split", "d1", "test", models, {}, 40, 2.0))
        rouge = 0.4 if run_id == "r1emoji0000" else 0.6
        figures = [Measured(f"e{run_id}", 1, "rouge_l", rouge, rouge - 0.05, rouge + 0.05, 40, 0.1, 0.05, 0.15, 0.001)]
        store.evaluations.set_figures(f"e{run_id}", figures)
        register(home, store, run, "emoji", description=description, tags=["warm"])
    promote(home, store, "emoji", 1)


async def test_without_anything_it_says_how_to_register(open_registry: OpenRegistry) -> None:
    async with open_registry((80, 24)) as driver:
        await driver.sees("Nothing is registered yet.", "Press n to register")
        await driver.press("n")
        await driver.sees("No run has an adapter yet")


async def test_a_run_is_registered_by_keyboard(open_registry: OpenRegistry, tuned: SampleRuns, store: Store) -> None:
    async with open_registry() as driver:
        await driver.sees("Nothing is registered yet.")
        await driver.press("n")
        await driver.sees("Register the adapter of", "emoji-r16", "emoji-r8")
        await driver.press("enter")
        await driver.sees("Register emoji-r16", "Its first version: emoji-r16@1")
        await driver.press("end", "slash")
        await driver.sees("An adapter cannot be registered as")
        await driver.press("enter", "backspace", "tab")
        await driver.type("For mails")
        await driver.press("tab")
        await driver.type("warm, short")
        await driver.press("enter")
        await driver.sees("emoji-r16 is emoji-r16@1.", "A qlora adapter for starter", "For mails")
        version = store.registry.get("emoji-r16", 1)
        assert version is not None and version.tags == ("warm", "short")
        assert driver.line("emoji-r16").split()[1] == "v1", "none was promoted"


@pytest.mark.parametrize(("size", "theme"), [((80, 24), "finetui-dark"), ((200, 60), "finetui-light")])
async def test_versions_and_the_card(
    open_registry: OpenRegistry, registered: None, size: tuple[int, int], theme: str
) -> None:
    async with open_registry(size, theme=theme) as driver:
        await driver.sees("emoji-r16", "★ v1", "rouge_l 0.6", "A qlora adapter for starter", "Higher rank.")
        lines = driver.text().splitlines()
        first = next(place for place, line in enumerate(lines) if "emoji-r16" in line)
        assert lines[first].split()[:2] == ["emoji", "v2"] and lines[first + 1].split()[:2] == ["★", "v1"]
        assert ("about" in lines[first - 1]) == (size[0] >= 140)
        await driver.press("j")
        await driver.sees("[red]warm[/] [@click=app.quit]x")
        assert "\x1b" not in driver.text() and "library_name" not in driver.text()
        await driver.press("enter")
        await driver.sees_no("rouge_l 0.6")
        await driver.press("end")
        await driver.sees("lora_r" if size[1] > 40 else "backend")
        await driver.press("escape")
        await driver.sees("rouge_l 0.6")


async def test_promoting_and_going_back_ask_first(open_registry: OpenRegistry, registered: None, store: Store) -> None:
    async with open_registry() as driver:
        await driver.sees("★ v1")
        assert "roll back" not in driver.text().splitlines()[-1]
        await driver.press("p")
        await driver.sees("Promote emoji@2?", "v1 now; b goes back")
        await driver.press("n")
        await driver.sees_no("Promote emoji@2?")
        assert store.registry.promotions("emoji")[-1].version == 1
        await driver.press("p", "y")
        await driver.sees("★ v2", "emoji means emoji@2 now.")
        await driver.press("b")
        await driver.sees("Roll emoji back?", "emoji then means v1 again")
        await driver.press("y")
        await driver.sees("★ v1", "emoji means v1 again.")


async def test_a_version_is_compared_with_the_one_before(open_registry: OpenRegistry, registered: None) -> None:
    async with open_registry((80, 24)) as driver:
        await driver.sees("★ v1")
        await driver.press("c")
        await driver.sees(
            "v1 → v2", "v2 is better in ROUGE-L, beyond the 95 % intervals.", "lora_r", "ROUGE-L on d1 test"
        )
        line = driver.line("ROUGE-L on d1 test")
        assert line.split()[-3:] == ["0.4000", "0.6000", "better"] or line.split()[-3:] == ["0.4", "0.6", "better"]
        assert driver.line("lora_r").split() == ["lora_r", "8", "16"]
        await driver.press("escape")
        await driver.sees("★ v1", "Higher rank.")


async def test_words_change_and_files_are_checked(
    open_registry: OpenRegistry, registered: None, store: Store, home: Home
) -> None:
    async with open_registry() as driver:
        await driver.sees("Higher rank.")
        await driver.press("d")
        await driver.sees("About emoji@2", "the adapter stays as it is")
        await driver.press("end", "exclamation_mark", "enter")
        await driver.sees("The card of emoji@2 is written anew.", "Higher rank.!")
        await driver.press("v")
        await driver.sees("every file is what was registered")
        weights = NameDir.of(home, "emoji").version(2).adapter / "adapter_model.safetensors"
        weights.chmod(0o600)
        weights.write_bytes(b"other")
        await driver.press("v")
        await driver.sees("is not what was registered", "Bring the files back")
        await driver.press("escape")
        store.evaluations.delete("er2emoji0000")
        await driver.press("u")
        await driver.sees("The card of emoji@2 is up to date.")


async def test_a_version_is_removed_but_not_the_promoted_one(
    open_registry: OpenRegistry, registered: None, store: Store
) -> None:
    async with open_registry() as driver:
        await driver.sees("★ v1")
        await driver.press("j", "x")
        await driver.sees("Remove emoji@1?")
        await driver.press("y")
        await driver.sees("emoji@1 is what emoji means now.")
        await driver.press("escape", "k", "x")
        await driver.sees("Remove emoji@2?")
        await driver.press("y")
        await driver.sees("emoji@2 is removed.")
        assert [one.version for one in store.registry.versions("emoji")] == [1]


async def test_the_palette_opens_it_and_a_card_that_is_gone_is_told(
    make_app: MakeApp, registered: None, home: Home
) -> None:
    NameDir.of(home, "emoji").version(2).card.unlink()
    async with make_app((100, 30)) as driver:
        await driver.press("ctrl+p")
        await driver.type("registry")
        await driver.sees("Go to Registry")
        await driver.press("enter")
        await driver.sees("★ v1", "The card of emoji@2 cannot be read.", "Press u")
        await driver.press("u")
        await driver.sees("A qlora adapter for starter")


async def test_a_run_registered_again_is_offered_its_name(make_app: MakeApp, registered: None) -> None:
    async with make_app((100, 30), notifications=True) as driver:
        screen = RegistryScreen()
        await driver.app.push_screen(screen)
        await driver.sees("★ v1")
        register_run(screen, "r1emoji0000")
        await driver.sees("A new version beside 2 of emoji; v1 stays promoted.")
        await driver.press("enter")
        await driver.sees_no("Register emoji-r8")
        await driver.sees("emoji@3")
