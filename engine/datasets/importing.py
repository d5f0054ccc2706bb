"""From a file of any shape to a folder with `data.parquet` and what its card says. All rows, or none."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from engine.datasets import parquet
from engine.datasets.rows import LISTED, BadRows, Row, RowError, RowProblem
from engine.datasets.shapes import Conversation, choose_shape, convert, describe_mapping
from engine.datasets.source import RawRow, read_rows
from engine.datasets.split import TRAIN, VALIDATION, group_key, split_rows
from engine.errors import BadInput

SAMPLED = 100
"""How many rows decide the shape."""

PREVIEWED = 1_000
"""How many rows a preview checks; the rest are only counted."""


@dataclass(frozen=True)
class ImportPreview:
    """What an import would make of a file. `problems` and `first` are of the first `checked` rows."""

    shape: str
    rows_total: int
    first: list[Row]
    problems: list[RowProblem]
    mapping: dict[str, str]
    checked: int


@dataclass
class _Tally:
    """Figures of the rows, gathered while they pass."""

    digest: Any = field(default_factory=hashlib.sha256)
    groups: list[bytes] = field(default_factory=list)
    roles: Counter[str] = field(default_factory=Counter)
    ignored: set[str] = field(default_factory=set)
    chars: int = 0
    max_chars: int = 0
    max_turns: int = 0

    def add(self, row: Conversation, metadata: str) -> None:
        chars = sum(len(turn.content) for turn in row.messages)
        self.chars += chars
        self.max_chars = max(self.max_chars, chars)
        self.max_turns = max(self.max_turns, len(row.messages))
        self.roles.update(turn.role for turn in row.messages)
        self.groups.append(group_key(row.messages))
        self.ignored |= row.ignored
        text = json.dumps([[turn.role, turn.content] for turn in row.messages])
        self.digest.update(f"{text}\n{metadata}\n".encode())


def preview_file(source: Path, asked: str, first: int = 20) -> ImportPreview:
    """What an import would find. Raises `BadInput` for a file or shape that cannot be imported at all."""
    sample, rows, shape, mapping = _open(source, asked)
    problems: list[RowProblem] = []
    good: list[Row] = []
    total = 0
    for raw in chain(sample, rows):
        total += 1
        if total > PREVIEWED:
            continue
        try:
            row = convert(raw.parse(), shape)
        except RowError as error:
            problems.append(RowProblem(raw.number, raw.line, error.field, error.problem))
        else:
            if len(good) < first:
                good.append(Row(raw.number - 1, TRAIN, row.messages, row.metadata))
    return ImportPreview(shape, total, good, problems[:LISTED], mapping, min(total, PREVIEWED))


def convert_file(
    source: Path,
    folder: Path,
    *,
    name: str,
    asked: str,
    system: str | None,
    validation: float,
    seed: int,
    skip_bad: bool,
    progress: Callable[[float], None],
) -> dict[str, Any]:
    """Write `folder`/data.parquet from `source` and return the card, which still lacks its version and time.

    Raises `BadInput` for a file that cannot be imported, `BadRows` for rows that cannot be used unless `skip_bad`.
    """
    sample, rows, shape, mapping = _open(source, asked)
    tally = _Tally()
    problems: list[RowProblem] = []
    bad = total = 0
    shown = 0.0
    unsplit = folder / "unsplit.parquet"
    with parquet.RowWriter(unsplit) as writer:
        for raw in chain(sample, rows):
            total += 1
            try:
                row = convert(raw.parse(), shape, system)
                metadata = _metadata_json(row)
            except RowError as error:
                bad += 1
                if len(problems) < LISTED:
                    problems.append(RowProblem(raw.number, raw.line, error.field, error.problem))
                continue
            if not bad or skip_bad:
                tally.add(row, metadata)
                writer.write(row.messages, metadata)
            if raw.at >= shown + 0.01:
                shown = raw.at
                progress(0.9 * shown)
    if bad and (not skip_bad or not tally.groups):
        raise BadRows(source.name, problems, total=bad, rows=total)
    splits = split_rows(tally.groups, validation, seed)
    parquet.rewrite(unsplit, folder / "data.parquet", splits=splits)
    unsplit.unlink()
    tally.digest.update(f"{name}\n{''.join(split[0] for split in splits)}".encode())
    count = len(splits)
    progress(1.0)
    return {
        "id": f"d{tally.digest.hexdigest()[:10]}",
        "name": name,
        "shape": shape,
        "mapping": mapping,
        "source": _source_card(source),
        "rows": count,
        "splits": {split: splits.count(split) for split in (TRAIN, VALIDATION) if split in splits},
        "split": {"validation": validation, "seed": seed},
        "system": system,
        "roles": dict(tally.roles),
        "turns": {"mean": round(tally.roles.total() / count, 2), "max": tally.max_turns},
        "chars": {"mean": round(tally.chars / count, 1), "max": tally.max_chars},
        "left_out": bad,
        "problems": [{"row": item.row, "field": item.field, "problem": item.problem} for item in problems],
        "warnings": _warnings(tally, problems, bad, splits, validation),
    }


def _open(source: Path, asked: str) -> tuple[list[RawRow], Iterator[RawRow], str, dict[str, str]]:
    """The first rows, the rest, the shape, and the mapping. Raises `BadInput`, `BadRows` where no row is usable."""
    rows = read_rows(source)
    sample = list(islice(rows, SAMPLED))
    parsed: list[dict[str, Any]] = []
    problems: list[RowProblem] = []
    for raw in sample:
        try:
            parsed.append(raw.parse())
        except RowError as error:
            problems.append(RowProblem(raw.number, raw.line, error.field, error.problem))
    if not parsed:
        raise BadRows(source.name, problems[:LISTED], total=len(problems), rows=len(sample))
    shape = choose_shape(parsed, asked, source.name)
    return sample, rows, shape, describe_mapping(parsed[0], shape)


def _metadata_json(row: Conversation) -> str:
    try:
        return json.dumps(row.metadata)
    except (RecursionError, ValueError) as error:
        raise RowError("metadata", f"cannot be kept ({error})") from error


def _source_card(source: Path) -> dict[str, Any]:
    try:
        with source.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return {"file": source.name, "sha256": sha256, "bytes": file.tell()}
    except OSError as error:
        raise BadInput(f"{source} went away while it was read.", why=str(error)) from error


def _warnings(tally: _Tally, problems: list[RowProblem], bad: int, splits: list[str], validation: float) -> list[str]:
    warnings = []
    if bad:
        rest = f"; and {bad - 3:,} more" if bad > 3 else ""
        warnings.append(f"{bad:,} rows were left out: {'; '.join(map(str, problems[:3]))}{rest}")
    if tally.ignored:
        warnings.append(f"fields of turns that were not kept: {', '.join(sorted(tally.ignored)[:10])}")
    if validation > 0 and set(splits) == {TRAIN}:
        warnings.append("all rows ask the same, so none is kept back for validation")
    return warnings
