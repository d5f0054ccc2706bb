"""A pass over all rows of a dataset: in this process for a small one, in a few others for a large one."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from engine.datasets.processes import spread
from engine.datasets.reader import RowReader
from engine.datasets.rows import Row
from engine.errors import Cancelled

Result = TypeVar("Result")

SMALL_ROWS = 10_000
"""Up to so many rows are not worth the start of a process."""

_GROUPS_A_TASK = 4


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
        chunks: Iterator[Result]
        if total <= SMALL_ROWS:
            chunks = (function(reader.group_rows(group), argument) for group in range(groups))
        else:
            tasks = [(start, min(groups, start + _GROUPS_A_TASK)) for start in range(0, groups, _GROUPS_A_TASK)]
            parts = spread(tasks, _read_groups, (path, function, argument), cancelled=cancelled)
            chunks = (result for part in parts for result in part)
        for done, result in enumerate(chunks, 1):
            if cancelled is not None and cancelled():
                raise Cancelled
            if progress is not None:
                progress(done / groups)
            yield result
    finally:
        reader.close()


def _read_groups(task: tuple[int, int], how: tuple[Path, Callable[[list[Row], Any], Any], Any]) -> list[Any]:
    path, function, argument = how
    reader = _reader(path)
    return [function(reader.group_rows(group), argument) for group in range(*task)]


@lru_cache(maxsize=1)
def _reader(path: Path) -> RowReader:
    return RowReader(path)
