"""What the log's view asks for in a thread, and what it gets: a page of lines, and how many there are."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from tui.widgets.log_levels import ERROR, WARNING
from tui.widgets.log_lines import LogLines
from tui.widgets.log_search import LogSearch

MARGIN = 400
"""Lines that are read before and after those on the screen, so that scrolling finds them there."""
PREVIEW = 1000
"""Lines of the end that are shown while a long file is still being counted."""
SPELL_S = 0.05
"""How long the file is looked through before the view gets what there is; not at all where lines are waited for."""


@dataclass(frozen=True)
class Page:
    """Some lines on end, of all or of those of a level. `numbers` are their places in the file, from 0."""

    first: int = 0
    texts: Sequence[str] = ()
    numbers: Sequence[int] = ()
    levels: Sequence[str] = ()

    def place(self, row: int) -> int | None:
        """Where a row is in this page; `None` where it is not."""
        return row - self.first if self.first <= row < self.first + len(self.texts) else None

    def covers(self, first: int, last: int) -> bool:
        """Whether the rows from `first` to before `last` are there."""
        return self.first <= first and last <= self.first + len(self.texts)


@dataclass(frozen=True)
class Wanted:
    """What the view shows: the rows of a level from `first` on, or, where it follows, the last ones."""

    level: str
    first: int
    rows: int
    follows: bool


@dataclass(frozen=True)
class Reading:
    """How the log stands."""

    page: Page
    rows: int
    """Rows there are, of all lines or of those of the level."""
    lines: int
    """Lines of the file."""
    errors: int
    warnings: int
    numbers: Sequence[int] | None
    """The places in the file of all rows; `None` where rows are lines."""
    counted: float
    """How much of the file has been counted through, 0 to 1; below 1 the page is a preview of its end."""
    marked: float
    """How much of it has been looked through for errors and warnings."""
    matches: Sequence[int]
    """The rows that have the words in them."""
    searched: bool
    more: bool
    """Whether there is more to be taken in right away."""

    def row_of(self, number: int) -> int:
        """The row of a line of the file, or of the next one that is shown."""
        return number if self.numbers is None else bisect_left(self.numbers, number)


NOTHING = Reading(Page(), 0, 0, 0, 0, None, 1.0, 1.0, (), True, False)


def look(log: LogLines, search: LogSearch | None, wanted: Wanted, before: Reading) -> Reading:
    """Take in what is new, for a moment, and read the page that is wanted. Raises `OSError`."""
    size, ended = log.size, log.count
    top = max(0, before.rows - wanted.rows) if wanted.follows else min(wanted.first, before.rows)
    waited_for = not before.page.covers(top, min(before.rows, top + wanted.rows))
    spell_s = 0.0 if waited_for else SPELL_S
    log.advance(spell_s)
    errors, warnings = log.levels[ERROR], log.levels[WARNING]
    if not log.complete and not before.lines:
        return _preview(log, before)
    numbers: Sequence[int] | None = None
    if wanted.level == ERROR:
        numbers = errors
    elif wanted.level:
        numbers = array("I", sorted([*errors, *warnings]))
    rows = log.count if numbers is None else len(numbers)
    first = max(0, rows - wanted.rows) if wanted.follows else min(wanted.first, max(0, rows - 1))
    page = before.page
    grown = (log.size, log.count) != (size, ended) and page.first + len(page.texts) >= before.rows
    same = (before.numbers is None) == (numbers is None) and before.counted >= 1 and log.size >= size
    if grown or not same or numbers is not None or not page.covers(first, min(rows, first + wanted.rows)):
        page = _page(log, numbers, max(0, first - MARGIN), min(rows, first + wanted.rows + MARGIN))
    searching = search.advance(log.counted, spell_s) if search else False
    return Reading(
        page,
        rows,
        log.count,
        len(errors),
        len(warnings),
        numbers,
        1.0,
        log.marked / max(1, log.size),
        _matches(log, search, numbers) if search else (),
        not searching,
        searching or not log.settled,
    )


def _page(log: LogLines, numbers: Sequence[int] | None, first: int, last: int) -> Page:
    places = range(first, last) if numbers is None else numbers[first:last]
    return Page(first, log.read(places), places, [log.level(number) for number in places])


def _preview(log: LogLines, before: Reading) -> Reading:
    """The end of a file that is still being counted."""
    texts = before.page.texts or log.tail(PREVIEW)
    page = Page(0, texts, range(len(texts)), [""] * len(texts))
    return Reading(page, len(texts), 0, 0, 0, None, log.counted / max(1, log.size), 0.0, (), False, True)


def _matches(log: LogLines, search: LogSearch, numbers: Sequence[int] | None) -> Sequence[int]:
    """The rows that match, with the file's last line, which the search leaves out until it has ended."""
    found: Sequence[int] = search.matches
    last = log.count - 1
    if log.unended and search.hits(log.read([last])[0]) and (not found or found[-1] != last):
        found = [*found, last]
    if numbers is None:
        return found
    rows = []
    for number in found:
        row = bisect_left(numbers, number)
        if row < len(numbers) and numbers[row] == number:
            rows.append(row)
    return rows
