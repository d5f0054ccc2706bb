"""Terminals that can do less: without colours, with sixteen, of an unknown kind, in a locale without UTF-8."""

import re
from collections.abc import Iterator

import pytest

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home
from store import Store, open_store
from tests.faults.painted import Painted
from tests.tui.sample_runs import SampleRuns, fill

COLUMNS, ROWS = 120, 36
ENVIRONMENTS = {
    "no-color": ("NO_COLOR=1",),
    "dumb": ("-u", "COLORTERM", "TERM=dumb"),
    "sixteen": ("-u", "COLORTERM", "TERM=xterm-16color"),
    "no-utf-8": ("-u", "LANG", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"),
}
STEPS = (
    (b"", ("emoji-r16-lr2e4", "support-qlora", "6 runs")),
    (b"v", ("at work", "step 42/60", "esc all runs")),
    (b"\x1b", ("6 runs",)),
    (b"$", ("device hours", "all time")),
    (b"\x1b", ("6 runs",)),
    (b"jj\r", ("emoji-r16-lr2e4", "loss", "Lineage", "Eval loss has risen")),
    (b"]", ("How do I reset my password?", "Open settings.")),
    (b"\x1b", ("6 runs",)),
    (b" j j c", ("Curves", "Settings", "baseline", "eval loss")),
    (b"]", ("what differs", "A all settings")),
)
"""Keys, and what they bring on the screen."""


@pytest.fixture
def filled(home: Home) -> Iterator[Store]:
    store = open_store(home.db)
    runs = SampleRuns(home, store)
    fill(runs)
    yield store
    runs.close()
    store.close()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_row_15_runs_are_shown_in_a_terminal_that_can_do_less(home: Home, filled: Store, environment: str) -> None:
    painted = Painted(COLUMNS, ROWS, "ascii" if environment == "no-utf-8" else "utf-8")
    argv = ["env", *ENVIRONMENTS[environment], FINETUI]
    with Terminal(argv, home.root, columns=COLUMNS, rows=ROWS) as terminal:
        for keys, words in STEPS:
            if keys:
                terminal.press(keys)
            shows(terminal, painted, words)
        terminal.press(b"q")
        shows(terminal, painted, ("runs go on",))
    written = painted.written
    assert b"Traceback" not in written
    colours = set(re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", written))
    if environment == "no-color":
        assert all(red == green == blue for red, green, blue in colours)
    if environment == "sixteen":
        assert colours == set() == set(re.findall(rb"\x1b\[[^m]*[34]8;5[^m]*m", written))
    if environment == "no-utf-8":
        assert max(written) < 128
        assert rb"\u" not in written


def shows(terminal: Terminal, painted: Painted, words: tuple[str, ...]) -> None:
    """Wait until all of `words` are on the screen."""
    taken = 0

    def done(seen: bytes) -> bool:
        nonlocal taken
        painted.take(seen[taken:])
        taken = len(seen)
        return all(word in painted.text for word in words)

    try:
        terminal.wait_until(done)
    except TimeoutError:
        pytest.fail(f"{words} are not on the screen:\n{painted.text}")
