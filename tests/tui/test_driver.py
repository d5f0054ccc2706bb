"""Keys as they come in from a real terminal: a lone Esc, broken bytes, characters that arrive in pieces."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.geometry import Size

from benchmarks.terminal import Terminal
from tui.driver import TerminalDriver

ESCAPE_S = 0.09
"""Less than the tenth of a second that Textual waits by itself."""
TRIES = 40
TOLD = """
import os, sys
os.environ["ESCDELAY"] = "25"
from textual.app import App
from tui.driver import TerminalDriver

class Told(App):
    def on_mount(self):
        self.tell("begun")
    def on_key(self, event):
        self.tell(f"<{event.key}>")
    def on_paste(self, event):
        self.tell(f"<paste {event.text}>")
    def tell(self, words):
        self._driver.write(words)
        self._driver.flush()

Told(driver_class=TerminalDriver).run()
"""
"""An app that writes which keys it was given."""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with Terminal([sys.executable, "-c", TOLD], tmp_path, columns=80, rows=24) as terminal:
        terminal.wait_for(b"begun")
        terminal.drain()
        yield terminal


def test_a_lone_esc_is_told_at_once(terminal: Terminal) -> None:
    waits: list[float] = []
    while len(waits) < TRIES and min(waits, default=ESCAPE_S) >= ESCAPE_S:  # others may take the processor for a while
        terminal.press(b"\x1b")
        waits.append(terminal.wait_for(b"<escape>"))
    assert min(waits) < ESCAPE_S


def test_what_begins_with_esc_is_one_key(terminal: Terminal) -> None:
    terminal.press(b"\x1b[A")
    terminal.wait_for(b"<up>")
    terminal.press(b"\x1b\x1b[B")
    terminal.wait_until(lambda seen: b"<escape>" in seen and b"<down>" in seen)
    terminal.press(b"\x1b[200~two\nlines\x1b[201~")
    terminal.wait_until(lambda seen: b"<paste two" in seen)


def test_bytes_that_are_no_text_do_no_harm(terminal: Terminal) -> None:
    for broken in (b"\xff\xfe", b"\xc3(", b"\xed\xa0\x80", b"\xf0\x9f", b"\x00", bytes(range(128, 256))):
        terminal.press(broken)
        terminal.drain(0.1)
        terminal.press(b"k")
        terminal.wait_for(b"<k>")


def test_a_character_may_come_in_pieces(terminal: Terminal) -> None:
    for piece in "🙂".encode():
        terminal.press(bytes([piece]))
        terminal.drain(0.05)
    terminal.press(b"k")
    terminal.wait_for(b"<k>")


@pytest.mark.parametrize(("taken_for", "told"), [(Size(80, 24), [Size(120, 36)]), (Size(120, 36), [])])
def test_a_size_that_was_told_too_early_is_told_again(
    monkeypatch: pytest.MonkeyPatch, taken_for: Size, told: list[Size]
) -> None:
    """Two sizes came at once, and the signal of the second interrupted the handler of the first."""
    seen: list[Size] = []
    driver = TerminalDriver.__new__(TerminalDriver)
    app = SimpleNamespace(size=taken_for, post_message=lambda event: seen.append(event.size))
    monkeypatch.setattr(driver, "_app", app, raising=False)
    monkeypatch.setattr(driver, "_get_terminal_size", lambda: (120, 36))
    driver.look_at_size()
    assert seen == told
