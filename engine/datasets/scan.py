"""A pass over all rows of a dataset: in this process for a small one, in a few others for a large one.

The app stays quick while a large dataset is read, because the work is done elsewhere; and all cores help.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from engine.datasets.reader import RowReader
from engine.datasets.rows import Row
from engine.errors import Cancelled

Result = TypeVar("Result")

SMALL_ROWS = 10_000
"""Up to so many rows are not worth the start of a process."""

MOST_PROCESSES = 8
_GROUPS_A_TASK = 4
_AHEAD = 3
"""Tasks handed out a process: enough to keep it busy, few enough to bound the memory of what waits to be taken."""


def scan(
    path: Path,
    function: Callable[[list[Row], Any], Result],
    argument: Any = None,
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[Result]:
    """Call `function(rows, argument)` for every chunk of about a thousand rows; yields what it returns, in order.

    `function` is a module's own function, and `argument` and what it returns can be pickled: a large dataset is read in
    other processes. `progress` hears shares from 0 to 1. Raises `Cancelled` soon after `cancelled()` says so, and what
    `function` raises.
    """
    reader = RowReader(path)
    try:
        groups, total = reader.groups, reader.total
        chunks: Iterator[Result] = (
            (function(reader.group_rows(group), argument) for group in range(groups))
            if total <= SMALL_ROWS
            else _in_processes(path, groups, function, argument, cancelled)
        )
        for done, result in enumerate(chunks, 1):
            if cancelled is not None and cancelled():
                raise Cancelled
            if progress is not None:
                progress(done / groups)
            yield result
    finally:
        reader.close()


def _in_processes(
    path: Path,
    groups: int,
    function: Callable[[list[Row], Any], Result],
    argument: Any,
    cancelled: Callable[[], bool] | None,
) -> Iterator[Result]:
    workers = min(os.cpu_count() or 1, MOST_PROCESSES)
    executor = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_process
    )
    try:
        waiting: deque[Future[list[Result]]] = deque()
        starts = iter(range(0, groups, _GROUPS_A_TASK))
        while True:
            while len(waiting) < workers * _AHEAD and (start := next(starts, None)) is not None:
                end = min(groups, start + _GROUPS_A_TASK)
                waiting.append(executor.submit(_read_groups, path, start, end, function, argument))
            if not waiting:
                return
            yield from _wait(waiting.popleft(), cancelled)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _wait(future: "Future[list[Result]]", cancelled: Callable[[], bool] | None) -> list[Result]:
    while True:
        try:
            return future.result(timeout=0.2 if cancelled is not None else None)
        except TimeoutError:
            if future.done():
                raise  # the function's own
            if cancelled is not None and cancelled():
                raise Cancelled from None


def _prepare_process() -> None:
    """Be nice to the app, and end with it: a pool's process would wait for work for ever."""
    os.nice(5)
    # Ctrl+C is the business of the process that asked
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _read_groups(
    path: Path, start: int, end: int, function: Callable[[list[Row], Any], Result], argument: Any
) -> list[Result]:
    reader = _reader(path)
    return [function(reader.group_rows(group), argument) for group in range(start, end)]


@lru_cache(maxsize=1)
def _reader(path: Path) -> RowReader:
    return RowReader(path)
