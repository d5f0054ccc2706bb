"""Keys as a person presses them who looks after many runs, and how long each takes to be answered."""

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.terminal import Terminal

QUIET_S = 0.15
"""Between what came of the last key and the next."""

AFTER_S = 0.2

CURVE_CELLS = 150
"""So many cells of braille are curves and not a sparkline."""

VISIT_S = 1.5
"""Time for a screen that is seen for the first time: it is built then."""

ENTER, ESC, PAGE_DOWN, PALETTE = b"\r", b"\x1b", b"\x04", b"\x10"


@dataclass(frozen=True)
class Key:
    """A key, and what it does."""

    name: str
    press: bytes
    opens: bool = False
    """Whether it opens a screen."""
    curves: bool = False
    """Whether curves are what it was pressed for."""


TOUR = (
    *[Key("move in the list", key) for key in (b"j", b"j", b"k", b"G", b"k", b"k", b"g", PAGE_DOWN)],
    Key("filter", b"/"),
    *[Key("type in the filter", letter.encode()) for letter in "live-00"],
    Key("take the filter", ENTER),
    *[Key("move in the list", key) for key in (b"j", b"j", b"k")],
    Key("open a run", ENTER, opens=True, curves=True),
    *[Key("chart", key) for key in (b"+", b"+", b"l", b"-", b"h", b"0", b"j", b"f", b"f", b"m")],
    *[Key("next tab", b"]") for _ in range(3)],
    *[Key("previous tab", b"[") for _ in range(3)],
    Key("leave the run", ESC),
    Key("clear the filter", ESC),
    Key("live runs", b"v", opens=True),
    *[Key("move among live runs", key) for key in (b"j", b"j", b"k")],
    Key("leave live runs", ESC),
    Key("queue", b"6", opens=True),
    *[Key("move in the queue", key) for key in (b"j", b"j", b"j", b"k", b"G", b"g")],
    Key("datasets", b"2", opens=True),
    Key("runs", b"1"),
    Key("palette", PALETTE, opens=True),
    *[Key("type in the palette", letter.encode()) for letter in "queue"],
    Key("leave the palette", ESC),
    Key("help", b"?", opens=True),
    Key("leave help", ESC),
)


@dataclass
class Answers:
    """Seconds from keys to what came of them, by what they do."""

    answered: dict[str, list[float]] = field(default_factory=dict)
    """To the first output."""
    curves: list[float] = field(default_factory=list)
    """From Enter on a run to its curves."""

    def everything(self) -> list[float]:
        return sorted(took for times in self.answered.values() for took in times)

    def medians_ms(self) -> dict[str, float]:
        return {name: round(statistics.median(taken) * 1000, 1) for name, taken in self.answered.items()}

    def slowest_ms(self) -> dict[str, float]:
        return {name: round(max(taken) * 1000, 1) for name, taken in self.answered.items()}


def look_around(terminal: Terminal) -> None:
    """Press every key of the tour once, at leisure: the first visit of a screen builds it."""
    for key in TOUR:
        terminal.press(key.press)
        terminal.settle(VISIT_S if key.opens else AFTER_S)


def tour(terminal: Terminal, seconds: float, meanwhile: Callable[[], object]) -> Answers:
    """Press keys for so long, over and over; `meanwhile` is called between them."""
    answers = Answers()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for key in TOUR:
            terminal.settle(QUIET_S)
            meanwhile()
            terminal.read_now()
            first_s, curves_s = _press(terminal, key)
            answers.answered.setdefault(key.name, []).append(first_s)
            if key.curves:
                answers.curves.append(curves_s)
            terminal.settle(AFTER_S)
    return answers


def _press(terminal: Terminal, key: Key) -> tuple[float, float]:
    """Seconds until the first output, and until what the key was pressed for is there."""
    first_s: list[float] = []
    began = time.perf_counter()
    terminal.press(key.press)

    def is_there(seen: bytes) -> bool:
        if not first_s and b"\x1b[" in seen:
            first_s.append(time.perf_counter() - began)
        return bool(first_s) and (not key.curves or len(re.findall(rb"\xe2[\xa0-\xa3]", seen)) >= CURVE_CELLS)

    there_s = terminal.wait_until(is_there)
    return first_s[0], there_s
