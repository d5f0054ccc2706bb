"""What a terminal shows of the bytes that were written to it: text in cells, colours left out."""

import re
from codecs import getincrementaldecoder

from rich.cells import cell_len

SEQUENCE = re.compile(
    rb"\x1b\[(?P<given>[0-9;?<>=$ ]*)(?P<verb>[@-~])"
    rb"|\x1b[\]P_^].*?(?:\x07|\x1b\\)"
    rb"|\x1b[()].|\x1b[=>c78]"
    rb"|[\x00-\x1a]",
    re.DOTALL,
)


class Painted:
    """A terminal of `columns`×`rows`. `written` is all that came, for who looks for colours."""

    def __init__(self, columns: int, rows: int, encoding: str) -> None:
        self.written = bytearray()
        self._decode = getincrementaldecoder(encoding)(errors="replace").decode
        self._begun = b""
        """A sequence whose end has not come yet."""
        self._row = self._column = 0
        self._cells = [[" "] * columns for _ in range(rows)]

    def take(self, data: bytes) -> None:
        """Show what was written."""
        self.written += data
        data = self._begun + data
        last = data.rfind(b"\x1b")
        whole = len(data) if last < 0 or SEQUENCE.match(data, last) else last
        data, self._begun = data[:whole], data[whole:]
        at = 0
        for found in SEQUENCE.finditer(data):
            self._write(data[at : found.start()])
            at = found.end()
            if found["verb"] == b"H":
                row, _, column = found["given"].partition(b";")
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
            elif found[0] == b"\n":
                self._row += 1
            elif found[0] == b"\r":
                self._column = 0
        self._write(data[at:])

    def _write(self, data: bytes) -> None:
        for character in self._decode(data):
            width = cell_len(character)
            if 0 <= self._row < len(self._cells) and self._column + width <= len(self._cells[self._row]):
                self._cells[self._row][self._column : self._column + width] = [character, *[""] * (width - 1)]
            self._column += width

    @property
    def text(self) -> str:
        """Line by line."""
        return "\n".join("".join(line).rstrip() for line in self._cells)
