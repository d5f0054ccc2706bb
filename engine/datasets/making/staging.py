"""Several datasets one after the other: general, then the domain, then the task."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.parts import Part, common_shape, read_parts, reference
from engine.datasets.making.steps import IsCancelled, Progress, check_cancelled, part
from engine.datasets.rows import Row
from engine.datasets.versions import Made
from engine.errors import BadInput
from store.records import Dataset

STAGE = "stage"
"""The metadata field with the number of a row's stage, from 1. What a row had there stays as `own_stage`."""


def stage(
    library: DatasetLibrary,
    datasets: Sequence[Dataset],
    *,
    name: str,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Made:
    """A dataset `name` with the rows of all, in the order in which they are to be learnt.

    Every row keeps its split, and has the number of its stage in its metadata. As in a mix, a training row that asks
    what another stage keeps back for evaluation is left out (`leaks` in the operation). Raises `BadInput`, `Cancelled`.
    """
    if len(datasets) < 2:
        raise BadInput(
            "One dataset makes no stages.", fix="Name two or more, in the order in which they are to be learnt."
        )
    shape = common_shape(datasets, "put in stages")
    parts = read_parts(library, datasets, progress=part(progress, 0.0, 0.4), cancelled=cancelled)
    operation = {
        "kind": "stage",
        "stages": [reference(one.dataset, rows=len(one.splits) - len(one.leaking)) for one in parts],
        "leaks": sum(len(one.leaking) for one in parts),
    }
    rows = _in_order(library, parts, part(progress, 0.4, 0.95), cancelled)
    made = library.derive(datasets[0], rows, operation, name=name, shape=shape, parents=list(datasets))
    if progress is not None:
        progress(1.0)
    return made


def _in_order(
    library: DatasetLibrary, parts: Sequence[Part], progress: Progress | None, cancelled: IsCancelled | None
) -> Iterator[Row]:
    total = sum(len(one.splits) for one in parts)
    done = 0
    for number, one in enumerate(parts, 1):
        for row in library.iterate(one.dataset.id):
            if not done % 1_000:
                check_cancelled(cancelled)
                if progress is not None:
                    progress(done / total)
            done += 1
            if row.index not in one.leaking:
                yield replace(row, metadata=_staged(row.metadata, number))


def _staged(metadata: dict[str, Any], number: int) -> dict[str, Any]:
    own = {"own_stage": metadata[STAGE]} if STAGE in metadata and "own_stage" not in metadata else {}
    return {**metadata, **own, STAGE: number}
