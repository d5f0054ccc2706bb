"""The app: global keys, services, themes. Imports nothing heavy."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, work
from textual.app import get_system_commands_provider
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.theme import Theme
from textual.timer import Timer

from engine.errors import BadInput
from tui import garbage, messages
from tui.driver import TerminalDriver
from tui.figures import Figures, Gauges
from tui.harmless import Harmless
from tui.modes import ModesApp
from tui.settings import load_settings, save_theme
from tui.themes import default_theme, load_themes, series_colors
from tui.tracker import RunTracker
from tui.widgets.header import MODE_TITLES, HeaderStrip

if TYPE_CHECKING:
    from engine.home import Home
    from tui.services import Services

FIGURES_S = 2.0
RESIZED_S = 0.05
"""So long after the last of several sizes everything is drawn again."""
MEND = "Mend the file or delete it; until then finetui uses its own settings."


def _commands(name: str) -> type[Provider]:
    return cast("type[Provider]", getattr(import_module("tui.commands"), name))


class FinetuiApp(ModesApp):
    """finetui in a terminal. `open_run` is the id of a run to show at once."""

    TITLE = "finetui"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {
        get_system_commands_provider,
        partial(_commands, "ScreenCommands"),
        partial(_commands, "RunCommands"),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"mode('{mode}')", title, id=f"mode.{mode}", show=False, tooltip=f"Go to {title}")
            for number, (mode, title) in enumerate(MODE_TITLES.items(), 1)
        ),
        Binding("ctrl+p", "command_palette", "commands", id="app.palette", show=False, tooltip="Find a command"),
        Binding("question_mark", "help", "help", id="app.help", key_display="?", tooltip="This screen and its keys"),
        Binding("f1", "help", "help", id="app.help_too", tooltip="This screen and its keys"),
        Binding("q", "quit", "quit", id="app.quit", show=False, tooltip="Quit; runs go on without the app"),
    ]

    def __init__(self, home: "Home", *, open_run: str | None = None) -> None:
        super().__init__()
        self.home = home
        self.open_run = open_run
        self.tracker = RunTracker(self)
        self.settings = load_settings(home.root / "settings.toml")
        self.figures: Figures | None = None
        self._services: Services | None = None
        self._waiting: list[Callable[[], object]] = []
        self._harmless = Harmless()
        self._resized: Timer | None = None
        for theme in load_themes():
            self.register_theme(theme)
        chosen = self.settings.theme
        self.theme = chosen if chosen in self.available_themes else default_theme(self.console.color_system)
        self.set_keymap(self.settings.keys)

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        return TerminalDriver if found is LinuxDriver else found

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._harmless]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours of curves, for themes that name none."""
        return series_colors(dark=self.current_theme.dark)

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        self.tracker.changed.subscribe(self, lambda _: self._show_figures())
        self.screen_change_signal.subscribe(self, lambda _: self._show_figures())
        self.call_after_refresh(self._start)

    @work(group="start")
    async def _start(self) -> None:
        """Open the store in a thread, then let everybody know who waits for it."""
        from tui.errors import show_error
        from tui.notices import RunTeller
        from tui.services import open_services

        try:
            self._services = await asyncio.to_thread(open_services, self.home)
        except Exception as error:  # shown, and the app ends when the dialog is closed
            show_error(self, error, "finetui cannot start", on_close=lambda: self.exit(return_code=2))
            return
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()
        if self.settings.problem:
            show_error(self, BadInput("The settings are not used.", why=self.settings.problem, fix=MEND), "Settings")
        teller = RunTeller(self, self._services.store, self.home.root / "settings.toml")
        self.tracker.changed.subscribe(self, teller.look)
        self.run_worker(self.tracker.run(self._services), group="tracker")
        self.run_worker(self._watch_figures(), group="figures")
        self._look_at_store()
        if self.open_run:
            self.post_message(messages.OpenRun(self.open_run))
        self.set_timer(garbage.SETTLED_S, garbage.settle)

    @work(thread=True, group="cautions", exit_on_error=False)
    def _look_at_store(self) -> None:
        """Say what about the store asks for care."""
        from engine.insight.checks.storing import cautions
        from tui.text import clean
        from tui.tracker import TOAST_S

        for check in cautions(self.home, self.services.store):
            self.notify(clean(check.fix), title=clean(check.found), severity="warning", timeout=TOAST_S, markup=False)

    @property
    def is_ready(self) -> bool:
        """Whether the services are there."""
        return self._services is not None

    @property
    def services(self) -> "Services":
        """The store and what is made of it. Raises `RuntimeError` before they are ready."""
        if self._services is None:
            raise RuntimeError("the services are not ready yet; use when_ready")
        return self._services

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the loop when the services are there: at once where they are."""
        if self.is_ready:
            callback()
        else:
            self._waiting.append(callback)

    def on_resize(self) -> None:
        """A terminal that was smaller for a moment has lost what stood there, though its last size is the old one."""
        if self._resized is not None:
            self._resized.stop()
        self._resized = self.set_timer(RESIZED_S, self._draw_all)

    def _draw_all(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.look_at_size()
        if self.screen_stack:
            self.screen.refresh(layout=True)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.tracker.key_pressed()
        await super().on_event(event)

    # The machine, the theme, the end

    async def _watch_figures(self) -> None:
        gauges = Gauges()
        while True:
            self.figures = await asyncio.to_thread(gauges.read)
            self._show_figures()
            await asyncio.sleep(FIGURES_S)

    def _show_figures(self) -> None:
        if not self.screen_stack:  # the app is being closed
            return
        for header in self.screen.query(HeaderStrip):
            header.figures = self.figures
            header.problem = self.tracker.problem

    def _keep_theme(self, theme: Theme) -> None:
        if self.settings.problem or theme.name == (self.settings.theme or default_theme(self.console.color_system)):
            return
        self.settings.theme = theme.name
        path = self.home.root / "settings.toml"
        self.run_worker(partial(save_theme, path, theme.name), thread=True, group="settings", exit_on_error=False)

    def action_help(self) -> None:
        """Explain the screen at hand."""
        from tui.screens.help import HelpScreen

        if not self.screen.is_modal:
            self.push_screen(HelpScreen(self.screen))

    def action_command_palette(self) -> None:
        from tui.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    async def action_quit(self) -> None:
        """Leave the app. Runs go on; the last line in the terminal says so."""
        live = len(await asyncio.to_thread(self.services.store.runs.live)) if self.is_ready else 0
        words = {0: None, 1: "1 run goes on; `finetui` shows it again."}
        self.exit(message=words.get(live, f"{live} runs go on; `finetui` shows them again."))

    async def on_unmount(self) -> None:
        """Give back what the services hold: model servers, the lock of who takes events in, the store's connections."""
        if self._services is not None:
            services, self._services = self._services, None
            await services.pool.close()
            await asyncio.to_thread(services.manager.close)
            await asyncio.to_thread(services.store.close)
