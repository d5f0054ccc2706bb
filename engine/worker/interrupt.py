"""A request to stop: SIGTERM, or a file where no signal reaches. The worker saves and ends at the next step."""

import signal
import time
from pathlib import Path
from types import FrameType

LOOK_EVERY_S = 0.25
"""Time between two looks for the file: on a shared file system each takes a while."""


class StopRequest:
    """Set by SIGTERM, or by the file `asked`. Made before torch is imported: a stop during the imports is not lost.

    The file may be from a request that came before the worker began. Whoever starts an attempt removes an older one.
    """

    def __init__(self, asked: Path | None = None) -> None:
        self._asked = asked
        self._noted = False
        self._looked = float("-inf")
        signal.signal(signal.SIGTERM, self._note)

    @property
    def requested(self) -> bool:
        """Whether the run was asked to stop. Once so, always so."""
        if not self._noted and self._asked is not None and time.monotonic() - self._looked >= LOOK_EVERY_S:
            self._looked = time.monotonic()
            self._noted = self._asked.exists()
        return self._noted

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._noted = True
