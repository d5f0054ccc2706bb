"""Rows that are the same, and rows that are nearly so: for reports, for removing them, for splits that hold."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.reader import RowReader
from engine.datasets.similarity.alike import Alike
from engine.datasets.similarity.signing import SPLITS, Signatures, signatures
from engine.errors import BadInput, Cancelled
from store.records import Dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LEAST",
    "Signatures",
    "check_threshold",
    "exact_groups",
    "near_between",
    "near_groups",
    "signatures",
    "splits_of",
]

LEAST = 0.5
"""Below this, texts share words rather than say the same."""

Progress = Callable[[float], None]
IsCancelled = Callable[[], bool]


def exact_groups(
    library: DatasetLibrary,
    dataset: Dataset,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> list[list[int]]:
    """Groups of two or more rows with the same content: turns with their calls, both answers, verdict and tools.

    Metadata and split do not count. The first of a group is the one to keep: the first of training where one is in
    training, else of validation, else of what is left. The rest follow in that order. Raises `Cancelled`.
    """
    groups: dict[bytes, list[int]] = {}
    for index, key in enumerate(library.hashes(dataset.id)):
        groups.setdefault(key, []).append(index)
    if cancelled is not None and cancelled():
        raise Cancelled
    if progress is not None:
        progress(1.0)
    found = [group for group in groups.values() if len(group) > 1]
    if found and len(dataset.splits) > 1:
        ranks = [_rank(split) for split in splits_of(library, dataset)]
        for group in found:
            group.sort(key=lambda row: (ranks[row], row))
    return found


def near_groups(
    library: DatasetLibrary,
    dataset: Dataset,
    threshold: float,
    *,
    chained: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> list[list[int]]:
    """Groups of two or more rows whose texts are at least `threshold` alike (see `shingles`), exact copies included.

    The first of a group is the one to keep, chosen as in `exact_groups`. Every other is at least `threshold` alike to
    that one, and what is kept is nowhere alike: rows are not merged through a chain of rows in between, which could
    make two that have little in common duplicates. Rows with another verdict are not duplicates.

    With `chained` they are merged through chains and whatever the verdict, each group ascending: what must be kept
    together in a split. Rows of different groups are then never alike.

    The signatures are computed once a version and kept (see `signatures`). Raises `BadInput`, `Cancelled`.
    """
    check_threshold(threshold)
    first, second = _stages(progress)
    found = signatures(library, dataset, progress=first, cancelled=cancelled)
    kinds = None if chained else found.labels
    alike = Alike(found, threshold, _by_rank(found), kinds=kinds, progress=second, cancelled=cancelled)
    return sorted(alike.chains() if chained else alike.leaders())


def near_between(
    library: DatasetLibrary,
    dataset: Dataset,
    threshold: float,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> list[tuple[int, int]]:
    """Rows that leak: each row of validation or test that is at least `threshold` alike to a row of a split before it.

    Pairs of that row and one such row, ascending; whatever the verdict. The order of splits is train, validation, test.
    Raises `BadInput`, `Cancelled`.
    """
    check_threshold(threshold)
    if len(dataset.splits) < 2:
        return []
    first, second = _stages(progress)
    found = signatures(library, dataset, progress=first, cancelled=cancelled)
    alike = Alike(found, threshold, _by_rank(found), apart=found.ranks, progress=second, cancelled=cancelled)
    return alike.across(found.ranks)


def check_threshold(threshold: float) -> None:
    """Raises `BadInput` for a threshold that cannot be searched for."""
    if not LEAST <= threshold <= 1:
        raise BadInput(
            f"{threshold:g} is no likeness for near-duplicates.",
            why=f"It is the share of three-word runs that two rows have in common; below {LEAST:g} that is no copy.",
            fix=f"Give {LEAST:g} to 1; 0.9 finds copies with small edits, 0.8 reworded ones too.",
        )


def splits_of(library: DatasetLibrary, dataset: Dataset) -> list[str]:
    """The split of every row."""
    reader = RowReader(library.path(dataset.id))
    try:
        return list(reader.column("split").to_pylist())
    finally:
        reader.close()


def _rank(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _by_rank(found: Signatures) -> "NDArray[Any]":
    import numpy as np

    return np.argsort(found.ranks, kind="stable")


def _stages(progress: Progress | None) -> tuple[Progress | None, Progress | None]:
    """The progress of reading, which takes most of the time, and that of comparing."""
    if progress is None:
        return None, None
    return (lambda share: progress(0.8 * share)), (lambda share: progress(0.8 + 0.2 * share))
