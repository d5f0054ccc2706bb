"""Signals as a queue: each is seen where the program waits for one, and nowhere else. Standard library only."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

QUEUED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)
IGNORED = (signal.SIGHUP,)


class SignalQueue:
    """Takes over the signals of this process. A signal between two waits is kept for the second."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in QUEUED:
            signal.signal(number, _nothing)
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)

    def wait(self, timeout_s: float) -> list[int]:
        """Numbers of the signals that came, oldest first; `[]` when none does within `timeout_s`."""
        if not select.select([self._read], [], [], timeout_s)[0]:
            return []
        return list(os.read(self._read, 4096))

    @staticmethod
    @contextmanager
    def held_back() -> Iterator[None]:
        """Signals wait until this is over: around a fork, so that none comes to the child before `restore`.

        The child would take it for one of ours, which nobody in it waits for.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, QUEUED)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @staticmethod
    def restore() -> None:
        """In a forked child: signals as a fresh program expects them, also those that have come meanwhile."""
        signal.set_wakeup_fd(-1)
        for number in (*QUEUED, *IGNORED, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, QUEUED)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The wakeup file has taken note of the signal."""
