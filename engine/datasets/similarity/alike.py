"""Which rows are alike: locality-sensitive hashing finds candidates, the shingles themselves decide.

A signature is cut into bands; rows that agree in a whole band are candidates. The bands are chosen so that 99.9 % of
the pairs at the threshold are candidates, and more above it (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets,
3.4). Where very many rows agree in a band, because they share a long instruction, candidates come from their rarest
shingles instead: sets that are alike enough share one of those (Xiao and others, PPJoin, 2008: prefixes by size).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine.datasets.similarity.shingles import PERMUTATIONS
from engine.datasets.similarity.signing import Signatures
from engine.errors import Cancelled

if TYPE_CHECKING:
    from numpy import uint32, uint64
    from numpy.typing import NDArray

RECALL = 0.999
_CROWD = 256
"""More rows in a band than this are looked at by their rarest shingles."""

_MOST_COMPARED = 2_000
_MOST_VERIFIED = 64
"""Bounds on the work for a row, met only where thousands of rows are all but alike: the latest so many rows of a bucket
are estimated, and the most promising so many of all are verified."""

_DEVIATIONS = 4
"""How far below the likeness an estimate from signatures may lie."""

_MIX = 0x9E3779B97F4A7C15

Progress = Callable[[float], None]
IsCancelled = Callable[[], bool]
_Buckets = dict[int, Sequence[int]]


def bands(threshold: float) -> tuple[int, int]:
    """How many bands of how many places, as selective as a recall of `RECALL` at the threshold allows."""
    for width in range(PERMUTATIONS, 1, -1):
        count = PERMUTATIONS // width
        if 1 - (1 - threshold**width) ** count >= RECALL:
            return count, width
    return PERMUTATIONS, 1


def jaccard(one: "NDArray[uint32]", other: "NDArray[uint32]") -> float:
    """Shared over all members of two ascending sets; two empty sets are not alike."""
    import numpy as np

    if not len(one) or not len(other):
        return 0.0
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


class Alike:
    """A search for rows that are at least `threshold` alike, as far as they are of the same of `kinds`."""

    def __init__(
        self,
        signatures: Signatures,
        threshold: float,
        order: "NDArray[Any]",
        *,
        kinds: "NDArray[Any] | None" = None,
        apart: "NDArray[Any] | None" = None,
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> None:
        """`order` holds the rows to look at, those that are preferred first.

        Where rows with the same shingles must not be taken for one, though they are compared, `apart` differs.
        """
        self._signatures = signatures
        self._threshold = threshold
        self._kinds = kinds
        self._progress = progress
        self._cancelled = cancelled
        self._first, self._copies = self._distinct(order, kinds if apart is None else apart)
        self._least = PERMUTATIONS * (threshold - _DEVIATIONS * math.sqrt(threshold * (1 - threshold) / PERMUTATIONS))
        self._asked, self._entered = self._find_buckets()
        self._met: dict[int, list[int]] = {}

    def leaders(self) -> list[list[int]]:
        """Groups, the preferred row first: every other row is alike to that one, and no two first rows are alike."""
        groups: dict[int, list[int]] = {}
        for row in self._rows():
            group = next(self._twins(row), row)
            groups.setdefault(group, []).extend((row, *self._copies.get(row, ())))
            if group == row:
                self._remember(row)
        return [group for group in groups.values() if len(group) > 1]

    def chains(self) -> list[list[int]]:
        """Groups of rows that are linked by rows alike: no two rows of different groups are alike."""
        roots: dict[int, int] = {}

        def root(row: int) -> int:
            while (above := roots.get(row, row)) != row:
                roots[row] = roots.get(above, above)
                row = above
            return row

        def linked(row: int, other: int) -> bool:
            return root(row) == root(other)

        groups: dict[int, list[int]] = {}
        for row in self._rows():
            joined = False
            for twin in self._twins(row, skip=linked):
                roots[root(row)] = root(twin)
                joined = True
            self._remember(row, most=_CROWD if joined else None)
        for row in self._first:
            groups.setdefault(root(row), []).extend((row, *self._copies.get(row, ())))
        return [sorted(group) for group in groups.values() if len(group) > 1]

    def across(self, ranks: "NDArray[Any]") -> list[tuple[int, int]]:
        """Each row with one alike that has a lower rank. `order` must be by rank, and `apart` the rank."""
        found: list[tuple[int, int]] = []
        waiting: list[int] = []
        for row in self._rows():
            if waiting and ranks[waiting[0]] < ranks[row]:
                for before in waiting:
                    self._remember(before)
                waiting = []
            waiting.append(row)
            twin = next(self._twins(row), None)
            if twin is not None:
                found += [(copy, twin) for copy in (row, *self._copies.get(row, ()))]
        return sorted(found)

    # inside

    def _rows(self) -> Iterator[int]:
        for done, row in enumerate(self._first):
            if not done % 512:
                if self._cancelled is not None and self._cancelled():
                    raise Cancelled
                if self._progress is not None:
                    self._progress(done / len(self._first))
            yield row
        if self._progress is not None:
            self._progress(1.0)

    def _twins(self, row: int, skip: Callable[[int, int], bool] | None = None) -> Iterator[int]:
        """Rows met before that are alike to `row`, found bucket by bucket."""
        import numpy as np

        seen: set[int] = set()
        left = _MOST_VERIFIED
        own = None
        for bucket in self._asked.get(row, ()):
            fresh = [other for other in self._met.get(bucket, ())[-_MOST_COMPARED:] if other not in seen]
            if not fresh:
                continue
            seen.update(fresh)
            own = self._signatures.digests[row] if own is None else own
            equal = np.count_nonzero(self._signatures.digests[fresh] == own, axis=1)
            for place in np.argsort(-equal, kind="stable").tolist():
                if equal[place] < self._least or not left:
                    break
                other = fresh[place]
                if skip is not None and skip(row, other):
                    continue
                if self._alike(row, other):
                    yield other
                else:
                    left -= 1

    def _alike(self, row: int, other: int) -> bool:
        if self._kinds is not None and self._kinds[row] != self._kinds[other]:
            return False
        one, two = self._signatures.of(row), self._signatures.of(other)
        few, many = sorted((len(one), len(two)))
        return few >= self._threshold * many - 1e-9 and jaccard(one, two) >= self._threshold - 1e-9

    def _remember(self, row: int, most: int | None = None) -> None:
        for bucket in self._entered.get(row, ()):
            met = self._met.setdefault(bucket, [])
            if most is None or len(met) < most:
                met.append(row)

    def _distinct(self, order: "NDArray[Any]", kinds: "NDArray[Any] | None") -> tuple[list[int], dict[int, list[int]]]:
        """The preferred row of every set of shingles and kind, and the rows like it, which need no search."""
        import numpy as np

        if not len(order):
            return [], {}
        prints = self._prints()[order]
        if kinds is not None:
            prints = prints ^ (kinds[order].astype(np.uint64) * np.uint64(_MIX))
        _, first, member = np.unique(prints, return_index=True, return_inverse=True)
        leaders = order[first][member]
        copies: dict[int, list[int]] = {}
        for row, leader in zip(order.tolist(), leaders.tolist(), strict=True):
            if row != leader:
                copies.setdefault(leader, []).append(row)
        return order[np.sort(first)].tolist(), copies

    def _prints(self) -> "NDArray[uint64]":
        """64 bits of every row that are equal for equal sets; of rows without shingles all different."""
        import numpy as np

        ends = self._signatures.ends
        prints = np.arange(len(ends), dtype=np.uint64)
        step = 10_000
        for start in range(0, len(ends), step):
            stop = min(start + step, len(ends))
            offset = int(ends[start - 1]) if start else 0
            mixed = self._signatures.shingles[offset : int(ends[stop - 1])].astype(np.uint64) * np.uint64(_MIX)
            mixed ^= mixed >> np.uint64(31)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            totals = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
            limits = np.concatenate([[0], ends[start:stop] - offset])
            sums = totals[limits[1:]] - totals[limits[:-1]]
            prints[start:stop] = np.where(np.diff(limits) > 0, sums, prints[start:stop])
        return prints

    def _find_buckets(self) -> "tuple[_Buckets, _Buckets]":
        """For each row the buckets in which to look for others, and those in which others find it."""
        import numpy as np

        rows = np.array(self._first, np.int64)
        count, width = bands(self._threshold)
        factors = np.array([pow(_MIX, place + 1, 1 << 64) for place in range(width)], np.uint64)
        owners, buckets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        crowded = np.zeros(len(self._signatures), bool)
        for band in range(count):
            part = self._signatures.digests[:, band * width : (band + 1) * width][rows]
            keys = (part.astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
            _, member, sizes = np.unique(keys, return_inverse=True, return_counts=True)
            size = sizes[member]
            crowded[rows[size > _CROWD]] = True
            small = (size > 1) & (size <= _CROWD)
            owners.append(rows[small])
            buckets.append(member[small] * count + band)
        if not crowded.any():
            found = _by_owner(owners, buckets)
            return found, found
        owner, token, short = self._rare_shingles(np.flatnonzero(crowded))
        # The smaller of two sets has the short prefix, and either may be looked at first: a bucket for each case.
        smaller = token * 2 + count * len(rows)
        larger = smaller + 1
        asked = _by_owner([*owners, owner, owner[short]], [*buckets, smaller, larger[short]])
        entered = _by_owner([*owners, owner[short], owner], [*buckets, smaller[short], larger])
        return asked, entered

    def _rare_shingles(self, rows: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]":
        """The rarest shingles of the rows: row, number of the shingle, and whether it is in the row's short prefix.

        A set shares a shingle of its prefix with the short prefix of any smaller set that is alike.
        """
        import numpy as np

        sets = [self._signatures.of(int(row)) for row in rows]
        counts = np.zeros(1 << 20, np.int64)
        for members in sets:
            np.add.at(counts, members >> np.uint32(12), 1)
        owners, tokens, shorts = [], [], []
        for row, members in zip(rows.tolist(), sets, strict=True):
            size = len(members)
            long = size - math.ceil(self._threshold * size - 1e-9) + 1
            short = size - math.ceil(2 * self._threshold / (1 + self._threshold) * size - 1e-9) + 1
            rarest = members[np.lexsort((members, counts[members >> np.uint32(12)]))[:long]]
            owners.append(np.full(len(rarest), row))
            tokens.append(rarest)
            shorts.append(np.arange(len(rarest)) < short)
        _, token, uses = np.unique(np.concatenate(tokens), return_inverse=True, return_counts=True)
        shared = uses[token] > 1
        return np.concatenate(owners)[shared], token[shared], np.concatenate(shorts)[shared]


def _by_owner(owners: "list[NDArray[Any]]", buckets: "list[NDArray[Any]]") -> _Buckets:
    import numpy as np

    owner, bucket = np.concatenate(owners), np.concatenate(buckets)
    if not len(owner):
        return {}
    order = np.argsort(owner, kind="stable")
    rows, starts = np.unique(owner[order], return_index=True)
    parts = np.split(bucket[order], starts[1:].tolist())
    return {row: part.tolist() for row, part in zip(rows.tolist(), parts, strict=True)}
