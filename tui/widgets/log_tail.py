"""A text file that grows, all of it: followed at its end, scrolled anywhere, searched, its errors in colour."""

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.ink import ink
from tui.widgets.log_lines import LogLines
from tui.widgets.log_reading import NOTHING, Reading, Wanted, look
from tui.widgets.log_search import LogSearch, next_match

POLL_S = 0.5
SIDEWAYS = 8
"""Cells that one key moves sideways."""

Drawn = tuple[int, int, str]
"""A line on the screen: its row, the first character of the row's text in it, and that part of the text."""


class LogTail(ScrollView, can_focus=True):
    """Shows a file line by line. Reads in a thread, only while it is shown, and only what is on the screen."""

    DEFAULT_CSS = """
    LogTail {
        height: 1fr;
        scrollbar-size: 0 1;
        .log-tail--error { color: $text-error; }
        .log-tail--warning { color: $text-warning; }
        .log-tail--match { color: $text-accent; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log-tail--{name}" for name in ("error", "warning", "match")}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", id="log.down", show=False),
        Binding("k", "scroll_up", "up", id="log.up", show=False),
        Binding("h,left", f"sideways({-SIDEWAYS})", "left", id="log.left", show=False),
        Binding("l,right", f"sideways({SIDEWAYS})", "right", id="log.right", show=False),
        Binding("ctrl+d", "page_down", "page down", id="log.page_down", show=False),
        Binding("ctrl+u", "page_up", "page up", id="log.page_up", show=False),
        Binding("g,home", "scroll_home", "first", id="log.first", show=False),
        Binding("G,end", "follow", "follow", id="log.last", key_display="G", tooltip="Go to the end, and follow"),
    ]
    ALLOW_SELECT = False

    class Read(Message):
        """There is more of the log, or the view is at another place of it."""

    def __init__(self, path: Path | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.reading = NOTHING
        self.problem = ""
        """Why the log cannot be read."""
        self.follows = True
        self.wraps = False
        self.level = ""
        """The least level that is shown: empty, `warning` or `error`."""
        self.at_match: int | None = None
        """The row of the match that was gone to last."""
        self._log = LogLines(path) if path else None
        self._search: LogSearch | None = None
        self._working = False
        self._again = False
        self._fits = 0
        """How many of the last rows fill the view, where lines are wrapped."""
        self._widest = 0
        self._drawn: list[Drawn] = []
        self._drawn_for: object = None

    @property
    def path(self) -> Path | None:
        """The file that is shown."""
        return self._log.path if self._log else None

    def follow(self, path: Path) -> None:
        """Show this file from now on, and follow it."""
        if self.path != path:
            self._log, self._search = LogLines(path), None
            self.reading, self.follows, self._widest = NOTHING, True, 0
            self.poll()

    def on_mount(self) -> None:
        self.set_interval(POLL_S, self.poll)

    def on_show(self) -> None:
        self.poll()

    # reading

    def poll(self) -> None:
        """Look for what is new, and read what is on the screen now."""
        if self._log is None or not self.is_on_screen:
            return
        if self._working:
            self._again = True
            return
        self._working = True
        self.run_worker(self._work(), group="log")

    async def _work(self) -> None:
        try:
            more = True
            while more and self._log is not None and self.is_attached:
                self._again = False
                log, search, level = self._log, self._search, self.level
                wanted = Wanted(level, int(self.scroll_offset.y), max(1, self.size.height), self.follows)
                try:
                    found = await asyncio.to_thread(look, log, search, wanted, self.reading)
                except OSError as error:
                    self.problem, more = f"The log cannot be read: {error.strerror or error}.", False
                    self.refresh()
                    self.post_message(self.Read())
                    continue
                if (log, search, level) == (self._log, self._search, self.level):
                    self.problem = ""
                    self._take(found)
                more = found.more or self._again
        finally:
            self._working = False

    def _take(self, found: Reading) -> None:
        before = self.reading
        self.reading = found
        if found == before:
            return
        if before.counted < 1 <= found.counted and not self.follows:  # it was a preview of the end
            top = int(self.scroll_offset.y) + found.rows - before.rows
            self._measure()
            self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)
        self._measure()
        if self.follows:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)
        self._drawn_for = None
        self.refresh()
        self.post_message(self.Read())

    def _measure(self) -> None:
        """Say how far one can scroll."""
        page, rows, height = self.reading.page, self.reading.rows, max(1, self.size.height)
        if not self.wraps:
            self._widest = max(self._widest, max((cell_len(text) for text in page.texts), default=0))
            self.virtual_size = Size(self._widest, rows)
            return
        if page.first + len(page.texts) >= rows:
            used = self._fits = 0
            for text in reversed(page.texts):
                used += len(self._parts(text))
                if used > height and self._fits:
                    break
                self._fits += 1
        self.virtual_size = Size(self.size.width, max(0, rows - min(self._fits or height, rows)) + height)

    # what is asked of it

    def show_level(self, level: str) -> None:
        """Show all lines, warnings and errors, or errors; what was on top stays there where it can."""
        page, top = self.reading.page, int(self.scroll_offset.y)
        place = page.place(top)
        number = page.numbers[place] if place is not None else None
        self.level, self.at_match = level, None
        log = self._log
        if log is not None and not self.follows and number is not None:
            marked = sorted([*log.levels["error"], *(log.levels["warning"] if level == "warning" else ())])
            row = number if not level else sum(one < number for one in marked)
            self.virtual_size = Size(self.virtual_size.width, max(self.virtual_size.height, row + self.size.height))
            self.scroll_to(y=row, animate=False, immediate=True, force=True)
        self.poll()

    def wrap(self, on: bool) -> None:
        """Break lines that are wider than the view, or let them run out of it."""
        self.wraps = on
        self._drawn_for = None
        self._measure()
        self.scroll_to(x=0, y=self.max_scroll_y if self.follows else None, animate=False, immediate=True, force=True)
        self.refresh()

    def search(self, text: str) -> None:
        """Mark these words, and find the lines with them; empty ends that."""
        self._search = LogSearch(self._log.path, text) if text and self._log else None
        self.at_match = None
        self.refresh()
        self.poll()

    def go_to_match(self, direction: int) -> None:
        """Go to the next line with the words in it, or to the one before."""
        top = int(self.scroll_offset.y)
        here = self.at_match
        if here is None:
            here = top - 1 if direction > 0 else top + self.size.height
        row = next_match(self.reading.matches, here, direction)
        if row is None:
            return
        self.at_match = row
        self.follows = False
        if not top <= row < top + self.size.height - 1:
            self.scroll_to(y=max(0, row - self.size.height // 2), animate=False, immediate=True, force=True)
        self.follows = False
        self.refresh()
        self.poll()
        self.post_message(self.Read())

    def action_follow(self) -> None:
        self.follows = True
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)
        self.poll()
        self.post_message(self.Read())

    def action_sideways(self, cells: int) -> None:
        self.scroll_relative(x=cells, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value <= self.max_scroll_y:  # beyond that, it is the log that became shorter
            self.follows = False
        elif new_value >= self.max_scroll_y:
            self.follows = True
        top = int(new_value)
        if not self.reading.page.covers(top, min(self.reading.rows, top + self.size.height)):
            self.poll()
        self.post_message(self.Read())

    def on_resize(self, event: events.Resize) -> None:
        self._drawn_for = None
        self._measure()
        if self.follows:
            self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)
        self.poll()

    # drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        drawn = self._lines_on_screen()
        if y >= len(drawn):
            return Strip.blank(width, base)
        row, start, text = drawn[y]
        place = self.reading.page.place(row)
        level = self.reading.page.levels[place] if place is not None else ""
        style = base + ink(self, f"log-tail--{level}") if level else base
        strip = Strip(self._segments(row, start, text, style))
        left = 0 if self.wraps else int(self.scroll_offset.x)
        return strip.crop(left, left + width).adjust_cell_length(width, base)

    def _segments(self, row: int, start: int, text: str, style: Style) -> list[Segment]:
        """The text with the words that are looked for marked, those of the match at hand turned round."""
        page, place = self.reading.page, self.reading.page.place(row)
        if self._search is None or place is None:
            return [Segment(text, style)]
        marked = style + ink(self, "log-tail--match") + Style(underline=True, reverse=row == self.at_match)
        segments, at = [], 0
        for begin, end in self._search.hits(page.texts[place]):
            begin, end = max(at, begin - start), min(len(text), end - start)
            if begin < end:
                segments += [Segment(text[at:begin], style), Segment(text[begin:end], marked)]
                at = end
        return [*segments, Segment(text[at:], style)]

    def _lines_on_screen(self) -> list[Drawn]:
        """What is drawn: a row a line, or several where lines are wrapped. A row that is being read is blank."""
        top, height = int(self.scroll_offset.y), self.size.height
        page = self.reading.page
        key = (top, height, self.size.width, self.wraps, id(page))
        if key != self._drawn_for:
            self._drawn_for, self._drawn = key, []
            for row in range(top, min(self.reading.rows, top + height)):
                place = page.place(row)
                text = page.texts[place] if place is not None else ""
                start = 0
                for part in self._parts(text) if self.wraps else [text]:
                    self._drawn.append((row, start, part))
                    start += len(part)
                if len(self._drawn) >= height:
                    break
        return self._drawn

    def _parts(self, text: str) -> list[str]:
        return chop_cells(text, max(1, self.size.width)) or [""]
