"""Work on many rows, done by a few other processes: all cores help, and the app stays quick meanwhile."""

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from engine.errors import Cancelled

Task = TypeVar("Task")
Result = TypeVar("Result")

MOST_PROCESSES = 8
_AHEAD = 3
"""Tasks handed out a process: enough to keep it busy, few enough to bound the memory of what waits to be taken."""


def spread(
    tasks: Iterable[Task],
    function: Callable[[Task, Any], Result],
    argument: Any = None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[Result]:
    """Call `function(task, argument)` for every task, in other processes; yields what it returns, in order.

    `function` is a module's own function; tasks, `argument` and results can be pickled. The argument is sent to a
    process once. Raises `Cancelled` soon after `cancelled()` says so, and what `function` raises.
    """
    workers = min(os.cpu_count() or 1, MOST_PROCESSES)
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_process,
        initargs=(function, argument),
    )
    try:
        waiting: deque[Future[Result]] = deque()
        rest = iter(tasks)
        more = True
        while more or waiting:
            while more and len(waiting) < workers * _AHEAD:
                try:
                    waiting.append(executor.submit(_work, next(rest)))
                except StopIteration:
                    more = False
            if waiting:
                yield _wait(waiting.popleft(), cancelled)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _wait(future: Future[Result], cancelled: Callable[[], bool] | None) -> Result:
    while True:
        try:
            return future.result(timeout=0.2 if cancelled is not None else None)
        except TimeoutError:
            if future.done():
                raise  # the function's own
            if cancelled is not None and cancelled():
                raise Cancelled from None


_at_work: tuple[Callable[[Any, Any], Any], Any]
"""What this process was started for: the function and its argument."""


def _prepare_process(function: Callable[[Any, Any], Any], argument: Any) -> None:
    """Be nice to the app, and end with it: a pool's process would wait for work for ever."""
    global _at_work
    _at_work = function, argument
    os.nice(5)
    # What comes and goes by the thousand is looked through for cycles again and again, and has none.
    gc.freeze()
    gc.set_threshold(100_000)
    # Ctrl+C is the business of the process that asked
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _work(task: Any) -> Any:
    function, argument = _at_work
    return function(task, argument)
