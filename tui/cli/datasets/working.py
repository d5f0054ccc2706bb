"""Work that may take long: its progress on stderr, and Ctrl+C that ends it with nothing left behind."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from engine.errors import Cancelled
from tui.cli.command import Session
from tui.cli.output import Progress, say

INTERRUPTED = 130
"""The exit status after Ctrl+C."""


class Work:
    """What the engine is given: `progress` hears shares from 0 to 1, `cancelled` says whether Ctrl+C was pressed."""

    def __init__(self, line: Progress, label: str) -> None:
        self._line = line
        self._label = label
        self.given_up = False

    def progress(self, share: float) -> None:
        """Raises `Cancelled` after Ctrl+C, so that work which only reports progress ends too."""
        if self.given_up:
            raise Cancelled
        self._line.update(self._label, share)

    def tell(self, words: str) -> None:
        """What is being done now, where that is another thing. Raises `Cancelled` after Ctrl+C."""
        if self.given_up:
            raise Cancelled
        self._line.update(words)

    def cancelled(self) -> bool:
        return self.given_up

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl+C: the engine ends at its next step and clears up. A second one does not wait for that."""
        if self.given_up:
            raise KeyboardInterrupt
        self.given_up = True
        self._line.clear()
        say("Stopping. Ctrl+C again ends it at once.")


@contextmanager
def working(session: Session, label: str) -> Iterator[Work]:
    """Do long work inside. After Ctrl+C the command ends with status 130, and says that nothing was kept."""
    with session.progress() as line:
        work = Work(line, label)
        here = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, work.interrupt) if here else None
        try:
            if sys.stderr.isatty():  # in a file it is said with the first progress: not above the error of a typo
                line.update(label)
            yield work
        except (Exception, KeyboardInterrupt) as error:
            # What the work raises once it was given up is the interruption, whatever it looks like: its processes
            # hear Ctrl+C too, and end in their own ways.
            if not work.given_up:
                raise
            line.clear()
            say(str(error) if isinstance(error, Cancelled) else str(Cancelled()))
            raise typer.Exit(INTERRUPTED) from error
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
