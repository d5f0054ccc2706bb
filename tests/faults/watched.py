"""The real app in a real terminal, read as a person reads it."""

from benchmarks.terminal import Terminal
from tests.faults.painted import Painted

COLUMNS, ROWS = 120, 36


class Watched:
    """What a terminal shows. All that its program writes is to be read through this."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._painted = Painted(COLUMNS, ROWS, "utf-8")

    def sees(self, *words: str) -> None:
        """Wait until all of `words` are on the screen. Raises `TimeoutError` with what is there instead."""
        taken = 0

        def shown(seen: bytes) -> bool:
            nonlocal taken
            self._painted.take(seen[taken:])
            taken = len(seen)
            return all(word in self._painted.text for word in words)

        if shown(b""):
            return
        try:
            self._terminal.wait_until(shown)
        except TimeoutError as error:
            raise TimeoutError(f"{words} are not to be seen in\n{self._painted.text}") from error
