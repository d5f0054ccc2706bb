"""Long work in front of a screen: what is being done, how far it is, and Esc to give it up.

`run_long` is all that a screen needs. The work runs in a thread and hears two things: `progress`, to be called with
shares from 0 to 1, and `cancelled`, which says whether somebody gave it up. Pass both on to the engine. Work that only
takes a `progress` is given up through it: it then raises `Cancelled`, which leaves nothing behind.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any, ClassVar, Generic, TypeVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from engine.errors import Cancelled
from tui.format import fmt_duration
from tui.screens.dialogs import Dialog, key_words
from tui.widgets.gauge import styled_bar

Found = TypeVar("Found")

Progress = Callable[[float], None]
"""Hears how much is done, 0 to 1. Raises `Cancelled` once the work was given up."""

GivenUp = Callable[[], bool]
"""Whether the work was given up."""

SHOWN_AFTER_S = 0.25
"""Work that is done sooner shows no dialog: a flash tells nobody anything."""
REFRESH_S = 0.1
LEFT_AFTER_S = 3.0
"""From when on it is said how long it still takes; before, that would be a guess."""


def run_long(
    screen: Screen[Any],
    title: str,
    work: Callable[[Progress, GivenUp], Found],
    then: Callable[[Found], object] | None = None,
    *,
    failed: Callable[[Exception], object] | None = None,
    given_up: Callable[[], object] | None = None,
) -> None:
    """Do `work(progress, cancelled)` in a thread with its progress before `screen`; then call `then` with its result.

    `title` says what is being done: “Validating emoji-chat v3”. What the work raises goes to `failed`, else into the
    error dialog. Where it was given up, `given_up` is called, if there is one, and nothing else. All of them are
    called on the loop, and none when `screen` is gone by then.
    """

    def done(outcome: "Outcome[Found] | None") -> None:
        if outcome is None or not screen.is_running:
            return
        if isinstance(outcome.error, Cancelled):
            if given_up is not None:
                given_up()
        elif outcome.error is not None:
            if failed is not None:
                failed(outcome.error)
                return
            from tui.errors import show_error

            show_error(screen.app, outcome.error, f"{title}: that did not work")
        elif then is not None and outcome.found is not None:
            then(outcome.found[0])

    screen.app.push_screen(WorkingDialog(title, work), done)


@dataclass(frozen=True)
class Outcome(Generic[Found]):
    """What came of the work: its result in a tuple of one, or what it raised."""

    found: tuple[Found] | None = None
    error: Exception | None = None


class WorkingDialog(Dialog[Outcome[Found] | None]):
    """A bar that fills while work is done in a thread. Esc gives the work up; the dialog waits until it has ended."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = "dialogs.tcss"
    DEFAULT_CSS = """
    WorkingDialog.-early { background: $background 0%; }
    WorkingDialog.-early > #box { display: none; }
    WorkingDialog #bar { margin-bottom: 1; height: 1; text-wrap: nowrap; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="dialog.cancel")]
    AUTO_FOCUS = ""

    def __init__(self, title: str, work: Callable[[Progress, GivenUp], Found]) -> None:
        super().__init__()
        self.title_text = title
        self._work = work
        self._share: float | None = None
        self._given_up = False
        self._started = time.monotonic()

    def compose(self) -> ComposeResult:
        with self.box():
            yield Static("", id="bar", markup=False)
            yield Static(key_words(("esc", "give up; nothing is kept")), classes="keys", markup=False)

    def on_mount(self) -> None:
        self.add_class("-early")
        self.set_timer(SHOWN_AFTER_S, partial(self.remove_class, "-early"))
        self.set_interval(REFRESH_S, self._show_share)
        self._show_share()
        self._do()

    @work(exclusive=True, group="work")
    async def _do(self) -> None:
        try:
            found = await asyncio.to_thread(self._work, self._progress, lambda: self._given_up)
        except Exception as error:  # the caller shows it, whatever it is
            outcome: Outcome[Found] = Outcome(error=error)
        else:
            outcome = Outcome((found,))
        if self.is_running:
            self.dismiss(outcome)

    def _progress(self, share: float) -> None:
        """In the thread."""
        if self._given_up:
            raise Cancelled
        self._share = share

    def _show_share(self) -> None:
        share, gone = self._share, time.monotonic() - self._started
        words = "" if share is None else f"  {min(share, 0.99):.0%}"
        if share and gone >= LEFT_AFTER_S:
            words += f"   {fmt_duration(gone / share * (1 - share))} left"
        elif gone >= LEFT_AFTER_S:
            words += f"   {fmt_duration(gone)}"
        if self._given_up:
            words = "  giving up …"
        room = max(10, self.query_one("#bar").size.width - len(words))
        self.query_one("#bar", Static).update(Content.assemble(styled_bar(share, min(40, room)), words))

    def action_cancel(self) -> None:
        """Ask the work to end. It does at its next step, and then this closes."""
        self._given_up = True
        self.remove_class("-early")
        self._show_share()

    def on_unmount(self, _: events.Unmount) -> None:
        self._given_up = True
