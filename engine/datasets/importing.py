"""From a source of any shape to a folder with `data.parquet` and what its card says. All rows, or none."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets import parquet
from engine.datasets.figures import dataset_id, figures
from engine.datasets.metadata import metadata_json
from engine.datasets.placeholders import Placeholders
from engine.datasets.preview import ImportPreview, preview_source
from engine.datasets.reading import Reading, is_suite, problem_of, row_of, texts_of
from engine.datasets.rows import LISTED, BadRows, RowError, RowProblem, kind_of
from engine.datasets.shapes import ColumnInfo, Converter, Plan
from engine.datasets.split import TRAIN, group_key, split_rows
from engine.errors import BadInput, Cancelled

if TYPE_CHECKING:
    from engine.datasets.filter import RowFilter
    from engine.datasets.sources import Source

__all__ = ["ColumnInfo", "ImportPreview", "convert_source", "preview_source"]

TEST = "test"


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
    tally = _Tally(suite=is_suite(plan))
    target = folder / "data.parquet"
    written = folder / "unsplit.parquet"
    # Rows whose splits come from their source are mostly written once; the others twice, the first time in haste.
    haste = not (reading.names_splits or tally.suite)
    with parquet.RowWriter(written, compression="none" if haste else "zstd") as writer:
        _write(reading, Converter(plan, system), writer, tally, kept, skip_bad, progress, cancelled)
    if tally.bad and (not skip_bad or not tally.groups):
        raise BadRows(reading.name, tally.problems, total=tally.bad, rows=tally.total)
    if not tally.groups:
        raise BadInput(
            f"No row of {reading.name} fits the filter, so nothing was imported.",
            why=f"The filter is {where}.",
            fix="Change it, or leave it out.",
        )
    named = set(tally.splits) - {None, TRAIN}
    if named:
        written.replace(target)
    else:
        splits = split_rows(tally.groups, validation, seed)
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


@dataclass
class _Tally:
    """What is gathered while the rows pass."""

    suite: bool
    """Whether the rows are prompts, which are all for testing."""
    groups: list[bytes] = field(default_factory=list)
    splits: set[str | None] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    problems: list[RowProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    placeholders: Placeholders = field(default_factory=Placeholders)
    total: int = 0
    bad: int = 0
    filtered: int = 0


def _write(
    reading: Reading,
    converter: Converter,
    writer: parquet.RowWriter,
    tally: _Tally,
    kept: "RowFilter | None",
    skip_bad: bool,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool] | None,
) -> None:
    """Convert and write every row that is used; after a row that is not, only go on to count those."""
    shown = 0.0
    convert, add_group, look_for = converter.convert, tally.groups.append, tally.placeholders.add
    for raw in reading.rows():
        tally.total += 1
        try:
            row = convert(raw.parse())
            metadata = metadata_json(row.metadata) if row.metadata else "{}"
        except RowError as error:
            tally.bad += 1
            if len(tally.problems) < LISTED:
                tally.problems.append(problem_of(raw, error))
            continue
        split = TEST if tally.suite else row.split or raw.split
        if kept is not None and not kept.matches(
            row_of(row, raw.number - 1, split or TRAIN, json.loads(metadata)), None
        ):
            tally.filtered += 1
        elif not tally.bad or skip_bad:
            add_group(group_key(row.messages))
            tally.splits.add(split)
            if row.ignored:
                tally.ignored |= row.ignored
            look_for(texts_of(row))
            writer.write(
                row.messages,
                metadata,
                split=split or TRAIN,
                chosen=row.chosen,
                rejected=row.rejected,
                label=row.label,
                tools=row.tools,
            )
        if raw.at >= shown + 0.01:
            shown = raw.at
            progress(0.8 * min(1.0, shown))
        if cancelled is not None and not tally.total % parquet.GROUP_ROWS and cancelled():
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
        "left_out": tally.bad,
        "filtered": tally.filtered,
        "problems": [{"row": one.row, "field": one.field, "problem": one.problem} for one in tally.problems],
        "placeholders": tally.placeholders.counted(),
        "warnings": [*reading.source.warnings, *_warnings(tally)],
    }


def _warnings(tally: _Tally) -> list[str]:
    warnings = []
    if tally.bad:
        rest = f"; and {tally.bad - 3:,} more" if tally.bad > 3 else ""
        warnings.append(f"{tally.bad:,} rows were left out: {'; '.join(map(str, tally.problems[:3]))}{rest}")
    if tally.ignored:
        warnings.append(f"fields of turns that were not kept: {', '.join(sorted(tally.ignored)[:10])}")
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
