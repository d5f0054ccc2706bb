"""A smaller version whose rows are as unlike each other as can be."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.steps import IsCancelled, Progress, check_cancelled, check_seed, part, title, unchanged
from engine.datasets.rows import Row
from engine.datasets.scan import scan
from engine.datasets.similarity import splits_of
from engine.datasets.similarity.shingles import PERMUTATIONS, compared, digests, word_sets
from engine.datasets.split import apportion, seeded_order
from engine.datasets.versions import Made
from engine.errors import BadInput
from store.records import Dataset

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

MOST_COMPARISONS = 1_000_000_000
"""Signatures compared for one split: about half a minute."""


def subset(
    library: DatasetLibrary,
    dataset: Dataset,
    size: int,
    *,
    seed: int = 42,
    name: str | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Made:
    """A version with `size` rows that cover what the dataset holds; each split keeps its share of them.

    In each split the row is added, again and again, that is least like all that were chosen before (see
    `farthest_first`); copies come last. Likeness is that of the words of two rows: nearly all rows have other runs of
    three words, and those tell copies only. The rows stay in their order. Raises `BadInput`, `Cancelled`.
    """
    check_seed(seed)
    if not 1 <= size <= dataset.rows:
        raise BadInput(f"A subset of {title(dataset)} cannot have {size:,} rows.", fix=f"Give 1 to {dataset.rows:,}.")
    if size == dataset.rows and name is None:
        return unchanged(dataset, progress)
    import numpy as np

    reading = part(progress, 0.0, 0.5)
    signed = b"".join(scan(library.path(dataset.id), sign_words, progress=reading, cancelled=cancelled))
    places = np.frombuffer(signed, np.uint8).reshape(-1, PERMUTATIONS)
    members: dict[str, list[int]] = {}
    for row, split in enumerate(splits_of(library, dataset)):
        members.setdefault(split, []).append(row)
    sizes = _sizes(size, {split: len(rows) for split, rows in members.items()})
    chosen: list[int] = []
    for split, rows in members.items():
        done = 0.5 + 0.45 * len(chosen) / size
        choosing = part(progress, done, done + 0.45 * sizes[split] / size)
        picked = farthest_first(places[rows], sizes[split], seed, progress=choosing, cancelled=cancelled)
        chosen += [rows[place] for place in picked]
    operation: dict[str, Any] = {"kind": "subset", "size": size, "seed": seed}
    return library.derive_selection(dataset, sorted(chosen), operation, name=name, progress=part(progress, 0.95, 1.0))


def sign_words(rows: list[Row], _argument: Any = None) -> bytes:
    """MinHash signatures of the words of each row, a byte a place: two are equal by chance in one of 256."""
    import numpy as np

    return digests(*word_sets([" ".join(compared(row)) for row in rows])).astype(np.uint8).tobytes()


def _sizes(size: int, rows: dict[str, int]) -> dict[str, int]:
    """Rows for each split, in proportion; each has one where there are enough."""
    sizes = dict(zip(rows, apportion(size, list(rows.values())), strict=True))
    for split in rows:
        if not sizes[split] and size >= len(rows):
            sizes[max(sizes, key=lambda one: sizes[one])] -= 1
            sizes[split] = 1
    return sizes


def farthest_first(
    signatures: "NDArray[uint8]",
    size: int,
    seed: int,
    *,
    most: int = MOST_COMPARISONS,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[int]:
    """`size` places whose signatures are far apart, in the order in which they were chosen.

    The first is the seed's choice; each next one is farthest from the nearest chosen before (Gonzalez, Clustering to
    minimize the maximum intercluster distance, 1985), by the Jaccard distance that MinHash signatures estimate; the
    seed decides between equals. That compares every row with every chosen one. Beyond `most` comparisons the rows are
    dealt out at random, by the seed, into as many parts as are needed to stay within, and each part gives its share.
    """
    order = seeded_order(len(signatures), seed)
    parts = min(size, max(1, math.ceil(len(order) * size / most)))
    dealt = [order[place::parts] for place in range(parts)]
    chosen: list[int] = []
    for rows, wanted in zip(dealt, apportion(size, [len(rows) for rows in dealt]), strict=True):
        share = part(progress, len(chosen) / size, (len(chosen) + wanted) / size)
        chosen += [rows[place] for place in _traverse(signatures[rows], wanted, share, cancelled)]
    return chosen


def _traverse(
    signatures: "NDArray[uint8]", size: int, progress: Progress | None, cancelled: Callable[[], bool] | None
) -> list[int]:
    """Farthest-first traversal from the first row on."""
    import numpy as np

    columns = np.ascontiguousarray(signatures.T)  # (permutations, rows)
    equal = np.empty(columns.shape, bool)
    likeness = np.zeros(columns.shape[1], np.uint8)  # to the nearest chosen, in equal places
    taken = np.iinfo(np.uint8).max
    chosen: list[int] = []
    place = 0
    while len(chosen) < size:
        chosen.append(place)
        np.equal(columns, columns[:, place : place + 1], out=equal)
        np.maximum(likeness, equal.view(np.uint8).sum(axis=0, dtype=np.uint8), out=likeness)
        likeness[place] = taken
        place = int(likeness.argmin())
        if not len(chosen) % 64:
            check_cancelled(cancelled)
            if progress is not None:
                progress(len(chosen) / size)
    return chosen
