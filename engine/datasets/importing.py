"""From a source of any shape to a folder with `data.parquet` and what its card says. All rows, or none."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets import parquet
from engine.datasets.chunks import Converted, How, convert_rows, stretches
from engine.datasets.figures import dataset_id, figures
from engine.datasets.placeholders import Placeholders
from engine.datasets.preview import ImportPreview, preview_source
from engine.datasets.processes import spread
from engine.datasets.reading import Reading, is_suite
from engine.datasets.rows import LISTED, BadRows, kind_of
from engine.datasets.shapes import ColumnInfo, Plan
from engine.datasets.split import TRAIN, split_rows
from engine.errors import BadInput, Cancelled

if TYPE_CHECKING:
    from engine.datasets.filter import RowFilter
    from engine.datasets.sources import Source

__all__ = ["ColumnInfo", "ImportPreview", "convert_source", "preview_source"]


def convert_source(
    source: "Source | Path | str",
    folder: Path,
    *,
    name: str,
    asked: str = "auto",
    mapping: Mapping[str, str] | None = None,
    system: str | None = None,
    where: str = "",
    validation: float = 0.1,
    seed: int = 42,
    skip_bad: bool = False,
    progress: Callable[[float], None] = lambda _share: None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Write `folder`/data.parquet from `source` and return the card, which still lacks its version and time.

    Raises `BadInput` for a source that cannot be imported or whose columns are a guess that nobody confirmed,
    `BadRows` for rows that cannot be used unless `skip_bad`, `Cancelled` soon after `cancelled()` says so.
    """
    kept = _filter(where) if where.strip() else None
    reading = Reading(source, asked, mapping)
    plan = reading.plan(ask=asked == "auto" and not mapping)
    tally = _Tally()
    target = folder / "data.parquet"
    written = folder / "unsplit.parquet"
    # Rows whose splits come from their source are mostly written once; the others twice, the first time in haste.
    haste = not (reading.names_splits or is_suite(plan))
    with parquet.RowWriter(written, compression="none" if haste else "zstd") as writer:
        _write(reading, How(plan, system, kept), writer, tally, skip_bad, progress, cancelled)
    found = tally.all
    if found.bad and (not skip_bad or not found.groups):
        raise BadRows(reading.name, found.problems, total=found.bad, rows=found.total)
    if not found.groups:
        raise BadInput(
            f"No row of {reading.name} fits the filter, so nothing was imported.",
            why=f"The filter is {where}.",
            fix="Change it, or leave it out.",
        )
    named = found.splits - {None, TRAIN}
    if named:
        written.replace(target)
    else:
        splits = split_rows(found.groups, validation, seed)
        parquet.rewrite(written, target, splits=splits, progress=lambda share: progress(0.8 + 0.15 * share))
        written.unlink()
        if validation > 0 and set(splits) == {TRAIN}:
            tally.warnings.append("all rows ask the same, so none is kept back for validation")
    card = _card(reading, plan, tally, target, name)
    card["split"] = {"validation": validation if not named else 0.0, "seed": seed, "named": bool(named)}
    card["system"] = system
    card["operation"] = {
        "kind": "import",
        "source": card["source"]["file"],
        "shape": asked,
        "mapping": dict(mapping or {}),
        "system": system,
        "where": where,
        "validation": validation,
        "seed": seed,
        "skip_bad": skip_bad,
    }
    progress(1.0)
    return card


SMALL_BYTES = 8 << 20
"""Up to so large a source is not worth the start of a process."""


class _Tally:
    """What the stretches of a source came to, taken together."""

    def __init__(self) -> None:
        self.all = Converted()
        self.placeholders = Placeholders()
        self.warnings: list[str] = []

    def add(self, part: Converted) -> None:
        total = self.all
        total.groups += part.groups
        total.splits |= part.splits
        total.ignored |= part.ignored
        total.problems += part.problems[: LISTED - len(total.problems)]
        total.total += part.total
        total.bad += part.bad
        total.filtered += part.filtered
        self.placeholders.rows.update(part.placeholders)


def _converted(reading: Reading, how: How, cancelled: Callable[[], bool] | None) -> Iterator[Converted]:
    """All rows, stretch by stretch, in their order."""
    parts = stretches(reading.rows())
    if reading.source.size <= SMALL_BYTES:
        return (convert_rows(part, how) for part in parts)
    return spread(parts, convert_rows, how, cancelled=cancelled)


def _write(
    reading: Reading,
    how: How,
    writer: parquet.RowWriter,
    tally: _Tally,
    skip_bad: bool,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool] | None,
) -> None:
    """Convert and write every row that is used; after a row that is not, only go on to count those."""
    for part in _converted(reading, how, cancelled):
        tally.add(part)
        if not tally.all.bad or skip_bad:
            for table in part.tables:
                writer.write_table(table)
        progress(0.8 * min(1.0, part.at))
        if cancelled is not None and cancelled():
            raise Cancelled


def _card(reading: Reading, plan: Plan, tally: _Tally, target: Path, name: str) -> dict[str, Any]:
    source = reading.source.card()
    return {
        "id": dataset_id(target, name),
        "name": name,
        "shape": plan.shape,
        "kind": kind_of(plan.shape),
        "mapping": dict(plan.columns),
        "confidence": reading.detection.confidence,
        "format": reading.source.format,
        "source": source,
        "files": source.get("files", []),
        **figures(target),
        "left_out": tally.all.bad,
        "filtered": tally.all.filtered,
        "problems": [{"row": one.row, "field": one.field, "problem": one.problem} for one in tally.all.problems],
        "placeholders": tally.placeholders.counted(),
        "warnings": [*reading.source.warnings, *_warnings(tally)],
    }


def _warnings(tally: _Tally) -> list[str]:
    warnings = []
    found = tally.all
    if found.bad:
        rest = f"; and {found.bad - 3:,} more" if found.bad > 3 else ""
        warnings.append(f"{found.bad:,} rows were left out: {'; '.join(map(str, found.problems[:3]))}{rest}")
    if found.ignored:
        warnings.append(f"fields of turns that were not kept: {', '.join(sorted(found.ignored)[:10])}")
    if placeholders := tally.placeholders.listed(5):
        more = len(tally.placeholders.rows) - len(placeholders)
        rest = f" and {more:,} more" if more else ""
        warnings.append(f"placeholders that nobody filled in: {', '.join(placeholders)}{rest}")
    return warnings + tally.warnings


def _filter(where: str) -> "RowFilter":
    from engine.datasets.filter import compile_filter

    found = compile_filter(where)
    if found.needs_tokens:
        raise BadInput(
            "Rows cannot be filtered by their tokens while they are imported.",
            why="Tokens are counted for a model, of rows that are there.",
            fix="Import them first, then filter: finetui datasets filter NAME --where 'tokens < …'.",
        )
    return found
