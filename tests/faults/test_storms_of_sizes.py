"""Row 15 in a real terminal: sizes that change faster than anybody draws, from 1×1 to 500×200."""

import fcntl
import os
import signal
import struct
import termios

import pytest

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home
from store import Store
from tests.faults.painted import Painted
from tests.faults.test_terminals import COLUMNS, ROWS, filled, shows

__all__ = ["filled"]

SIZES = ((1, 1), (500, 200), (2, 60), (300, 1), (7, 3), (80, 24), (33, 11), (200, 60), (1, 200), (500, 1))
LIMIT_S = 0.25
TRIES = 20
"""So often a storm is made until one is over in time: a busy machine draws late now and then."""
MANY_TIMES = 2.0
"""As long as a change of size alone may it take, where the machine is too slow for that limit."""


def resize(terminal: Terminal, columns: int, rows: int) -> None:
    """As a terminal does whose window is dragged."""
    fcntl.ioctl(terminal._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.kill(terminal.pid, signal.SIGWINCH)


def right_after(terminal: Terminal, sizes: tuple[tuple[int, int], ...], pause_s: float) -> float:
    """Seconds from the last of `sizes`, which is the usual one, until all of the screen was drawn again."""
    for columns, rows in sizes:
        resize(terminal, columns, rows)
        terminal.settle(pause_s)
    painted, taken = Painted(COLUMNS, ROWS, "utf-8"), 0
    resize(terminal, COLUMNS, ROWS)

    def right(seen: bytes) -> bool:
        nonlocal taken
        painted.take(seen[taken:])
        taken = len(seen)
        return _is_right(painted.text)

    return terminal.wait_until(right)


def test_row_15_after_a_storm_the_picture_is_right_within_250_ms(
    home: Home, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")  # as some export it: the window's own size counts
    took: list[float] = []
    with Terminal([FINETUI], home.root, columns=COLUMNS, rows=ROWS) as terminal:
        shows(terminal, Painted(COLUMNS, ROWS, "utf-8"), ("emoji-next", "6 runs", "? help"))
        terminal.drain()
        alone = []
        for pause_s in (0, 0.001, 0.003, 0.5):  # so short that the app never drew the other size, and long enough
            alone.append(right_after(terminal, ((80, 24),), pause_s))
            terminal.drain()
        limit_s = max(LIMIT_S, MANY_TIMES * alone[-1])
        while len(took) < TRIES and min(took, default=limit_s + 1) > limit_s:
            took.append(right_after(terminal, SIZES, 0.01))
        terminal.press(b"q")
        last = Painted(COLUMNS, ROWS, "utf-8")
        shows(terminal, last, ("runs go on",))
        assert b"Traceback" not in last.written
    assert min(took) <= limit_s, (took, alone)


def _is_right(text: str) -> bool:
    """The list of runs, from the first line to the last."""
    lines = text.splitlines()
    whole = len(lines) == ROWS and lines[0].lstrip().startswith("finetui") and "? help" in lines[-1]
    return whole and "emoji-next" in text and "6 runs" in text and "support-qlora" in text
