"""The rows of a dataset that a filter asks for: counted, or kept as a new version."""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets.conditions import FIELD_WORDS, FIELDS, RowFilter, compile_filter
from engine.datasets.rows import Row
from engine.datasets.scan import scan
from store.records import Dataset

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from engine.datasets.versions import Made

__all__ = ["FIELDS", "FIELD_WORDS", "RowFilter", "compile_filter", "count_matches", "filter_rows", "matching_rows"]

Progress = Callable[[float], None]


def filter_rows(
    library: "DatasetLibrary",
    dataset: Dataset,
    where: str,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> "Made":
    """A version with the rows that match. Raises `BadInput` for a filter that cannot be, and where no row is left."""
    from engine.datasets.versions import Made

    kept = matching_rows(library, dataset, where, progress=_part(progress, 0.0, 0.7), cancelled=cancelled)
    if len(kept) == dataset.rows and name is None:
        return Made(dataset, dataset.rows, dataset.rows, new=False)
    operation = {"kind": "filter", "where": where}
    return library.derive_selection(dataset, kept, operation, name=name, progress=_part(progress, 0.7, 1.0))


def count_matches(
    library: "DatasetLibrary",
    dataset: Dataset,
    where: str,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> int:
    """How many rows match. Raises `BadInput` for a filter that cannot be."""
    return len(matching_rows(library, dataset, where, progress=progress, cancelled=cancelled))


def matching_rows(
    library: "DatasetLibrary",
    dataset: Dataset,
    where: str,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[int]:
    """Indices of the rows that match, ascending. Raises `BadInput` for a filter that cannot be."""
    chosen = compile_filter(where)
    path = library.path(dataset.id)
    if not chosen.needs_tokens:
        return [
            row for rows in scan(path, _chosen, (chosen, None), progress=progress, cancelled=cancelled) for row in rows
        ]
    import numpy

    from engine.tokens import row_tokens

    lengths = row_tokens(library, dataset, progress=_part(progress, 0.0, 0.7), cancelled=cancelled)
    with tempfile.TemporaryDirectory(prefix="finetui-") as folder:
        file = Path(folder) / "tokens.npy"
        numpy.save(file, lengths)
        found = scan(path, _chosen, (chosen, file), progress=_part(progress, 0.7, 1.0), cancelled=cancelled)
        return [row for rows in found for row in rows]


def _chosen(rows: list[Row], argument: tuple[RowFilter, Path | None]) -> list[int]:
    chosen, file = argument
    if file is None:
        return [row.index for row in rows if chosen.matches(row)]
    lengths = _lengths(file)
    return [row.index for row in rows if chosen.matches(row, int(lengths[row.index]))]


@lru_cache(maxsize=1)
def _lengths(file: Path) -> Any:
    import numpy

    return numpy.load(file, mmap_mode="r")


def _part(progress: Progress | None, start: float, end: float) -> Progress | None:
    """`progress` that hears this part of the way."""
    if progress is None:
        return None
    return lambda share: progress(start + share * (end - start))
