"""The lines of a text file that grows, wherever in it they are.

The file is counted through block by block, so that a gigabyte of log costs some hundred kilobytes of memory and any
line is one short read away. Then it is looked through for lines that tell of an error or a warning, which takes longer;
those are remembered by their number.
"""

import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from tui.text import clean
from tui.widgets.log_levels import ERROR, MOST_TRACEBACK, SIGNS, WARNING, begins_traceback, ends_traceback, level_of

BLOCK = 1 << 16
"""Bytes: where a line begins is known to this precision, and found by reading so much."""
CHUNK = 1 << 20
"""Bytes that are taken in at once."""
LONGEST = 1 << 14
"""Bytes of a line that are shown; of a longer one its beginning and its end."""
MOST_MARKED = 1_000_000
"""Lines of a level that are remembered."""


class LogLines:
    """Counts and reads. Use it from one thread at a time. Every method that touches the file raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reset()

    def _reset(self) -> None:
        self.size = 0
        """Bytes of the file when it was last looked at."""
        self.counted = 0
        """Bytes that have been counted through."""
        self.marked = 0
        """Bytes that have been looked through for errors and warnings."""
        self.levels: dict[str, array[int]] = {ERROR: array("I"), WARNING: array("I")}
        """Numbers of the lines of a level, from 0, ascending."""
        self._identity: tuple[int, int] | None = None
        self._before = array("Q", [0])
        """For every block the lines that end before it."""
        self._ended = 0
        """Lines that have ended by `counted`."""
        self.unended = False
        """Whether the last line has no end yet."""
        self._looked_at = 0
        """Lines that have ended by `marked`."""
        self._rest = b""
        """The line that has not ended by `marked`, shortened."""
        self._traceback = 0
        """How many lines of a traceback have been seen; 0 outside of one."""

    @property
    def complete(self) -> bool:
        """Whether all of the file has been counted through."""
        return self.counted >= self.size

    @property
    def settled(self) -> bool:
        """Whether all of it has also been looked through for errors and warnings."""
        return self.complete and self.marked >= self.size

    @property
    def count(self) -> int:
        """Lines up to `counted`, with the last one that has no end yet."""
        return self._ended + self.unended

    def advance(self, seconds: float) -> bool:
        """Take in what is new, for about so long; whether there was anything. A file that was replaced begins anew."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            had = self.size > 0
            self._reset()
            return had
        identity = (status.st_dev, status.st_ino)
        if status.st_size < self.counted or self._identity not in (None, identity):
            self._reset()
        self._identity, self.size = identity, status.st_size
        if self.settled:
            return False
        give_up = time.monotonic() + seconds
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.counted)
            while not self.complete and time.monotonic() < give_up:
                self._count(file.read(min(CHUNK, self.size - self.counted)))
            file.seek(self.marked)
            while self.complete and self.marked < self.size and time.monotonic() < give_up:
                self._look_through(file.read(min(CHUNK, self.size - self.marked)))
        return True

    def _count(self, data: bytes) -> None:
        at, start = 0, self.counted
        while at < len(data):
            end = min(len(data), at + BLOCK - (start + at) % BLOCK)
            self._ended += data.count(b"\n", at, end)
            if (start + end) % BLOCK == 0:
                self._before.append(self._ended)
            at = end
        self.counted += len(data)
        if data:
            self.unended = data[-1:] != b"\n"
        else:  # it has become shorter since it was looked at
            self.size = self.counted

    def _look_through(self, data: bytes) -> None:
        self.marked += len(data)
        if not data:
            self.size = self.marked
        last = data.rfind(b"\n") + 1
        if last:
            whole = self._rest + data[:last]
            self._mark(whole, self._looked_at)
            self._looked_at += whole.count(b"\n")
            self._rest = b""
        self._rest = shortened(self._rest + data[last:])

    def _mark(self, data: bytes, number: int) -> None:
        """Remember which lines have a level. `data` is whole lines, the first of them that `number`."""
        done = place = 0
        if self._traceback:
            done, number = self._follow(data, 0, number)
            place = done
        starts = {data.rfind(b"\n", 0, at) + 1 for sign in SIGNS if sign in data for at in _places(data, sign)}
        for start in sorted(starts):
            if start < done:
                continue
            number += data.count(b"\n", place, start)
            place = start
            end = data.index(b"\n", start)
            line = data[start:end]
            if level := level_of(line):
                self._remember(level, number)
            if begins_traceback(line):
                self._traceback = 1
                done, number = self._follow(data, end + 1, number + 1)
                place = done

    def _follow(self, data: bytes, at: int, number: int) -> tuple[int, int]:
        """Mark the lines of a traceback from `at` on; where it ends in `data`, and the number of the line there."""
        while at < len(data) and self._traceback:
            end = data.index(b"\n", at)
            self._remember(ERROR, number)
            last = ends_traceback(data[at:end]) or self._traceback >= MOST_TRACEBACK
            self._traceback = 0 if last else self._traceback + 1
            at, number = end + 1, number + 1
        return at, number

    def _remember(self, level: str, number: int) -> None:
        marked = self.levels[level]
        if len(marked) < MOST_MARKED and (not marked or marked[-1] != number):
            marked.append(number)

    def level(self, number: int) -> str:
        """`error`, `warning` or empty."""
        for level, marked in self.levels.items():
            at = bisect_left(marked, number)
            if at < len(marked) and marked[at] == number:
                return level
        return ""

    # reading

    def read(self, numbers: Sequence[int]) -> list[str]:
        """These lines, ascending, as a person sees them."""
        found: list[str] = []
        at = 0
        while at < len(numbers):
            end = at + 1
            while end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
                end += 1
            found += [shown(line) for line in self._lines(numbers[at], end - at)]
            found += [""] * (end - len(found))
            at = end
        return found

    def tail(self, most: int) -> list[str]:
        """The last lines as they are now, at most so many, without counting the file through."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return []
        with self.path.open("rb", buffering=0) as file:
            begin = max(0, size - 4 * BLOCK)
            file.seek(begin)
            lines = file.read(4 * BLOCK).split(b"\n")
        lines = lines[1:] if begin and len(lines) > 1 else lines
        lines = lines[:-1] if lines and not lines[-1] else lines
        return [shown(shortened(line)) for line in lines[-most:]]

    def _lines(self, first: int, count: int) -> Iterator[bytes]:
        """`count` lines from the line `first` on, or as many as there are."""
        block = max(0, bisect_left(self._before, first) - 1) if first else 0
        skip = first - self._before[block] if first else 0
        rest = b""
        with self.path.open("rb", buffering=0) as file:
            at = block * BLOCK
            file.seek(at)
            while count > 0 and (data := file.read(min(BLOCK - at % BLOCK, self.counted - at))):
                at += len(data)
                *whole, last = data.split(b"\n")
                if whole:
                    whole[0] = rest + whole[0]
                    rest = b""
                    yield from whole[skip : skip + count]
                    used = max(0, len(whole) - skip)
                    count, skip = count - used, max(0, skip - len(whole))
                rest = shortened(rest + last)
                at = self._leap(file, at, len(rest))
            if count > 0 and not skip and rest:
                yield rest

    def _leap(self, file: IO[bytes], at: int, pending: int) -> int:
        """Where to read on: within a line that is longer than what is shown of it, at the block where it ends."""
        block = at // BLOCK
        if pending < LONGEST or at % BLOCK or block >= len(self._before):
            return at
        end = bisect_left(self._before, self._before[block] + 1) - 1
        if end > block + 1:
            at = (end - 1) * BLOCK
            file.seek(at)
        return at


def shortened(line: bytes) -> bytes:
    """A line, or the beginning and the end of a long one."""
    if len(line) <= LONGEST + 8:
        return line
    return line[: LONGEST // 2] + " … ".encode() + line[-LONGEST // 2 :]


def shown(line: bytes) -> str:
    """A line as a person sees it, without what a carriage return wrote over and what a terminal would obey."""
    parts = [part for part in line.rstrip(b"\r").split(b"\r") if part]
    return clean(parts[-1].decode("utf-8", "replace")) if parts else ""


def _places(data: bytes, sign: bytes) -> Iterator[int]:
    at = data.find(sign)
    while at >= 0:
        yield at
        # one hit a line is enough
        end = data.find(b"\n", at)
        at = data.find(sign, end) if end >= 0 else -1
