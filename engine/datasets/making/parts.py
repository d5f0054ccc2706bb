"""Several datasets as parts of one: what they must have in common, and rows that must not be in training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.splitting import row_key
from engine.datasets.making.steps import IsCancelled, Progress, part, title
from engine.datasets.rows import Row, kind_of
from engine.datasets.scan import scan
from engine.datasets.split import TEST, VALIDATION
from engine.errors import BadInput
from store.records import Dataset

_RANKS = {VALIDATION: 1, TEST: 2}
"""Splits by what weighs more: a test that was trained for is worth nothing."""


@dataclass
class Part:
    """A dataset that goes into another: what each row asks, its split, and whether it has to stay out."""

    dataset: Dataset
    keys: list[bytes] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    leaking: set[int] = field(default_factory=set)
    """Rows that ask what another part keeps back for evaluation."""

    def usable(self) -> dict[str, list[int]]:
        """The rows that can be taken, by split."""
        rows: dict[str, list[int]] = {}
        for row, split in enumerate(self.splits):
            if row not in self.leaking:
                rows.setdefault(split, []).append(row)
        return rows


def common_shape(datasets: Sequence[Dataset], verb: str) -> str:
    """The shape of the result. Raises `BadInput` for rows of different kinds, and for a dataset given twice."""
    kinds: dict[str, Dataset] = {}
    for dataset in datasets:
        kinds.setdefault(kind_of(dataset.shape), dataset)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise BadInput(
            f"{title(first)} and {title(second)} cannot be {verb}.",
            why=f"The rows of {first.name} are of the kind {one}, those of {second.name} of the kind {other}.",
            fix="Take datasets of one kind.",
        )
    twice = next(
        (one for place, one in enumerate(datasets) if one.id in {other.id for other in datasets[:place]}), None
    )
    if twice is not None:
        raise BadInput(
            f"{title(twice)} is given twice.", fix="Give it once; in a mix, a weight of 2 takes each row twice."
        )
    shapes = {dataset.shape for dataset in datasets}
    return shapes.pop() if len(shapes) == 1 else "messages"


def read_parts(
    library: DatasetLibrary,
    datasets: Sequence[Dataset],
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> list[Part]:
    """The parts, with the rows that leak found.

    A row leaks if another part has a row that asks the same in a split that weighs more: what one part learns must not
    be what another evaluates, so the training row stays out and the validation row stays. Within a part nothing is
    judged: its splits are its own affair.
    """
    parts = []
    total = sum(dataset.rows for dataset in datasets)
    done = 0
    for dataset in datasets:
        reading = part(progress, done / total, (done + dataset.rows) / total)
        found = Part(dataset)
        for keys, splits in scan(library.path(dataset.id), _keys, progress=reading, cancelled=cancelled):
            found.keys += keys
            found.splits += splits
        parts.append(found)
        done += dataset.rows
    if len(parts) > 1:
        _find_leaks(parts)
    return parts


def _keys(rows: list[Row], _argument: Any) -> tuple[list[bytes], list[str]]:
    return [row_key(row) for row in rows], [row.split for row in rows]


def _find_leaks(parts: Sequence[Part]) -> None:
    kept_back: dict[bytes, dict[int, int]] = {}
    for place, one in enumerate(parts):
        for key, split in zip(one.keys, one.splits, strict=True):
            if rank := _RANKS.get(split, 0):
                ranks = kept_back.setdefault(key, {})
                ranks[place] = max(ranks.get(place, 0), rank)
    for place, one in enumerate(parts):
        for row, (key, split) in enumerate(zip(one.keys, one.splits, strict=True)):
            ranks = kept_back.get(key, {})
            own = _RANKS.get(split, 0)
            if any(rank > own for other, rank in ranks.items() if other != place):
                one.leaking.add(row)


def reference(dataset: Dataset, **figures: Any) -> dict[str, Any]:
    """How an operation names a part."""
    return {"id": dataset.id, "name": dataset.name, "version": dataset.version, **figures}
