"""What every screen shares: the start, modes, help, the palette, themes, settings, dialogs, errors, the end."""

import asyncio
import subprocess
import sys
import threading
import tomllib
from functools import partial
from pathlib import Path

import pytest
from textual.command import Hits

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.app import FinetuiApp
from tui.commands import ScreenCommands
from tui.errors import explain, show_error
from tui.screens.dialogs import ConfirmDialog, Option, PickDialog, TextDialog
from tui.screens.sweep import SweepScreen
from tui.screens.working import run_long
from tui.settings import load_settings, save_theme
from tui.widgets.header import HeaderStrip
from tui.widgets.key_bar import MOST, KeyBar

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "pyarrow", "pydantic", "numpy", "pandas", "sqlite_utils")

FIRST_FRAME = """
import sys
from pathlib import Path
from engine.home import Home
from tui.app import FinetuiApp

class Measured(FinetuiApp):
    def on_mount(self):
        self.call_after_refresh(lambda: self.exit(sorted({name.partition(".")[0] for name in sys.modules})))

print(*Measured(Home(Path(sys.argv[1]))).run(headless=True))
"""


def test_nothing_heavy_is_imported_before_the_first_frame(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FRAME, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    modules = done.stdout.split()
    assert "textual" in modules
    assert [name for name in modules if name in (*HEAVY, "httpx", "psutil", "pynvml")] == []


async def test_the_modes_are_on_one_to_six(make_app: MakeApp) -> None:
    async with make_app() as driver:
        for key, mode in enumerate(("runs", "datasets", "new_run", "compare", "chat", "queue"), 1):
            driver.app.set_focus(None)
            await driver.press(str(key))
            await driver.wait(partial(_in_mode, driver, mode))
        assert "1 Runs" in driver.text()


def _in_mode(driver: Driver, mode: str) -> bool:
    return driver.app.current_mode == mode and getattr(driver.app.screen, "MODE", "") == mode


async def test_a_click_on_a_mode_opens_it(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        column = driver.text().splitlines()[0].index("6 Queue")
        await driver.pilot.click(offset=(column + 2, 0))
        await driver.wait(lambda: driver.app.current_mode == "queue")


async def test_a_modes_key_goes_back_to_its_first_screen(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("enter")
        await driver.sees("Recipe")
        await driver.press("1")
        await driver.wait(lambda: len(driver.app.screen_stack) == 1)


async def test_help_lists_the_keys_of_the_screen(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(size=(120, 90)) as driver:
        await driver.sees("emoji-next")
        await driver.press("question_mark")
        await driver.sees("Help: Runs", "Filter the list", "Everywhere", "Go to Chat")
        assert "Focus Next" not in driver.text()
        await driver.press("escape")
        await driver.press("f1")
        await driver.sees("Help: Runs")


async def test_the_palette_runs_an_action_of_the_screen(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("ctrl+p")
        await driver.wait(lambda: driver.app.screen.is_modal)
        await driver.type("order by")
        await driver.sees("Order by a column, a metric or a setting")
        await driver.press("enter")
        await driver.sees("Order the runs by")


async def test_enter_waits_for_what_was_typed(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the search takes: what an earlier text had found is never run."""
    search = ScreenCommands.search

    async def slow_search(self: ScreenCommands, query: str) -> Hits:
        await asyncio.sleep(0.5)
        async for hit in search(self, query):
            yield hit

    async with make_app() as driver:
        await driver.press("ctrl+p")
        await driver.wait(lambda: driver.app.screen.is_modal)
        await driver.type("go to")
        await driver.sees("Go to Runs", "Go to Datasets")
        monkeypatch.setattr(ScreenCommands, "search", slow_search)
        await driver.type(" sweeps")
        await driver.press("enter")
        await driver.sees("No sweeps yet.")


async def test_the_palette_opens_a_run_by_its_name(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("ctrl+p")
        await driver.wait(lambda: driver.app.screen.is_modal)
        await driver.type("support-dora")
        await driver.sees("Open run support-dora")
        await driver.press("down", "enter")
        await driver.sees("stopped; 20 steps kept", "Recipe")


async def test_the_key_bar_has_at_most_eight_keys_and_always_help(make_app: MakeApp, filled: SampleRuns) -> None:
    for size in ((80, 24), (200, 60)):
        async with make_app(size=size) as driver:
            await driver.sees("emoji-next")
            bar = driver.text().splitlines()[-1]
            assert bar.endswith("help")
            assert len(driver.app.screen.query_one(KeyBar)._spans) <= MOST
            assert "filter" in bar


async def test_the_theme_is_kept(make_app: MakeApp, home: Home) -> None:
    settings = home.root / "settings.toml"
    async with make_app() as driver:
        assert driver.app.theme == "finetui-dark"
        driver.app.theme = "finetui-light"
        await driver.wait(settings.exists)
        assert tomllib.loads(settings.read_text())["theme"] == "finetui-light"
    async with make_app() as driver:
        assert driver.app.theme == "finetui-light"


async def test_a_terminal_with_sixteen_colours_gets_a_theme_of_them(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv("TERM", "xterm-16color")
    async with make_app() as driver:
        assert driver.app.theme == "finetui-16"
        await driver.sees("emoji-next")
        await driver.press("enter", "question_mark")
        await driver.sees("Help: Run")


async def test_a_key_can_be_another_one(make_app: MakeApp, home: Home, filled: SampleRuns) -> None:
    (home.root / "settings.toml").write_text('[keys]\n"runs.sort" = "z"\n')
    async with make_app() as driver:
        await driver.sees("by started")
        await driver.press("o")
        await driver.pilot.pause()
        assert not driver.app.screen.is_modal
        await driver.press("z")
        await driver.sees("Order the runs by")


async def test_settings_that_cannot_be_read_are_said_and_not_written_over(make_app: MakeApp, home: Home) -> None:
    settings = home.root / "settings.toml"
    settings.write_text("theme = [")
    async with make_app() as driver:
        await driver.sees("settings are not used")
        await driver.press("escape")
        driver.app.theme = "nord"
        await driver.pilot.pause()
    assert settings.read_text() == "theme = ["


def test_saving_the_theme_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('theme = "nord"\n[keys]\n"app.quit" = "Q"\n')
    save_theme(path, "dracula")
    assert load_settings(path).theme == "dracula"
    assert load_settings(path).keys == {"app.quit": "Q"}


async def test_quitting_says_that_runs_go_on(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-next")
        await driver.press("q")
        await driver.wait(lambda: driver.app._exit)
        assert driver.app._exit_renderables == ["3 runs go on; `finetui` shows them again."]


async def test_a_home_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    app = FinetuiApp(Home(blocked / "home"))
    async with app.run_test(size=(100, 30)) as pilot:
        driver = Driver(app, pilot)
        await driver.sees("finetui cannot start", "cannot write to its home", "--home DIR")
        await driver.press("escape")
        await driver.wait(lambda: app._exit)
        assert app.return_code == 2


async def test_a_damaged_store_is_explained(make_app: MakeApp, home: Home) -> None:
    home.db.write_bytes(b"this is no database, not at all" * 100)
    async with make_app(ready=False) as driver:
        await driver.sees("finetui cannot start", "esc close")
        assert "Traceback" not in driver.text()


async def test_a_failing_poll_is_said_in_the_header_and_goes_away(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_app() as driver:
        manager = driver.app.services.manager
        refresh = manager.refresh

        def broken() -> set[str]:
            raise OSError("disk on fire")

        monkeypatch.setattr(manager, "refresh", broken)
        await driver.sees("disk on fire")
        monkeypatch.setattr(manager, "refresh", refresh)
        await driver.sees_no("disk on fire")


async def test_on_a_narrow_terminal_what_is_wrong_takes_the_place_of_the_titles(
    make_app: MakeApp, filled: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> set[str]:
        raise FinetuiError("The disk that holds the store /home/ann/finetui.db is full.")

    async with make_app((80, 24)) as driver:
        await driver.sees("6 Queue")
        manager = driver.app.services.manager
        with monkeypatch.context() as patch:
            patch.setattr(manager, "refresh", broken)
            await driver.sees(" finetui  1 Runs  2  3  4  5  6  The disk that holds the store /home/ann/finet…")
            await driver.pilot.click(HeaderStrip, offset=(driver.line("finetui ").index("6"), 0))
            await driver.sees("6 Queue", "2  3")
        await driver.sees("2 Datasets")


class TestDialogs:
    async def test_confirm(self, make_app: MakeApp) -> None:
        async with make_app() as driver:
            answers: list[bool | None] = []
            for key in ("y", "n", "escape", "enter"):
                driver.app.push_screen(ConfirmDialog("[red]Sure?", "[/] \x1b[31mreally", "do it"), answers.append)
                await driver.sees("[red]Sure?", "[/] really", "do it")
                await driver.press(key)
            assert answers == [True, False, False, True]

    async def test_text(self, make_app: MakeApp) -> None:
        async with make_app() as driver:
            answers: list[str | None] = []
            driver.app.push_screen(TextDialog("Name", "old"), answers.append)
            await driver.sees("Name", "old")
            await driver.type("new")
            await driver.press("enter")
            driver.app.push_screen(TextDialog("Name", "old"), answers.append)
            await driver.sees("old")
            await driver.press("escape")
            assert answers == ["new", None]

    async def test_pick_by_typing(self, make_app: MakeApp) -> None:
        async with make_app() as driver:
            answers: list[str | None] = []
            choices = [Option("a", "Alpha [bold]", "first"), Option("b", "Beta"), Option("c", "Gamma")]
            driver.app.push_screen(PickDialog("Which?", choices, selected="b"), answers.append)
            await driver.sees("Alpha [bold]", "Beta", "Gamma")
            await driver.press("down", "enter")
            driver.app.push_screen(PickDialog("Which?", choices), answers.append)
            await driver.sees("Alpha")
            await driver.type("firs")
            await driver.sees_no("Beta")
            await driver.press("enter")
            driver.app.push_screen(PickDialog("Which?", choices), answers.append)
            await driver.sees("Alpha")
            await driver.type("zzz")
            await driver.sees("nothing of that name")
            await driver.press("enter", "escape")
            assert answers == ["c", "a", None]

    async def test_an_error_says_what_why_and_what_now(self, make_app: MakeApp) -> None:
        async with make_app() as driver:
            show_error(driver.app, BadInput("It is [wrong].", why="Row 3.", fix="Mend it."), "Import")
            await driver.sees("Import", "It is [wrong].", "Row 3.", "Mend it.")
            await driver.press("escape")
            await driver.sees_no("Row 3.")

    async def test_one_that_is_done_takes_nothing_away_but_itself(self, make_app: MakeApp) -> None:
        async with make_app() as driver:
            done, found = threading.Event(), list[str]()
            run_long(driver.app.screen, "Validating", lambda *_: str(done.wait(30)), found.append)
            await driver.sees("Validating")
            show_error(driver.app, BadInput("It is wrong."))
            await driver.sees("It is wrong.")
            working = driver.app.screen_stack[-2]
            done.set()
            await driver.wait(lambda: not any(one.group == "work" for one in working.workers))
            assert "It is wrong." in driver.text() and found == []
            await driver.press("escape")
            await driver.wait(lambda: found == ["True"] and len(driver.app.screen_stack) == 1)

    async def test_one_that_is_done_behind_another_mode_goes_there(self, make_app: MakeApp) -> None:
        async with make_app() as driver:
            await driver.press("2")
            await driver.wait(partial(_in_mode, driver, "datasets"))
            done, found = threading.Event(), list[str]()
            run_long(driver.app.screen, "Validating", lambda *_: str(done.wait(30)), found.append)
            await driver.sees("Validating")
            working = driver.app.screen
            await driver.app.switch_mode("runs")  # as a run does that was launched a moment ago
            done.set()
            await driver.wait(lambda: not any(one.group == "work" for one in working.workers))
            assert _in_mode(driver, "runs")
            await driver.press("2")
            await driver.wait(lambda: found == ["True"] and _in_mode(driver, "datasets"))

    async def test_a_page_that_leaves_takes_nothing_away_but_itself(self, make_app: MakeApp) -> None:
        async with make_app() as driver:
            page = SweepScreen("s1")
            await driver.app.push_screen(page)
            await driver.wait(lambda: not isinstance(driver.app.screen, SweepScreen))  # there is no such sweep
            page = SweepScreen("s2")
            page.cannot_be_shown = lambda *_: None  # type: ignore[method-assign]
            await driver.app.push_screen(page)
            show_error(driver.app, BadInput("It is wrong."))
            page.leave()
            await driver.sees("It is wrong.")
            await driver.press("escape")
            await driver.wait(lambda: len(driver.app.screen_stack) == 1)
            assert _in_mode(driver, "runs")


def test_an_unexpected_error_names_its_place() -> None:
    try:
        raise KeyError("loss")
    except KeyError as error:
        parts = explain(error)
    assert "KeyError" in parts.why
    assert "test_shell.py" in parts.why
    assert parts.fix
