"""The app as a person meets it: a home with runs in it, keys pressed, the screen read back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from engine.home import Home
from store import Store, open_store
from tests.tui.sample_runs import SampleRuns, fill
from tui.app import FinetuiApp

if TYPE_CHECKING:
    from tests.tui.chats import OpenChat

PATIENCE_S = 60.0
FRAME_S = 1 / 15
"""Between two pictures. Nobody looks at sixty in a second, and drawing is a third of what these tests take."""


class Driver:
    """Presses keys and reads the screen."""

    def __init__(self, app: FinetuiApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type text into what is in focus."""
        for character in text:
            await self.pilot.press(
                {" ": "space", ":": "colon", "-": "minus", "#": "number_sign"}.get(character, character)
            )

    def text(self) -> str:
        """What is on the screen, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    def line(self, word: str) -> str:
        """The first line on the screen that has `word` in it; empty where there is none."""
        return next((line for line in self.text().splitlines() if word in line), "")

    async def wait(self, condition: Callable[[], Any]) -> Any:
        """What `condition` returns once that is true. Fails with the screen's text when it does not become so."""
        give_up = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert time.monotonic() < give_up, f"it did not happen in time; the screen says\n{self.text()}"
            await asyncio.sleep(0.02)
            await self.pilot.pause()
        return value

    async def sees(self, *words: str) -> None:
        """Wait until all of `words` are on the screen."""
        await self.wait(lambda: all(word in self.text() for word in words))

    async def sees_no(self, *words: str) -> None:
        """Wait until none of `words` is on the screen."""
        await self.wait(lambda: not any(word in self.text() for word in words))

    def picture(self, name: str) -> Path:
        """Save what is on the screen as SVG, to look at it."""
        return Path(self.app.save_screenshot(f"{name}.svg"))


PARSE = Stylesheet._parse_rules
PARSED: dict[tuple[Any, ...], list[Any]] = {}
"""Rules by the text that they were parsed from and the colours in it."""


def parsed_once(sheet: Stylesheet, css: str, *about: Any, **more: Any) -> list[Any]:
    """Every app has the same styles; each would parse them anew, an eighth of what these tests take."""
    key = (frozenset(sheet._variables.items()), css, about, frozenset(more.items()))
    if key not in PARSED:
        PARSED[key] = PARSE(sheet, css, *about, **more)
    return PARSED[key]


MakeApp = Callable[..., AbstractAsyncContextManager[Driver]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    """The store of `home`."""
    opened = open_store(home.db)
    yield opened
    opened.close()


@pytest.fixture
def runs(home: Home, store: Store) -> Iterator[SampleRuns]:
    """Makes sample runs in `home`; there are none yet."""
    made = SampleRuns(home, store)
    yield made
    made.close()


@pytest.fixture
def filled(runs: SampleRuns) -> SampleRuns:
    """Sample runs of each kind."""
    fill(runs)
    return runs


@pytest.fixture
def make_app(home: Home, monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """`async with make_app(size=(120, 36)) as driver`: the app on `home`, its services ready."""
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr("textual.screen.UPDATE_PERIOD", FRAME_S)
    monkeypatch.setattr(Stylesheet, "_parse_rules", parsed_once)

    @asynccontextmanager
    async def start(
        size: tuple[int, int] = (120, 36),
        *,
        ready: bool = True,
        open_run: str | None = None,
        theme: str = "",
        notifications: bool = False,
    ) -> AsyncIterator[Driver]:
        app = FinetuiApp(home, open_run=open_run)
        if not notifications:  # they cover nothing, and are still there when they are looked for
            monkeypatch.setattr(app, "NOTIFICATION_TIMEOUT", PATIENCE_S)
        if theme:
            app.theme = theme
        async with app.run_test(size=size, notifications=notifications) as pilot:
            driver = Driver(app, pilot)
            if ready:
                await driver.wait(lambda: app.is_ready)
                await pilot.pause()
            yield driver

    return start


# The chat


@pytest.fixture
def open_chat(make_app: MakeApp) -> "OpenChat":
    """`async with open_chat("r1", size=(120, 36)) as chat`: the chat with these runs, or the default ones."""
    from tests.tui.chats import chat_opener

    return chat_opener(make_app)


@pytest.fixture
def two(runs: SampleRuns) -> SampleRuns:
    """Two runs that left an adapter, r1emoji0000 and, newer, r2emoji0000."""
    from tests.tui.chats import with_adapter

    with_adapter(runs, "r1emoji0000", "emoji-r8", age_s=9_000)
    with_adapter(runs, "r2emoji0000", "emoji-r16", age_s=600)
    return runs
