"""Plain text as rows `{"text": …}`: a block, a line, or a whole file each."""

from collections.abc import Iterator
from pathlib import Path

from engine.datasets.sources import opening
from engine.datasets.sources.json_rows import Item
from engine.datasets.sources.opening import empty, lines, opened, too_long
from engine.datasets.sources.raw import Unreadable, not_utf8


def block_rows(path: Path) -> Iterator[Item]:
    """A row for each block between blank lines; for each line where no blank line parts the text."""
    parted = _is_parted(path)
    with opened(path) as stream:
        block = _Block()
        for line, data in lines(stream):
            blank = data is not None and not data.strip()
            if not blank:
                block.add(line, data)
            if block.line and (blank or not parted):
                yield block.line, block.row(), stream.at()
                block = _Block()
        if block.line:
            yield block.line, block.row(), stream.at()


def whole_row(path: Path) -> Iterator[Item]:
    """One row: all of the file, without the line ends around it."""
    with opened(path) as stream:
        block = _Block()
        for line, data in lines(stream):
            block.add(line, data)
        if block.blank:
            raise empty(path)
        yield None, block.row(), 1.0


class _Block:
    """Lines that become one row; not more of them than `MAX_LINE_BYTES`."""

    def __init__(self) -> None:
        self.line = 0
        self.blank = True
        self._lines: list[bytes] = []
        self._bytes = 0
        self._problem = ""

    def add(self, line: int, data: bytes | None) -> None:
        self.line = self.line or line
        self.blank = self.blank and data is not None and not data.strip()
        self._bytes += len(data or b"")
        if data is None or self._bytes > opening.MAX_LINE_BYTES:
            self._problem = too_long()
            self._lines.clear()
        elif not self._problem:
            self._lines.append(data)

    def row(self) -> dict[str, str] | Unreadable:
        if self._problem:
            return Unreadable(self._problem)
        try:
            text = b"".join(self._lines).decode("utf-8")
        except UnicodeDecodeError as error:
            return Unreadable(not_utf8(error))
        return {"text": text.replace("\r\n", "\n").strip("\n")}


def _is_parted(path: Path) -> bool:
    """Whether a blank line stands between two that are not."""
    with opened(path) as stream:
        begun = gap = False
        for _line, data in lines(stream):
            if data is not None and not data.strip():
                gap = begun
            elif gap:
                return True
            else:
                begun = True
    return False
