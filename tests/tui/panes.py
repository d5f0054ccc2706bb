"""A tab of a run's screen by itself, in an app that has nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, cast

from textual import on
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot

from engine.datasets.library import DatasetLibrary
from tests.tui.conftest import Driver
from tests.tui.sample_runs import SampleRuns
from tui.app import FinetuiApp
from tui.messages import OpenDataset, OpenRun, OpenSweeps
from tui.services import Services
from tui.themes import load_themes
from tui.widgets.run_pane import RunPane

Pane = TypeVar("Pane", bound=RunPane)


class PaneApp(App[None]):
    """Shows a pane and keeps what it asks the app for."""

    CSS_PATH = FinetuiApp.CSS_PATH

    def __init__(self, pane: RunPane, theme: str) -> None:
        super().__init__()
        self.pane = pane
        self.asked: list[Message] = []
        for one in load_themes():
            self.register_theme(one)
        if theme:
            self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        from tui.themes import series_colors

        return series_colors(dark=self.current_theme.dark)

    def compose(self) -> ComposeResult:
        yield self.pane

    @on(OpenRun)
    @on(OpenDataset)
    @on(OpenSweeps)
    def _keep(self, message: Message) -> None:
        self.asked.append(message)


class PaneDriver(Driver, Generic[Pane]):
    """Presses keys on a pane, and has it read its run."""

    def __init__(self, app: PaneApp, pilot: Pilot[None], pane: Pane, services: Services) -> None:
        super().__init__(cast(FinetuiApp, app), pilot)
        self.pane = pane
        self.services = services
        self.asked = app.asked

    async def read(self, run_id: str) -> Any:
        """Let the pane read the run as it is now, in a thread, and show that."""
        run = self.services.store.runs.get(run_id)
        assert run is not None
        found = await asyncio.to_thread(self.pane.read, self.services, run)
        self.pane.show(found)
        await self.pilot.pause()
        return found

    async def until(self, condition: Callable[[], Any], patience_s: float = 20.0) -> None:
        """Wait until that is true."""
        give_up = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < give_up, f"it did not happen in time; the screen says\n{self.text()}"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def showing(
    pane: Pane, runs: SampleRuns, run_id: str, *, size: tuple[int, int] = (120, 30), theme: str = "textual-dark"
) -> AsyncIterator[PaneDriver[Pane]]:
    """The pane of that run, with the keys."""
    library = DatasetLibrary(runs.home, runs.store)
    services = cast(Services, SimpleNamespace(home=runs.home, store=runs.store, library=library))
    app = PaneApp(pane, theme)
    async with app.run_test(size=size) as pilot:
        driver = PaneDriver(app, pilot, pane, services)
        pane.focus()
        await driver.read(run_id)
        yield driver
    library.close()
