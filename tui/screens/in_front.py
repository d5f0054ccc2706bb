"""Screens that may be told to go, or to make way, while something lies over them or another mode is in front."""

from collections.abc import Callable
from typing import TypeVar

from textual import events, on
from textual.screen import Screen

Answer = TypeVar("Answer")


class InFront(Screen[Answer]):
    """Textual's `dismiss`, `pop_screen` and `switch_screen` act on the screen on top, whichever that is."""

    _due: Callable[[], object] | None = None

    def when_in_front(self, act: Callable[[], object]) -> None:
        """Call `act` now, or as soon as this screen is on top again; what was asked for last counts."""
        if self.is_active:
            act()
        else:
            self._due = act

    @on(events.ScreenResume)
    def _act_now(self) -> None:
        if self._due is not None and self.is_active:
            act, self._due = self._due, None
            act()
