"""What an import would make of a source, before it is imported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.datasets.figures import SPLITS
from engine.datasets.metadata import metadata_json
from engine.datasets.placeholders import Placeholders
from engine.datasets.reading import Reading, is_suite, problem_of, row_of, texts_of
from engine.datasets.rows import LISTED, Row, RowError, RowProblem
from engine.datasets.shapes import ColumnInfo, Converter

if TYPE_CHECKING:
    from engine.datasets.sources import Source

PREVIEWED = 1_000
"""How many rows a preview checks; the rest are only counted."""

CONVERTED = 3
"""So many converted rows a preview shows wherever there are so many."""


@dataclass(frozen=True)
class ImportPreview:
    """What an import would make of a source. `problems` and `first` are of the first `checked` rows.

    `mapping` is field → column, as `--map` takes it. Where nothing is known of the columns, `shape` is empty.
    """

    shape: str
    rows_total: int
    first: list[Row]
    problems: list[RowProblem]
    mapping: dict[str, str]
    checked: int
    confidence: float = 1.0
    """0 to 1."""
    reasons: list[str] = field(default_factory=list)
    """Why it is not surer, and what a person may want to know."""
    columns: list[ColumnInfo] = field(default_factory=list)
    placeholders: list[str] = field(default_factory=list)
    """`{{name}} (3 rows)`."""
    splits: list[str] = field(default_factory=list)
    """The splits that files' names or a column name."""
    format: str = ""
    guessed: bool = False
    """Whether the columns are known by nothing but their likeness to known ones."""

    @property
    def unsure(self) -> bool:
        """Whether a person should say what the columns are. Rows that are bad under known columns are no doubt."""
        return self.guessed or not self.shape


def preview_source(
    source: "Source | Path | str", asked: str = "auto", mapping: Mapping[str, str] | None = None, first: int = 20
) -> ImportPreview:
    """What an import would find. Raises `BadInput` for a source, shape or mapping that cannot be imported at all."""
    reading = Reading(source, asked, mapping)
    found = reading.detection
    converter = Converter(found.plan) if found.plan else None
    placeholders = Placeholders()
    problems: list[RowProblem] = []
    splits: set[str] = set(reading.source.splits)
    good: list[Row] = []
    total = 0
    for raw in reading.rows():
        total += 1
        if converter is None or (total > PREVIEWED and len(good) >= CONVERTED):
            continue
        try:
            row = converter.convert(raw.parse())
            metadata = json.loads(metadata_json(row.metadata))
        except RowError as error:
            if total <= PREVIEWED:
                problems.append(problem_of(raw, error))
            continue
        placeholders.add(texts_of(row))
        split = row.split or raw.split
        if split:
            splits.add(split)
        if len(good) < first:
            good.append(row_of(row, raw.number - 1, "test" if is_suite(converter.plan) else split or "train", metadata))
    return ImportPreview(
        shape=found.plan.shape if found.plan else "",
        rows_total=total,
        first=good,
        problems=problems[:LISTED],
        mapping=dict(found.plan.columns) if found.plan else {},
        checked=min(total, PREVIEWED),
        confidence=found.confidence,
        reasons=found.reasons,
        columns=found.sample.infos(),
        placeholders=placeholders.listed(),
        splits=[split for split in SPLITS if split in splits] if not is_suite(found.plan) else [],
        format=reading.source.format,
        guessed=found.guessed,
    )
