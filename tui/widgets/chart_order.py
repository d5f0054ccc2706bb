"""Which of many charts are on the screen: pins first, the rest by pages, cut by a pattern; and their layout."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

MOST = 9
STEPS = (1, 2, 3, 4, 6, 9)
"""The numbers of charts that the keys go through."""
NARROW, LOW = 24, 5
"""Columns and lines below which one more chart beside or below the others says nothing."""
BEST_WIDTH, BEST_HEIGHT = 44, 11
"""What a chart likes to have."""


@dataclass
class ChartOrder:
    """All charts, the pinned ones, the pattern, and the cursor; says what is on the screen."""

    titles: dict[str, str] = field(default_factory=dict)
    pinned: list[str] = field(default_factory=list)
    pattern: str = ""
    cursor: str = ""
    page: int = 0

    @property
    def found(self) -> list[str]:
        """The charts that the pattern leaves, the pinned ones first."""
        matching = [name for name, title in self.titles.items() if matches(self.pattern, name, title)]
        pins = [name for name in self.pinned if name in matching]
        return pins + [name for name in matching if name not in pins]

    def shown(self, room: int) -> list[str]:
        """The charts on the screen where there is room for so many. Pinned ones are on every page, but leave room for
        another."""
        found = self.found
        kept, paged, size = self._parts(found, room)
        start = min(self.page, max(0, (len(paged) - 1) // size)) * size
        # The last page is filled up with charts of the one before, so that no chart changes its size.
        start = max(0, min(start, len(paged) - size))
        return kept + paged[start : start + size]

    def pages(self, room: int) -> int:
        """How many pages there are."""
        _, paged, size = self._parts(self.found, room)
        return max(1, -(-len(paged) // size))

    def follow(self, room: int) -> None:
        """Go to the page that the cursor is on; where its chart is gone, put the cursor on the first one."""
        found = self.found
        if self.cursor not in found:
            self.cursor = found[0] if found else ""
            self.page = 0
        _, paged, size = self._parts(found, room)
        if self.cursor in paged and self.cursor not in self.shown(room):
            self.page = paged.index(self.cursor) // size
        self.page = min(self.page, self.pages(room) - 1)

    def move(self, places: int, room: int) -> None:
        """Move the cursor; at the ends it stays."""
        found = self.found
        if self.cursor in found:
            self.cursor = found[min(max(found.index(self.cursor) + places, 0), len(found) - 1)]
        self.follow(room)

    def turn(self, pages: int, room: int) -> None:
        """Turn pages; the cursor goes to the first chart that was not there before."""
        before = self.shown(room)
        self.page = min(max(self.page + pages, 0), self.pages(room) - 1)
        after = self.shown(room)
        new = [name for name in after if name not in before]
        if new:
            self.cursor = new[0]

    def pin(self) -> bool:
        """Pin the chart with the cursor, or let it go; whether there was one."""
        if self.cursor not in self.titles:
            return False
        if self.cursor in self.pinned:
            self.pinned.remove(self.cursor)
        else:
            self.pinned.append(self.cursor)
        return True

    def _parts(self, found: Sequence[str], room: int) -> tuple[list[str], list[str], int]:
        """Charts of every page, charts that are paged, and how many of those a page has."""
        kept = [name for name in self.pinned if name in found][: max(0, room - 1)]
        paged = [name for name in found if name not in kept]
        return kept, paged, max(1, room - len(kept))


def matches(pattern: str, name: str, title: str) -> bool:
    """Whether each word of a pattern is in the chart's id or title; a word with `*` or `?` has to fit all of one."""
    texts = (name.casefold(), title.casefold())
    return all(
        any(fnmatchcase(text, word) if set(word) & set("*?") else word in text for text in texts)
        for word in pattern.casefold().split()
    )


def room_for(count: int, width: int, height: int) -> int:
    """How many of `count` charts fit so that each can be read."""
    return max(1, min(count, MOST, max(1, width // NARROW) * max(1, height // LOW)))


def layout(count: int, width: int, height: int) -> tuple[int, int]:
    """Columns and rows for so many charts: each as near to what it likes as can be, and no places left empty."""

    def fit(columns: int) -> tuple[float, int]:
        rows = -(-count // columns)
        narrow, low = width / columns < NARROW, height / rows < LOW
        share = min(1.0, width / columns / BEST_WIDTH) * min(1.0, height / rows / BEST_HEIGHT)
        return share * (0.1 if narrow or low else 1.0) * count / (columns * rows), -columns

    columns = max(range(1, max(1, count) + 1), key=fit)
    return columns, -(-count // columns)
