"""A file that was read: its text in parts, before it is cut into passages."""

from dataclasses import dataclass


class Unreadable(Exception):
    """A file that cannot be used as a note. The message completes “It is skipped: it …”, as in `is empty`."""


@dataclass(frozen=True)
class Part:
    """A stretch of text that no passage leaves: a page of a PDF, or all of any other file."""

    text: str
    page: int | None = None
    """From 1, where there are pages."""
    lines: bool = False
    """Whether lines of `text` are lines of the file, so that a passage can name its own."""


@dataclass(frozen=True)
class Note:
    """What a file says."""

    name: str
    """Stands for a heading where there is none."""
    parts: tuple[Part, ...]
    headings: bool = False
    """Whether `#` and underlined lines are headings."""
    problem: str = ""
    """Why it is not all there: `stops at page 12: it took too long`."""
