"""What differs between two versions, row by row."""

from collections import defaultdict, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.splitting import row_key
from engine.datasets.making.steps import IsCancelled, Progress, check_cancelled
from engine.datasets.similarity import splits_of
from store.records import Dataset

_CHUNK = 1_000


@dataclass(frozen=True)
class Diff:
    """Rows by their indices, in `a` or in `b`; of pairs first that in `a`.

    `same` counts rows with the same content in both, those in another split included, which are the pairs of `moved`.
    """

    same: int
    added: list[int]
    removed: list[int]
    changed: list[tuple[int, int]]
    moved: list[tuple[int, int]] = field(default_factory=list)


def diff(
    library: DatasetLibrary,
    a: Dataset,
    b: Dataset,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Diff:
    """From `a` to `b`, by content: turns, calls, verdict and tools, not metadata; the order of rows does not matter.

    A row that is in both as often is the same. Of the others, a row is `changed` where `b` has one that asks the same
    and answers otherwise; and where `a` and `b` are versions of one another, one at the same place between two rows
    that stayed (an edited question). What is left was `added` or `removed`. Raises `Cancelled`.
    """
    old_hashes, new_hashes = library.hashes(a.id), library.hashes(b.id)
    old_splits, new_splits = splits_of(library, a), splits_of(library, b)
    check_cancelled(cancelled)
    pairs = _paired(
        list(zip(old_hashes, old_splits, strict=True)),
        list(zip(new_hashes, new_splits, strict=True)),
        range(a.rows),
        range(b.rows),
    )
    old_left, new_left = _left(pairs, a.rows, b.rows)
    moved = _paired([old_hashes[row] for row in old_left], [new_hashes[row] for row in new_left], old_left, new_left)
    pairs |= moved
    old_left, new_left = _left(pairs, a.rows, b.rows)
    if progress is not None:
        progress(0.5)
    changed: dict[int, int] = {}
    if old_left and new_left:
        keys = [_asked(library, one, rows, cancelled) for one, rows in ((a, old_left), (b, new_left))]
        changed = _paired(keys[0], keys[1], old_left, new_left)
        if _related(library, a, b):
            changed |= _between(pairs | changed, a.rows, b.rows)
        old_left, new_left = _left(pairs | changed, a.rows, b.rows)
    if progress is not None:
        progress(1.0)
    return Diff(len(pairs), new_left, old_left, sorted(changed.items()), sorted(moved.items()))


def _paired(
    old: Sequence[Hashable], new: Sequence[Hashable], old_rows: Sequence[int], new_rows: Sequence[int]
) -> dict[int, int]:
    """Rows of both with equal keys, each in one pair, in order."""
    free: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for key, row in zip(new, new_rows, strict=True):
        free[key].append(row)
    return {row: free[key].popleft() for key, row in zip(old, old_rows, strict=True) if free.get(key)}


def _left(pairs: Mapping[int, int], old: int, new: int) -> tuple[list[int], list[int]]:
    """Rows of both that are in no pair."""
    used = set(pairs.values())
    return [row for row in range(old) if row not in pairs], [row for row in range(new) if row not in used]


def _asked(
    library: DatasetLibrary, dataset: Dataset, rows: Sequence[int], cancelled: IsCancelled | None
) -> list[bytes]:
    keys = []
    for start in range(0, len(rows), _CHUNK):
        check_cancelled(cancelled)
        keys += [row_key(row) for row in library.take(dataset.id, rows[start : start + _CHUNK])]
    return keys


def _related(library: DatasetLibrary, a: Dataset, b: Dataset) -> bool:
    """Whether both come from one import."""
    return library.lineage(a.id)[-1] == library.lineage(b.id)[-1]


def _between(pairs: Mapping[int, int], old: int, new: int) -> dict[int, int]:
    """Runs of rows in no pair that lie between the same neighbours in both, and are as many."""
    found: dict[int, int] = {}
    used = set(pairs.values())
    start = 0
    while start < old:
        if start in pairs:
            start += 1
            continue
        end = start
        while end < old and end not in pairs:
            end += 1
        first = pairs[start - 1] + 1 if start else 0
        last = pairs[end] if end < old else new
        if last - first == end - start and not any(row in used for row in range(first, last)):
            found.update(zip(range(start, end), range(first, last), strict=True))
        start = end
    return found
