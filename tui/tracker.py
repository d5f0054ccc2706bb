"""Live runs, fanned out: one poll of the run manager, one signal that screens subscribe to."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from textual.signal import Signal

from tui.errors import explain
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from textual.app import App

    from tui.services import Services

POLL_S = 0.5
IDLE_POLL_S = 1.0
"""Between two polls while nothing has changed for `IDLE_AFTER`: what another process launches shows by then."""
IDLE_AFTER = 20
FIRST_POLL_S = 0.2
"""The list of runs is read first: what the manager imports takes longer, and threads share the processor."""
KEY_S = 0.12
"""So long after a key no poll begins: what the key asked for is drawn first."""
TOAST_S = 20.0
"""So long what the store's disk needs stays on the screen."""
PATIENCE_S = 0.5
"""A poll waits no longer than this for keys to pause."""


class RunTracker:
    """Asks the manager twice a second which runs changed, in a thread of its own, and publishes their ids.

    However many runs write however much, screens hear of it as often as that, and once for all of them.
    """

    def __init__(self, app: "App[Any]") -> None:
        self.changed: Signal[set[str]] = Signal(app, "runs-changed")
        """Ids of runs with new events, another state or another name. Published on the loop."""
        self.problem = ""
        """What made the last poll fail, in one line; empty when it did not. A toast says what to do about it."""
        self._app = app
        self._now = asyncio.Event()
        self._key_at = -KEY_S

    async def run(self, services: "Services") -> None:
        """Poll until cancelled."""
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(1, thread_name_prefix="tracker")
        quiet = 0
        try:
            await asyncio.sleep(FIRST_POLL_S)
            while True:
                await self._after_keys()
                try:
                    changed = await loop.run_in_executor(executor, _poll, services)
                except Exception as error:  # whatever it was, the next poll may work: say it and go on
                    changed, problem = set(), self._tell(error)
                else:
                    problem = ""
                if changed or problem != self.problem:
                    self.problem = problem
                    self.changed.publish(changed)
                quiet = 0 if changed else quiet + 1
                try:
                    await asyncio.wait_for(self._now.wait(), IDLE_POLL_S if quiet > IDLE_AFTER else POLL_S)
                except TimeoutError:
                    continue
                self._now.clear()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _tell(self, error: Exception) -> str:
        """What went wrong, in one line. Why, and what to do, is said once, and again when it comes back."""
        parts = explain(error)
        problem = clean_line(parts.what if hasattr(error, "what") else f"{type(error).__name__}: {error}")
        if problem != self.problem:
            advice = clean("\n".join(filter(None, (parts.why, parts.fix))))
            self._app.notify(advice or " ", title=problem, severity="error", timeout=TOAST_S, markup=False)
        return problem

    async def _after_keys(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while (now := time.monotonic()) < (rest := min(until, self._key_at + KEY_S)):
            await asyncio.sleep(rest - now)

    def key_pressed(self) -> None:
        """Let a key be answered before the next poll."""
        self._key_at = time.monotonic()

    def poll_now(self) -> None:
        """Do not wait for the next turn; for use right after a launch or a stop."""
        self._now.set()

    def announce(self, *run_ids: str) -> None:
        """Tell every screen that these runs changed by the user's own hand: a rename, a tag, a removal."""
        self.changed.publish(set(run_ids))


def _poll(services: "Services") -> set[str]:
    services.build()
    return services.manager.refresh()
