"""A version without duplicates."""

from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.steps import IsCancelled, Progress, check_cancelled, part, unchanged
from engine.datasets.similarity import check_threshold, exact_groups, near_groups, splits_of
from engine.datasets.versions import Made
from store.records import Dataset


def dedupe(
    library: DatasetLibrary,
    dataset: Dataset,
    *,
    near: float | None = None,
    name: str | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Made:
    """A version with one row of each group of duplicates: the first in training, else the first.

    Duplicates are rows with the same content (`exact_groups`), or with `near` rows at least so much alike
    (`near_groups`). A copy in validation or test of a row in training goes: it would test what was learnt by heart. The
    operation says how many `groups` there were, how many rows were `removed`, and how many groups were `straddling`
    splits. Raises `BadInput`, `Cancelled`.
    """
    finding = part(progress, 0.0, 0.6)
    if near is None:
        groups = exact_groups(library, dataset, progress=finding, cancelled=cancelled)
    else:
        check_threshold(near)
        groups = near_groups(library, dataset, near, progress=finding, cancelled=cancelled)
    check_cancelled(cancelled)
    if not groups and name is None:
        return unchanged(dataset, progress)
    gone = {row for group in groups for row in group[1:]}
    kept = [row for row in range(dataset.rows) if row not in gone]
    operation: dict[str, Any] = {
        "kind": "dedupe",
        "near": near,
        "groups": len(groups),
        "removed": len(gone),
        "straddling": _straddling(library, dataset, groups),
    }
    return library.derive_selection(dataset, kept, operation, name=name, progress=part(progress, 0.6, 1.0))


def _straddling(library: DatasetLibrary, dataset: Dataset, groups: list[list[int]]) -> int:
    """How many groups have rows in more than one split."""
    if len(dataset.splits) < 2 or not groups:
        return 0
    splits = splits_of(library, dataset)
    return sum(1 for group in groups if len({splits[row] for row in group}) > 1)
