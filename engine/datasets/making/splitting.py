"""A version whose rows are divided anew into training, validation and test."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.steps import IsCancelled, Progress, check_cancelled, check_seed, part, title, unchanged
from engine.datasets.rows import Row, kind_of
from engine.datasets.scan import scan
from engine.datasets.similarity import check_threshold, near_groups, splits_of
from engine.datasets.split import TEST, TRAIN, VALIDATION, divide_rows, group_key
from engine.datasets.versions import Made
from engine.errors import BadInput
from store.records import Dataset

_NAMED = 200
"""So many fields of metadata are remembered for an error that names them."""


def resplit(
    library: DatasetLibrary,
    dataset: Dataset,
    *,
    train: float,
    validation: float,
    test: float,
    seed: int = 42,
    by: str | None = None,
    near: float | None = None,
    name: str | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Made:
    """A version with the same rows in new splits, whose shares add up to 1.

    Rows that ask the same (`group_key`) stay together; with `near` also rows that are so much alike. With `by`, a field
    of the metadata such as `source` or `meta.topic`, the rows of each of its values are divided in the same shares, and
    those without it likewise. The operation says how many rows `moved`. Raises `BadInput`, `Cancelled`.
    """
    shares = _checked_shares({TRAIN: train, VALIDATION: validation, TEST: test})
    check_seed(seed)
    if near is not None:
        check_threshold(near)
    if kind_of(dataset.shape) == "prompts":
        raise BadInput(
            f"{title(dataset)} is a prompt suite: its rows have no answers, so they are all for testing.",
            fix="Split a dataset with answers.",
        )
    reading = part(progress, 0.0, 0.4 if near is None else 0.1)
    keys: list[bytes] = []
    values: list[str] = []
    fields: dict[str, None] = {}
    for found in scan(library.path(dataset.id), read_keys, by, progress=reading, cancelled=cancelled):
        keys += found.keys
        values += found.values
        fields.update(dict.fromkeys(found.fields))
    if by is not None and not any(values):
        listed = ", ".join(sorted(fields)[:20])
        raise BadInput(
            f"No row of {title(dataset)} has the field {by!r} in its metadata.",
            why=f"Its rows have: {listed}." if listed else "Its rows have no metadata.",
            fix="Name one of those, or split without it.",
        )
    if near is not None:
        comparing = part(progress, 0.1, 0.6)
        alike = near_groups(library, dataset, near, chained=True, progress=comparing, cancelled=cancelled)
        keys = _joined(keys, alike)
    check_cancelled(cancelled)
    splits = divide_rows(keys, shares, seed, values if by is not None else None)
    _check_filled(dataset, shares, splits, len(set(keys)), near)
    moved = sum(1 for old, new in zip(splits_of(library, dataset), splits, strict=True) if old != new)
    if not moved and name is None:
        return unchanged(dataset, progress)
    operation = {
        "kind": "split",
        "shares": shares,
        "seed": seed,
        "by": by,
        "near": near,
        "moved": moved,
        "values": len(set(values)) if by is not None else None,
    }
    return library.derive_selection(
        dataset, None, operation, name=name, splits=splits, progress=part(progress, 0.6, 1.0)
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """Of a chunk: what each row asks, its value of the field in JSON (empty without one), and fields there are."""

    keys: list[bytes]
    values: list[str]
    fields: list[str]


def read_keys(rows: list[Row], by: str | None) -> Keys:
    """What decides where rows go."""
    fields: dict[str, None] = {}
    values = []
    for row in rows:
        if by is None:
            values.append("")
            continue
        value = field_of(row.metadata, by)
        values.append("" if value is None else json.dumps(value, sort_keys=True))
        if value is None and len(fields) < _NAMED:
            fields.update(dict.fromkeys(_names(row.metadata)))
    return Keys([row_key(row) for row in rows], values, list(fields))


def row_key(row: Row) -> bytes:
    """The `group_key` of a row; a pair of answers may be all there is."""
    return group_key(row.messages or row.chosen)


def field_of(metadata: Mapping[str, Any], path: str) -> Any:
    """The value at `source`, `metadata.source` or `meta.topic`; `None` where there is none."""
    for start in (path, path.removeprefix("metadata.")):
        if start in metadata:
            return metadata[start]
        value: Any = metadata
        for key in start.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def _names(metadata: Mapping[str, Any]) -> list[str]:
    names = []
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            names += [f"{key}.{inner}" for inner in value]
        elif value is not None:
            names.append(key)
    return names


def _checked_shares(shares: dict[str, float]) -> dict[str, float]:
    given = "/".join(f"{share:g}" for share in shares.values())
    if not all(math.isfinite(share) and share >= 0 for share in shares.values()):
        raise BadInput(f"{given} are no shares.", fix="Give numbers from 0 to 1, such as 0.8, 0.1 and 0.1.")
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        raise BadInput(
            f"The shares {given} add up to {total:g}, not to 1.",
            why="Every row goes into one split.",
            fix="Give train, validation and test shares such as 0.8, 0.1 and 0.1; 0 for a split that is not wanted.",
        )
    return shares


def _joined(keys: list[bytes], alike: Sequence[Sequence[int]]) -> list[bytes]:
    """The keys, one and the same (the least) for all rows that are linked by a key or by being alike."""
    above: dict[bytes, bytes] = {}

    def root(key: bytes) -> bytes:
        while (higher := above.get(key, key)) != key:
            above[key] = above.get(higher, higher)
            key = higher
        return key

    for group in alike:
        roots = {root(keys[row]) for row in group}
        least = min(roots)
        above.update((one, least) for one in roots)
    return [root(key) for key in keys]


def _check_filled(
    dataset: Dataset, shares: Mapping[str, float], splits: Sequence[str], groups: int, near: float | None
) -> None:
    """Raises `BadInput` for splits that got nothing."""
    empty = [split for split, share in shares.items() if share > 0 and split not in splits]
    if empty:
        together = "ask the same" if near is None else f"ask the same or are {near:g} alike"
        left = "all do" if groups == 1 else f"that leaves {groups:,} groups"
        raise BadInput(
            f"{title(dataset)} cannot be divided so: nothing would be left for {' and '.join(empty)}.",
            why=f"Rows that {together} stay together: of its {dataset.rows:,} rows {left}.",
            fix=f"Give {' and '.join(empty)} a share of 0, or import more rows.",
        )
