"""A clock that jumps: put this folder on PYTHONPATH, and `time.time` adds what `$FINETUI_TEST_CLOCK` holds, in seconds.

Python imports a module of this name before anything else, in every process that is started so.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path


def moved(clock: Callable[[], float], jump: Path) -> Callable[[], float]:
    """`clock`, with the seconds added that are in the file `jump` at that moment; none where there is no file."""

    def now() -> float:
        try:
            return clock() + float(jump.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return clock()

    return now


if "FINETUI_TEST_CLOCK" in os.environ:
    time.time = moved(time.time, Path(os.environ["FINETUI_TEST_CLOCK"]))
