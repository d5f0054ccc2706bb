"""Several datasets as one, each with a weight."""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.parts import Part, common_shape, read_parts, reference
from engine.datasets.making.steps import IsCancelled, Progress, check_cancelled, check_seed, part, title
from engine.datasets.rows import Row
from engine.datasets.split import apportion, seeded_order
from engine.datasets.versions import Made
from engine.errors import BadInput
from store.records import Dataset

ORIGIN = "dataset"
"""The metadata field that says which dataset a row comes from."""

ORIGIN_TOO = "mixed_from"
"""The field that says it where the row has one of that name."""

MOST_WEIGHT = 100


def mix(
    library: DatasetLibrary,
    parts: Sequence[tuple[Dataset, float]],
    *,
    name: str,
    size: int | None = None,
    seed: int = 42,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Made:
    """A dataset `name` of several of one kind, their rows evenly shuffled into each other.

    Without `size`, a weight says how often each row is taken: 1 once, 2 twice, 0.5 half of the rows (by the seed). With
    `size`, the weights are the parts' proportions among so many rows; rows are taken again only where a dataset has too
    few. Each part's splits keep their shares, and every row its split. A training row that asks what another part keeps
    back for evaluation is left out. Rows say in their metadata where they are from: `dataset`, or `mixed_from` where
    they have such a field. The operation says how many rows were `repeated` and how many were left out as `leaks`.

    Raises `BadInput` for kinds that differ, weights that are none, and a mix without rows; `Cancelled`.
    """
    if not parts:
        raise BadInput("No dataset is given to mix.", fix="Name datasets with their weights, such as general:3 task:1.")
    datasets = [dataset for dataset, _ in parts]
    weights = [weight for _, weight in parts]
    shape = common_shape(datasets, "mixed")
    _check_numbers(datasets, weights, size, seed)
    read = read_parts(library, datasets, progress=part(progress, 0.0, 0.4), cancelled=cancelled)
    usable = [one.usable() for one in read]
    counts = _counts([{split: len(rows) for split, rows in one.items()} for one in usable], weights, size)
    times = [_times(one, rows, count, seed) for one, rows, count in zip(read, usable, counts, strict=True)]
    operation = {
        "kind": "mix",
        "weights": {f"{dataset.name}@{dataset.version}": weight for dataset, weight in parts},
        "size": size,
        "seed": seed,
        "repeated": sum(count - 1 for one in times for count in one if count > 1),
        "leaks": sum(len(one.leaking) for one in read),
        "rows": [
            reference(dataset, weight=weight, rows=sum(one))
            for (dataset, weight), one in zip(parts, times, strict=True)
        ],
    }
    rows = _merged(library, datasets, times, part(progress, 0.4, 0.95), cancelled)
    made = library.derive(datasets[0], rows, operation, name=name, shape=shape, parents=datasets)
    if progress is not None:
        progress(1.0)
    return made


def mix_counts(datasets: Sequence[Dataset], weights: Sequence[float], size: int | None = None) -> list[dict[str, int]]:
    """Rows that each part would give, by split, as far as none leaks: what `mix` comes to, before it is made."""
    return _counts([dataset.splits for dataset in datasets], weights, size)


def _counts(rows: Sequence[Mapping[str, int]], weights: Sequence[float], size: int | None) -> list[dict[str, int]]:
    totals = [sum(splits.values()) for splits in rows]
    if size is None:
        wanted = [max(1, round(total * weight)) if total else 0 for total, weight in zip(totals, weights, strict=True)]
    else:
        wanted = apportion(size, [weight if total else 0.0 for total, weight in zip(totals, weights, strict=True)])
    return [
        dict(zip(splits, apportion(count, list(splits.values())), strict=True))
        for splits, count in zip(rows, wanted, strict=True)
    ]


def _times(one: Part, usable: Mapping[str, list[int]], counts: Mapping[str, int], seed: int) -> list[int]:
    """How often each row of a part is taken: all equally often, and by the seed some of them once more."""
    times = [0] * len(one.splits)
    for split, rows in usable.items():
        whole, rest = divmod(counts[split], len(rows))
        for row in rows:
            times[row] = whole
        for place in seeded_order(len(rows), seed, f"{one.dataset.id}:{split}")[:rest]:
            times[rows[place]] += 1
    return times


def _merged(
    library: DatasetLibrary,
    datasets: Sequence[Dataset],
    times: Sequence[Sequence[int]],
    progress: Progress | None,
    cancelled: IsCancelled | None,
) -> Iterator[Row]:
    """The rows of all parts, each part spread evenly over the whole."""
    total = sum(map(sum, times))
    streams = [
        _placed(_taken(library, dataset, count), sum(count), place)
        for place, (dataset, count) in enumerate(zip(datasets, times, strict=True))
    ]
    for done, (_, _, row) in enumerate(heapq.merge(*streams, key=lambda item: item[:2])):
        if not done % 1_000:
            check_cancelled(cancelled)
            if progress is not None:
                progress(done / total)
        yield row


def _placed(rows: Iterator[Row], count: int, part: int) -> Iterator[tuple[float, int, Row]]:
    for place, row in enumerate(rows):
        yield (place + 0.5) / count, part, row


def _taken(library: DatasetLibrary, dataset: Dataset, times: Sequence[int]) -> Iterator[Row]:
    """The rows in order, as often as they are wanted, once in each round."""
    for again in range(max(times, default=0)):
        for row in library.iterate(dataset.id):
            if times[row.index] > again:
                yield replace(row, metadata=with_origin(row.metadata, dataset.name))


def with_origin(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The metadata with the dataset that the row comes from."""
    return {**metadata, (ORIGIN_TOO if ORIGIN in metadata else ORIGIN): name}


def _check_numbers(datasets: Sequence[Dataset], weights: Sequence[float], size: int | None, seed: int) -> None:
    check_seed(seed)
    for dataset, weight in zip(datasets, weights, strict=True):
        if not (math.isfinite(weight) and weight > 0 and (size is not None or weight <= MOST_WEIGHT)):
            raise BadInput(
                f"{weight:g} is no weight for {title(dataset)}.",
                why="A weight is how often each row is taken, or with a size a proportion.",
                fix=f"Give a number above 0, at most {MOST_WEIGHT}, such as 0.5 or 2.",
            )
    if size is not None and size < len(datasets):
        raise BadInput(
            f"{len(datasets)} datasets cannot be mixed into {size:,} rows.", fix="Give a row for each at the least."
        )
