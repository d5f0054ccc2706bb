"""Waiting for a run to end, from any process."""

import time
from collections.abc import Callable

from engine.errors import NotFound
from engine.runs.manager import RunManager
from store import Store
from store.records import Run

POLL_S = 0.3


def follow(
    manager: RunManager, store: Store, run_id: str, on_look: Callable[[Run], None], poll_s: float = POLL_S
) -> Run:
    """Look at the run until it has ended; the run as it ended. `on_look` sees it each time.

    Raises `NotFound` where it is removed meanwhile. Interrupting this leaves the run as it is.
    """
    while True:
        manager.refresh()
        run = store.runs.get(run_id)
        if run is None:
            raise NotFound(f"The run {run_id} was removed while it was waited for.")
        on_look(run)
        if not run.status.live:
            return run
        time.sleep(poll_s)
