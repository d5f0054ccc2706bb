"""Looking for words in a log as it is shown, over all of it, a while at a time."""

import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

from tui.widgets.log_lines import CHUNK, shortened, shown

MOST_MATCHES = 200_000
"""Lines that are remembered; where there are more, the count says so."""
_ESCAPE = b"\x1b"


class LogSearch:
    """The lines of a file that have `text` in them. Use `advance` from one thread at a time.

    Capitals count only where `text` has some. What a line is searched for is what a person sees of it.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.any_case = text == text.lower()
        self.matches: array[int] = array("I")
        """Numbers of the lines, from 0, ascending."""
        self.searched = 0
        """Bytes, up to the end of a line."""
        self._lines = 0
        """Lines that have ended by `searched`."""
        needle = text.encode("utf-8", "replace")
        # what bytes.lower() cannot do is left to the lines themselves
        self._needle = needle if needle.isascii() else b""

    @property
    def capped(self) -> bool:
        """Whether there are more matches than are remembered."""
        return len(self.matches) >= MOST_MATCHES

    def advance(self, until: int, seconds: float) -> bool:
        """Search on to the byte `until`, for about so long; whether more is to be searched. Raises `OSError`."""
        give_up = time.monotonic() + seconds
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.searched)
            while self.searched < until and not self.capped and time.monotonic() < give_up:
                if not self._search(file.read(min(CHUNK, until - self.searched)), until):
                    return False
                file.seek(self.searched)
        return self.searched < until and not self.capped

    def _search(self, data: bytes, until: int) -> bool:
        """Search the whole lines of `data`; whether it went on. The last line of the file waits for its end."""
        last = data.rfind(b"\n") + 1
        if not last and len(data) == CHUNK:
            last = len(data)  # a line without an end: searched in pieces
        if not last:
            return False
        self._look(data[:last])
        self.searched += last
        self._lines += data.count(b"\n", 0, last)
        return True

    def _look(self, data: bytes) -> None:
        plain = data.lower() if self.any_case else data
        if not self._needle or _ESCAPE in data:
            for number, line in enumerate(data.split(b"\n")):
                self._try(line, number)
            return
        number = place = 0
        at = plain.find(self._needle)
        while at >= 0 and not self.capped:
            start = plain.rfind(b"\n", 0, at) + 1
            end = plain.find(b"\n", at)
            end = len(plain) if end < 0 else end
            number += plain.count(b"\n", place, start)
            place = start
            self._try(data[start:end], number)
            at = plain.find(self._needle, end)

    def _try(self, line: bytes, number: int) -> None:
        number += self._lines
        if self.hits(shown(shortened(line))) and (not self.matches or self.matches[-1] != number):
            self.matches.append(number)

    def hits(self, line: str) -> list[tuple[int, int]]:
        """Where in a shown line the words are."""
        wanted = self.text
        if self.any_case:
            lower = line.lower()
            line, wanted = (lower, wanted) if len(lower) == len(line) else (line, wanted)
        found = []
        at = line.find(wanted)
        while at >= 0:
            found.append((at, at + len(wanted)))
            at = line.find(wanted, at + len(wanted))
        return found


def next_match(matches: Sequence[int], line: int, direction: int) -> int | None:
    """The match after the line `line`, or before it; over the end it begins anew. `None` where there is none."""
    if not matches:
        return None
    place = bisect_right(matches, line) if direction > 0 else bisect_left(matches, line) - 1
    return matches[place % len(matches)]
