"""The modes of the app, and the ways from one screen to another. Screens are imported when they are opened."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import App
from textual.screen import Screen
from textual.widget import AwaitMount

from tui import messages
from tui.widgets.header import HeaderStrip

if TYPE_CHECKING:
    from tui.screens.chat import ChatScreen
    from tui.screens.compare import CompareScreen
    from tui.screens.datasets import DatasetsScreen
    from tui.screens.new_run import NewRunScreen
    from tui.screens.run import RunScreen

AT_ONCE_S = 0.001

SCREENS = {
    "runs": ("tui.screens.runs", "RunsScreen"),
    "datasets": ("tui.screens.datasets", "DatasetsScreen"),
    "new_run": ("tui.screens.new_run", "NewRunScreen"),
    "compare": ("tui.screens.compare", "CompareScreen"),
    "chat": ("tui.screens.chat", "ChatScreen"),
    "queue": ("tui.screens.queue", "QueueScreen"),
}


def _make_screen(mode: str) -> Screen[None]:
    module, name = SCREENS[mode]
    return cast("Screen[None]", getattr(import_module(module), name)())


class ModesApp(App[None]):
    """An app of several modes, each with screens one over the other."""

    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        mode: partial(_make_screen, mode) for mode in SCREENS
    }
    DEFAULT_MODE = "runs"

    def __init__(self) -> None:
        super().__init__()
        self._built: set[str] = {self.DEFAULT_MODE}
        """The modes that were there before."""
        self._is_built = False
        """Whether one of them is being switched to."""

    def switch_mode(self, mode: str) -> AwaitMount:
        self._is_built = mode in self._built
        self._built.add(mode)
        try:
            return super().switch_mode(mode)
        finally:
            self._is_built = False

    def delay_update(self, delay: float = 0.05) -> None:
        """Textual hides so long how a mode is built. One that was built before is shown at once."""
        super().delay_update(AT_ONCE_S if self._is_built else delay)

    async def action_mode(self, mode: str) -> None:
        """Switch to a mode; switching to the one at hand goes back to its first screen."""
        if mode == self.current_mode:
            while len(self.screen_stack) > 1:
                await self.pop_screen()
        else:
            await self.switch_mode(mode)

    async def show_in(self, mode: str, screen: Screen[None]) -> None:
        """Show `screen` over the first one of a mode."""
        await self._first_screen(mode)
        await self.push_screen(screen)

    async def _first_screen(self, mode: str) -> Screen[object]:
        await self.switch_mode(mode)
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        return self.screen

    @on(HeaderStrip.ModeClicked)
    async def _mode_clicked(self, event: HeaderStrip.ModeClicked) -> None:
        await self.action_mode(event.mode)

    @on(messages.OpenRun)
    async def _open_run(self, event: messages.OpenRun) -> None:
        from tui.screens.run import RunScreen

        if not self.is_screen_installed("run"):
            self.install_screen(RunScreen(), "run")
        screen = cast("RunScreen", self.get_screen("run"))
        if await screen.open(event.run_id) and self.screen is not screen:
            await self._first_screen("runs")
            await self.push_screen("run")

    @on(messages.NewRunLike)
    async def _new_run_like(self, event: messages.NewRunLike) -> None:
        screen = cast("NewRunScreen", await self._first_screen("new_run"))
        screen.show_like(event.run_id, event.dataset_id)

    @on(messages.CompareRuns)
    async def _compare_runs(self, event: messages.CompareRuns) -> None:
        cast("CompareScreen", await self._first_screen("compare")).show_runs(event.run_ids)

    @on(messages.ChatWith)
    async def _chat_with(self, event: messages.ChatWith) -> None:
        cast("ChatScreen", await self._first_screen("chat")).show_runs(event.run_ids)

    @on(messages.OpenSweeps)
    async def _open_sweeps(self, event: messages.OpenSweeps) -> None:
        from tui.screens.sweep import SweepScreen
        from tui.screens.sweeps import SweepsScreen

        await self._first_screen("queue")
        await self.push_screen(SweepsScreen())
        if event.sweep_id:
            await self.push_screen(SweepScreen(event.sweep_id))

    @on(messages.OpenDataset)
    async def _open_dataset(self, event: messages.OpenDataset) -> None:
        cast("DatasetsScreen", await self._first_screen("datasets")).show_dataset(event.dataset_id)
