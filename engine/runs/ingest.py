"""From a run's event log into the store, batch by batch."""

from collections.abc import Callable

from engine.runs.folding import fold
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir
from store import Store

BATCH_BYTES = 4 << 20
"""Of the log in one transaction: some 10,000 events, a quarter of a second."""


def ingest_run(
    store: Store,
    run_id: str,
    rundir: RunDir,
    *,
    batch_bytes: int = BATCH_BYTES,
    progress: Callable[[int], object] = lambda _offset: None,
) -> bool:
    """Take in what the log has beyond the saved offset, until there is no more. Whether anything was new.

    A log that is shorter than the offset has been replaced: everything is read again from the beginning. A missing
    one changes nothing. `progress` hears the offset that was come to. Raises `StoreError`.
    """
    offset = store.runs.ingest_offset(run_id)  # before the size: another process may be at it, and the log only grows
    try:
        size = rundir.events.stat().st_size
    except OSError:
        return False
    if size == offset:
        return False
    if size < offset:
        store.runs.reset(run_id)
    changed = False
    while True:
        offset = store.runs.ingest_offset(run_id)
        run = store.runs.get(run_id)
        if run is None:
            return changed
        chunk = read_events(rundir.events, offset, batch_bytes)
        if chunk.offset == offset:
            return changed
        if store.runs.ingest(fold(run, chunk, offset)):
            changed = True
        progress(chunk.offset)
