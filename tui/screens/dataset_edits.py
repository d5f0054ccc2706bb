"""Changes to rows that are not written yet: drops, edits, and taking them back one by one."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.datasets.rows import Row


@dataclass
class PendingEdits:
    """What `w` would write as a new version. Rows are named by their index."""

    changed: "dict[int, Row]" = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    _undo: "list[tuple[int, dict[int, Row | None], set[int]]]" = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.dropped)

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    def row(self, row: "Row") -> "Row":
        """The row as it would be written."""
        return self.changed.get(row.index, row)

    def drop(self, rows: Collection[int]) -> bool:
        """Drop rows; where all of them are dropped already, take them back. Returns whether they are dropped now."""
        wanted = set(rows)
        if not wanted:
            return False
        self._undo.append((min(wanted), {}, set(self.dropped)))
        if wanted <= self.dropped:
            self.dropped -= wanted
            return False
        self.dropped |= wanted
        return True

    def change(self, original: "Row", row: "Row") -> None:
        """Put `row` in the place of `original`, the row as it is stored."""
        before = self.changed.get(row.index)
        self._undo.append((row.index, {row.index: before}, set(self.dropped)))
        if _same(original, row):
            self.changed.pop(row.index, None)
        else:
            self.changed[row.index] = row

    def undo(self) -> int | None:
        """Take the last change back; returns the row that it was about."""
        if not self._undo:
            return None
        index, rows, self.dropped = self._undo.pop()
        for changed, before in rows.items():
            if before is None:
                self.changed.pop(changed, None)
            else:
                self.changed[changed] = before
        return index

    def clear(self) -> None:
        """Forget everything."""
        self.changed, self.dropped, self._undo = {}, set(), []

    @property
    def words(self) -> str:
        """`3 edits, 2 drops`. A row that is edited and dropped counts as dropped."""
        edits = len(self.changed.keys() - self.dropped)
        parts = [_counted(edits, "edit"), _counted(len(self.dropped), "drop")]
        return ", ".join(part for part in parts if part)


def _same(one: "Row", other: "Row") -> bool:
    names = ("messages", "chosen", "rejected", "label", "tools", "split")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}" if count else ""
