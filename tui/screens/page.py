"""What every screen shares: the header strip, the key bar, services, and work off the loop."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import WorkType

from tui.screens.in_front import InFront
from tui.text import clean_line
from tui.widgets.header import HeaderStrip
from tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from tui.app import FinetuiApp
    from tui.services import Services
    from tui.tracker import RunTracker

Found = TypeVar("Found")


class Page(InFront[None]):
    """A screen with the app's chrome. Subclasses write `compose_body` and set `MODE`, `TITLE` and `HELP`."""

    MODE: ClassVar[str] = ""
    """The mode that is marked in the header."""
    HELP: ClassVar[str] = ""
    """What this screen is for, in Markdown: the first part of its help."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="page.back", show=False, tooltip="Back to where you came from"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._styled_for = ""
        """The theme at hand when it was last in front."""
        self._broken = False

    def compose(self) -> ComposeResult:
        yield HeaderStrip(self.MODE)
        yield from self.compose_body()
        yield KeyBar()

    def compose_body(self) -> ComposeResult:
        """The widgets between the header and the key bar."""
        yield from ()

    @on(events.ScreenResume)
    def _keep_styles(self, event: events.ScreenResume) -> None:
        """Textual gives every widget its styles anew whenever a screen comes to the front, before its own handler runs.

        Once for each theme is enough: styles of hidden screens follow as well when a class changes.
        """
        event.refresh_styles = event.refresh_styles and self._styled_for != self.app.theme
        self._styled_for = self.app.theme

    @property
    def is_current(self) -> bool:
        """Whether any of it can be seen. Pages are opaque: one under another is drawn again once that is left.

        Textual takes the screen under the topmost for visible, whatever lies on it, and would paint the whole terminal
        at each of its changes.
        """
        if not super().is_current:
            return False
        stack = self.app.screen_stack
        return not any(isinstance(screen, Page) for screen in stack[stack.index(self) + 1 :])

    @property
    def finetui(self) -> "FinetuiApp":
        """The app, by its own type."""
        return cast("FinetuiApp", self.app)

    @property
    def services(self) -> "Services":
        """The store and what is made of it. `RuntimeError` before they are ready: use `when_ready` first."""
        return self.finetui.services

    @property
    def tracker(self) -> "RunTracker":
        """Live runs; `on_runs_changed` is how to listen to it."""
        return self.finetui.tracker

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the loop once the services are there, unless this screen is gone by then."""
        self.finetui.when_ready(lambda: callback() if self.is_running else None)

    def on_runs_changed(self, callback: Callable[[set[str]], object]) -> None:
        """Call `callback` with the ids of runs that changed, for as long as this screen is mounted."""
        self.tracker.changed.subscribe(self, callback)

    def in_thread(
        self,
        read: Callable[[], Found],
        then: Callable[[Found], object] | None = None,
        *,
        group: str,
        title: str | None = None,
        failed: Callable[[Exception], object] | None = None,
        exclusive: bool = True,
    ) -> None:
        """Run `read` in a thread, then `then` with its result on the loop.

        A newer call of the same `group` drops the older one, which may not even have begun: what writes is not
        `exclusive`. What `read` raises goes to `failed`, else
        into the error dialog under `title`.
        """
        # not the coroutine itself: a newer call may cancel this one before it starts
        work: WorkType[None] = partial(self._read, read, then, title, failed)
        self.run_worker(work, group=group, exclusive=exclusive)

    async def _read(
        self,
        read: Callable[[], Found],
        then: Callable[[Found], object] | None,
        title: str | None,
        failed: Callable[[Exception], object] | None,
    ) -> None:
        try:
            found = await asyncio.to_thread(read)
        except Exception as error:  # shown to the user, whatever it is
            if not self.is_running:
                return
            if failed is not None:
                failed(error)
                return
            from tui.errors import show_error

            show_error(self.app, error, title)
            return
        if then is not None and self.is_running:
            then(found)

    def action_back(self) -> None:
        """Leave a pushed screen; the first screen of a mode stays."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def leave(self) -> None:
        """Leave this screen, which was pushed, as soon as nothing lies over it."""
        self.when_in_front(self.app.pop_screen)

    def cannot_be_shown(self, error: Exception, title: str) -> None:
        """Say once why there is nothing to show, and leave."""
        from engine.errors import NotFound
        from tui.errors import show_error

        if self._broken:  # who looks again and again fails again and again
            return
        self._broken = True
        if isinstance(error, NotFound) and not error.why:  # it was removed, here or by another process
            self.notify(clean_line(error.what), severity="warning", markup=False)
            self.leave()
        else:
            show_error(self.app, error, title, on_close=self.leave)
