"""Live runs, fanned out: one poll of the run manager, one signal that screens subscribe to."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from textual.signal import Signal

if TYPE_CHECKING:
    from textual.app import App

    from engine.runs.manager import RunManager

POLL_S = 0.5


class RunTracker:
    """Asks the manager twice a second which runs changed, in a thread of its own, and publishes their ids."""

    def __init__(self, app: "App[Any]") -> None:
        self.changed: Signal[set[str]] = Signal(app, "runs-changed")
        """Ids of runs with new events, another state or another name. Published on the loop."""
        self.problem = ""
        """Why the last poll failed, in one line; empty when it did not."""
        self._now = asyncio.Event()

    async def run(self, manager: "RunManager") -> None:
        """Poll until cancelled."""
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(1, thread_name_prefix="tracker")
        try:
            while True:
                try:
                    changed = await loop.run_in_executor(executor, manager.refresh)
                except Exception as error:  # whatever it was, the next poll may work: say it and go on
                    changed, problem = set(), f"{type(error).__name__}: {error}"
                else:
                    problem = ""
                if changed or problem != self.problem:
                    self.problem = problem
                    self.changed.publish(changed)
                try:
                    await asyncio.wait_for(self._now.wait(), POLL_S)
                except TimeoutError:
                    continue
                self._now.clear()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def poll_now(self) -> None:
        """Do not wait for the next turn; for use right after a launch or a stop."""
        self._now.set()

    def announce(self, *run_ids: str) -> None:
        """Tell every screen that these runs changed by the user's own hand: a rename, a tag, a removal."""
        self.changed.publish(set(run_ids))
