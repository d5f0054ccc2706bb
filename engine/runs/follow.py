"""Waiting for a run to end, from any process."""

import time
from collections.abc import Callable
from typing import TypeVar

from engine.errors import NotFound
from engine.runs.manager import RunManager
from store import Store, StoreError
from store.records import Run

POLL_S = 0.3
PATIENCE_S = 600.0
"""So long the store may be in the way of whoever waits."""

Found = TypeVar("Found")


def follow(
    manager: RunManager,
    store: Store,
    run_id: str,
    on_look: Callable[[Run], None],
    poll_s: float = POLL_S,
    on_trouble: Callable[[StoreError], None] = lambda _: None,
) -> Run:
    """Look at the run until it has ended; the run as it ended. `on_look` sees it each time.

    Raises `NotFound` where it is removed meanwhile, and as `patiently`. Interrupting this leaves the run as it is.
    """

    def look() -> Run | None:
        manager.look()
        return store.runs.get(run_id)

    while True:
        run = patiently(look, on_trouble)
        if run is None:
            raise NotFound(f"The run {run_id} was removed while it was waited for.")
        on_look(run)
        if not run.status.live:
            return run
        time.sleep(poll_s)


def patiently(
    work: Callable[[], Found],
    on_trouble: Callable[[StoreError], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
    pause_s: float = 1.0,
) -> Found:
    """What `work` returns; while the store is in the way, it is tried again, and `on_trouble` hears why.

    Raises `StoreError` once that has lasted for `patience_s`.
    """
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except StoreError as error:
            if time.monotonic() > give_up:
                raise
            on_trouble(error)
            time.sleep(pause_s)
