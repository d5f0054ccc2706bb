"""What a run's processes printed: followed, searched, warnings and errors in colour."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_percent
from tui.text import clean_line
from tui.widgets.find_line import FindLine
from tui.widgets.log_search import MOST_MATCHES
from tui.widgets.log_tail import LogTail
from tui.widgets.run_pane import RunPane

if TYPE_CHECKING:
    from store.records import Run
    from tui.services import Services

LEVELS = {"": "all lines", "warning": "warnings and errors", "error": "errors"}
"""What `L` goes through."""


@dataclass(frozen=True)
class LogFile:
    """Where a run's log is, and what is to be said where there is none."""

    path: Path
    there: bool
    empty: str
    """Why there is nothing to read."""


class LogPane(RunPane):
    """The log, a line about it, and a line to search it by."""

    DEFAULT_CSS = """
    LogPane {
        layout: vertical;
        #about { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        #none { height: auto; padding: 1 2; display: none; }
        LogTail { padding: 0 1; }
        &.-none #none { display: block; }
    }
    """
    KEYS_TO = "#log-lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "search", id="log.find", key_display="/", tooltip="Search all of the log"),
        Binding("n", "match(1)", "next match", id="log.next", tooltip="The next line with the words in it"),
        Binding("N", "match(-1)", "match before", id="log.previous", show=False, tooltip="The match before"),
        Binding("L", "level", "levels", id="log.level", tooltip="All lines, warnings and errors, errors"),
        Binding("W", "wrap", "wrap", id="log.wrap", tooltip="Break long lines, or let them run out to the right"),
        Binding("escape", "end_find", "end the search", id="log.end_find", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._file = LogFile(Path(), there=False, empty="")
        self._go_on = False
        """Whether the first match is to be gone to once there is one."""

    def compose(self) -> ComposeResult:
        yield Static("", id="about", markup=False)
        yield Static("", id="none", markup=False)
        yield LogTail(id="log-lines")
        yield FindLine("words in the log: Error, saved, step 200 …")

    def read(self, services: "Services", run: "Run") -> LogFile:
        path = Path(run.dir) / "log.txt"
        return LogFile(path, path.is_file(), _why_empty(run))

    def show(self, found: LogFile) -> None:
        self._file = found
        self.query_one(LogTail).follow(found.path)
        self._say()

    @on(LogTail.Read)
    def _read_on(self, event: LogTail.Read) -> None:
        event.stop()
        log = self.query_one(LogTail)
        if self._go_on and log.reading.matches:
            self._go_on = False
            log.go_to_match(-1 if log.follows else 1)
        self._say()

    def _say(self) -> None:
        """Say how much there is, where one is, and what was found."""
        log = self.query_one(LogTail)
        reading, search = log.reading, self.query_one(FindLine)
        nothing = self._nothing()
        self.set_class(nothing is not None, "-none")
        if nothing is not None:
            self.query_one("#none", Static).update(nothing)
        self.query_one("#about", Static).update("" if not reading.rows and not reading.lines else self._about())
        if search.text:
            found = len(reading.matches)
            words = f"{found:,}{'+' if found >= MOST_MATCHES else ''} {'line' if found == 1 else 'lines'}"
            if log.at_match is not None and log.at_match in reading.matches:
                words = f"{reading.matches.index(log.at_match) + 1:,} of {words}"
            words += "" if reading.searched else " …"
            search.show_count(words + " · n N" if found else words, none=not found and reading.searched)

    def _about(self) -> Content:
        log = self.query_one(LogTail)
        reading = log.reading
        if reading.counted < 1:
            return Content(f"the end of the log; the rest is being counted, {fmt_percent(reading.counted)}")
        parts: list[Content | str | tuple[str, str]] = [
            f"{reading.lines:,} {'line' if reading.lines == 1 else 'lines'}"
        ]
        for count, noun, style in (
            (reading.errors, "errors", "$text-error"),
            (reading.warnings, "warnings", "$text-warning"),
        ):
            if count:
                parts += [" · ", (f"{count:,} {'line' if count == 1 else 'lines'} of {noun}", style)]
        if reading.marked < 1:
            parts.append(f" · looking for errors {fmt_percent(reading.marked)}")
        if log.level:
            parts.append(f" · {LEVELS[log.level]} only, L shows more")
        top = int(log.scroll_offset.y)
        if log.follows:
            parts.append(" · follows the end")
        elif (place := reading.page.place(top)) is not None:
            parts.append(f" · line {reading.page.numbers[place] + 1:,}, G follows the end")
        return Content.assemble(*parts)

    def _nothing(self) -> Content | None:
        """What is said where no line is shown."""
        log = self.query_one(LogTail)
        if log.problem:
            fix = "\nLook at the rights of that file; it is read again by itself."
            return Content.assemble((log.problem, "$text-error"), f"\n{self._file.path}", (fix, "$text-muted"))
        if log.reading.rows:
            return None
        if log.level and log.reading.lines:
            still = " yet" if log.reading.marked < 1 else ""
            words = "No errors" if log.level == "error" else "No warnings and no errors"
            return Content.assemble(
                (f"{words} in the log{still}. ", "$text-success"), ("L shows all of it.", "$text-muted")
            )
        if not self._file.there:
            return Content(self._file.empty).stylize("$text-muted")
        return Content("Nothing has been printed yet: the log is empty.").stylize("$text-muted")

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("match", "end_find"):
            return self.is_mounted and self.query_one(FindLine).is_open
        return True

    def action_find(self) -> None:
        self.query_one(FindLine).start()

    def action_end_find(self) -> None:
        self.query_one(FindLine).action_close()

    def action_match(self, direction: int) -> None:
        self.query_one(LogTail).go_to_match(direction)

    def action_level(self) -> None:
        """Show fewer lines: all, warnings and errors, errors; and all again."""
        log, levels = self.query_one(LogTail), list(LEVELS)
        log.show_level(levels[(levels.index(log.level) + 1) % len(levels)])
        self._say()

    def action_wrap(self) -> None:
        log = self.query_one(LogTail)
        log.wrap(not log.wraps)

    @on(FindLine.Changed)
    def _looked_for(self, event: FindLine.Changed) -> None:
        event.stop()
        self._go_on = bool(event.text)
        self.query_one(LogTail).search(event.text)
        self._say()
        self.refresh_bindings()

    @on(FindLine.Left)
    def _left(self, event: FindLine.Left) -> None:
        event.stop()
        self.focus()
        self.refresh_bindings()


def _why_empty(run: "Run") -> str:
    """Why there is no log."""
    if run.source:
        return "No log came with this run: what it was imported from keeps none."
    if run.status.value == "queued":
        return "No log yet. It begins when the run leaves the queue and its processes start."
    if run.status.live:
        return "No log yet. It begins with the first line that the run's processes print."
    return f"The log is gone: there is no log.txt in\n{clean_line(run.dir)}\nThe events and the figures do not need it."
