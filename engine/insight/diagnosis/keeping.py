"""Keeping in the store what is found out about live runs, while they run and when they end."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.insight.diagnosis.diagnose import HEALTHY
from engine.insight.diagnosis.reading import diagnose_run, row_of

if TYPE_CHECKING:
    from store import Store
    from store.records import Run

EVERY_S = 10.0
"""Time between two looks at a live run. What there is to see takes many steps to show."""

SHARE = 0.01
"""Of the time that looking may take: a store that answers slowly is asked less often."""

_log = logging.getLogger(__name__)


def keep_findings(store: "Store", run: "Run") -> list[str]:
    """Find out what there is to find out about the run, and keep that and no more. Returns the codes that are new.

    Call it in a thread. Raises `StoreError`.
    """
    now = time.time()
    rows = [row_of(finding, run.id, now) for finding in diagnose_run(store, run) if finding.code != HEALTHY]
    return store.findings.replace(run.id, rows)


class FindingKeeper:
    """Looks at runs as they go on, each now and then. For one thread at a time."""

    def __init__(self, store: "Store", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._due: dict[str, float] = {}
        self._complained = False

    def look(self, run_id: str) -> None:
        """Look at a run of which something new is known: when it is due, and always where it has ended.

        Never raises: whatever is wrong here must not keep a run from being followed.
        """
        began = self._clock()
        try:
            run = self._store.runs.get(run_id)
            if run is None or (run.status.live and began < self._due.get(run_id, 0.0)):
                return
            keep_findings(self._store, run)
        except Exception:
            if not self._complained:
                _log.warning("the run %s cannot be diagnosed", run_id, exc_info=True)
            self._complained = True
            self._due[run_id] = self._clock() + EVERY_S
            return
        if run.status.live:
            took = self._clock() - began
            self._due[run_id] = began + max(EVERY_S, took / SHARE)
        else:
            self._due.pop(run_id, None)
