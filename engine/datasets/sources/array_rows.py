"""A JSON array over a whole file, item by item: memory is bounded however long it is."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from engine.datasets.sources import opening
from engine.datasets.sources.opening import FORMATS, Stream, empty, opened, unusable
from engine.datasets.sources.raw import DECODER, not_utf8

_CHUNK_BYTES = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_CUT_CHARS = 16
"""An error this near to the end of what was read may come from there being more: half a word, half an escape."""


def array_rows(path: Path) -> Iterator[tuple[int | None, Any, float]]:
    """The items of the array. Raises `BadInput` where it is damaged, which may be after many of them."""
    with opened(path) as stream:
        text = _Text(path, stream)
        text.expect("[", "expecting value")
        count = 0
        while not text.takes("]"):
            if count:
                text.expect(",", "expecting ',' delimiter")
            count += 1
            yield None, text.value(), stream.at()
        if text.peek():
            text.fail("extra data")
        if not count:
            raise empty(path, "holds no rows.", "Its list is empty.")


class _Text:
    """The file's text from where it has been read to, as much of it as is needed."""

    def __init__(self, path: Path, stream: Stream) -> None:
        self._path = path
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._bytes = 0
        self._text = ""
        self._at = 0
        self._line = 1
        self._column = 1
        """Where `_text` begins in the file."""
        self._ended = False

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._read(_CHUNK_BYTES)

    def takes(self, char: str) -> bool:
        """Go on behind `char` if that is next."""
        if self.peek() != char:
            return False
        self._at += 1
        return True

    def expect(self, char: str, problem: str) -> None:
        """Go on behind `char`. Raises `BadInput` with `problem` where it is not next."""
        if not self.takes(char):
            self.fail(problem)

    def value(self) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                open_ended = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _CUT_CHARS
                if self._ended or not open_ended:
                    self.fail(f"{error.msg[:1].lower()}{error.msg[1:]}", error.pos)
            except RecursionError as error:
                raise unusable(self._path, "is nested too deeply.", fix="Mend the file.") from error
            except ValueError as error:  # a number of thousands of digits
                self.fail(str(error))
            else:
                if end < len(self._text) or self._ended:  # else a number might go on
                    self._at = end
                    return value
            self._read(max(_CHUNK_BYTES, len(self._text) - self._at))

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Raise that the text is wrong, and where."""
        line, column = self._place(self._at if at is None else at)
        place = f"column {column}" if line == 1 else f"line {line}, column {column}"
        raise unusable(self._path, f"is not JSON ({problem} at {place}).", why=FORMATS, fix="Mend the file there.")

    def _place(self, at: int) -> tuple[int, int]:
        ends = self._text.count("\n", 0, at)
        return self._line + ends, at - self._text.rfind("\n", 0, at) if ends else self._column + at

    def _read(self, size: int) -> None:
        """Read on by `size` bytes, and forget what lies behind."""
        if len(self._text) - self._at > opening.MAX_LINE_BYTES:
            line, _ = self._place(self._at)
            what = f"has an item of more than {opening.MAX_LINE_BYTES >> 20} MB, which begins in line {line}."
            raise unusable(self._path, what, fix="Look for a bracket or a quotation mark there that is never closed.")
        data = self._stream.file.read(size)
        pending = len(self._decoder.getstate()[0])
        try:
            more = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            before = self._bytes - pending
            raise unusable(self._path, f"{not_utf8(error, before)}.", why=FORMATS, fix="Save it as UTF-8.") from error
        self._bytes += len(data)
        self._ended = not data
        self._line, self._column = self._place(self._at)
        self._text = self._text[self._at :] + more
        self._at = 0
