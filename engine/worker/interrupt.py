"""A request to stop: SIGTERM asks the worker to save and end at the next step."""

import signal
from types import FrameType


class StopRequest:
    """Set by SIGTERM. Made before torch is imported, so that a stop during the imports is not lost."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
