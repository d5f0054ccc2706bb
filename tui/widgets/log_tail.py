"""The end of a text file that grows: followed, sanitised, progress bars on one line."""

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.text import clean
from tui.widgets.ink import ink

FIRST_BYTES = 256 << 10
"""So much of the file's end is read at first."""
MOST_BYTES = 1 << 20
"""So much is read at once after that."""
MOST_LINES = 5000
POLL_S = 0.5


class LogReader:
    """Reads what was appended since the last call. A carriage return starts its line anew, as in a terminal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        """The last `MOST_LINES` whole lines."""
        self.partial = ""
        """The last line while it has no newline yet."""
        self._offset: int | None = None
        self._rest = b""

    def read(self) -> bool:
        """Take in what is new; whether there was anything. A file that shrank is read anew. Raises `OSError`."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return False
        if self._offset is None or size < self._offset:
            self.lines, self.partial, self._rest = [], "", b""
            self._offset = max(0, size - FIRST_BYTES)
            cut = self._offset > 0
        else:
            cut = False
        if size == self._offset:
            return False
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(MOST_BYTES)
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            self._rest = self._rest[-MOST_BYTES:]
        self.lines += [_line(line) for line in (whole[1:] if cut else whole)]
        del self.lines[:-MOST_LINES]
        self.partial = _line(self._rest)
        return True


def _line(data: bytes) -> str:
    parts = [part for part in data.rstrip(b"\r").split(b"\r") if part]
    return clean(parts[-1].decode("utf-8", "replace")) if parts else ""


class LogTail(ScrollView, can_focus=True):
    """Shows the file's end and follows it while the view is at the end. Reads in a thread, only while it is shown."""

    DEFAULT_CSS = """
    LogTail {
        height: 1fr;
        .log-tail--muted { color: $text-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log-tail--muted"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", id="log.down", show=False),
        Binding("k", "scroll_up", "up", id="log.up", show=False),
        Binding("g", "scroll_home", "first", id="log.first", show=False),
        Binding("G", "scroll_end", "last, and follow", id="log.last", show=False),
    ]

    def __init__(self, path: Path | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._reader = LogReader(path) if path else None
        self._problem = ""
        self._reading = False
        self._following = True

    def follow(self, path: Path) -> None:
        """Follow this file from now on."""
        if self._reader is None or self._reader.path != path:
            self._reader = LogReader(path)
            self._poll()

    def on_mount(self) -> None:
        self.set_interval(POLL_S, self._poll)
        self._poll()

    def on_show(self) -> None:
        self._poll()

    def _poll(self) -> None:
        if self._reader is not None and not self._reading and self.is_on_screen:
            self._reading = True
            self.run_worker(self._read(self._reader), group="log")

    async def _read(self, reader: LogReader) -> None:
        try:
            grown = await asyncio.to_thread(reader.read)
            problem = ""
        except OSError as error:
            grown, problem = False, f"the log cannot be read: {error.strerror or error}"
        finally:
            self._reading = False
        if reader is self._reader and (grown or problem != self._problem):
            self._problem = problem
            self._show()

    @property
    def shown(self) -> list[str]:
        """The lines that are shown."""
        if self._problem:
            return [self._problem]
        if self._reader is None:
            return []
        return [*self._reader.lines, self._reader.partial] if self._reader.partial else self._reader.lines

    def _show(self) -> None:
        lines = self.shown
        self.virtual_size = Size(max((len(line) for line in lines[-500:]), default=0), len(lines))
        if self._following:
            self.call_after_refresh(self.scroll_end, animate=False, immediate=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value:
            self._following = False
        elif new_value >= self.max_scroll_y:
            self._following = True

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        lines = self.shown
        if not lines and y == 0:
            style = base + ink(self, "log-tail--muted")
            return Strip([Segment("nothing in the log yet", style)]).adjust_cell_length(width, base)
        left, top = self.scroll_offset
        row = y + int(top)
        if row >= len(lines):
            return Strip.blank(width, base)
        return Strip([Segment(lines[row], base)]).crop(int(left), int(left) + width).adjust_cell_length(width, base)
