"""From a source of any shape to a folder with `data.parquet` and what its card says. All rows, or none."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets import parquet
from engine.datasets.figures import SPLITS, dataset_id, figures
from engine.datasets.rows import LISTED, BadRows, Row, RowError, RowProblem, kind_of
from engine.datasets.shapes import SURE, ColumnInfo, Conversation, Converter, Detection, Plan, detect, needs, suggestion
from engine.datasets.shapes.placeholders import Placeholders
from engine.datasets.split import TRAIN, group_key, split_rows
from engine.errors import BadInput, Cancelled

if TYPE_CHECKING:
    from engine.datasets.filter import RowFilter
    from engine.datasets.sources import RawRow, Source

__all__ = ["ColumnInfo", "ImportPreview", "convert_source", "preview_source"]

SAMPLED = 100
"""How many rows decide the shape."""

PREVIEWED = 1_000
"""How many rows a preview checks; the rest are only counted."""

CONVERTED = 3
"""So many converted rows a preview shows wherever there are so many."""

TEST = "test"


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

    @property
    def unsure(self) -> bool:
        """Whether a person should say what the columns are."""
        return self.confidence < SURE


def preview_source(
    source: "Source | Path | str", asked: str = "auto", mapping: Mapping[str, str] | None = None, first: int = 20
) -> ImportPreview:
    """What an import would find. Raises `BadInput` for a source, shape or mapping that cannot be imported at all."""
    reading = _Reading(source, asked, mapping)
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
                problems.append(_problem(raw, error))
            continue
        placeholders.add(_texts(row))
        split = row.split or raw.split
        if split:
            splits.add(split)
        if len(good) < first:
            good.append(_row(row, raw.number - 1, _split_name(split, converter.plan), metadata))
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
        splits=[split for split in SPLITS if split in splits] if not _is_suite(found.plan) else [],
        format=reading.source.format,
    )


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
    reading = _Reading(source, asked, mapping)
    plan = reading.plan(ask=asked == "auto" and not mapping)
    tally = _Tally(suite=_is_suite(plan))
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


class _Reading:
    """A source, its first rows, and what they say of the shape."""

    def __init__(self, source: "Source | Path | str", asked: str, mapping: Mapping[str, str] | None) -> None:
        """Raises `BadInput`; `BadRows` where no row is an object."""
        from engine.datasets.sources import open_source

        self.source = open_source(source) if isinstance(source, (str, Path)) else source
        files = self.source.files
        self.name = files[0].name if len(files) == 1 else self.source.name
        self._rows = self.source.rows()
        self._first: list[RawRow] = list(islice(self._rows, SAMPLED))
        parsed: list[dict[str, Any]] = []
        problems: list[RowProblem] = []
        for raw in self._first:
            try:
                parsed.append(raw.parse())
            except RowError as error:
                problems.append(_problem(raw, error))
        if not parsed:
            raise BadRows(self.name, problems[:LISTED], total=len(problems), rows=len(self._first))
        self.detection: Detection = detect(parsed, asked, mapping, self.name)

    def rows(self) -> Iterator["RawRow"]:
        """All rows; once."""
        return chain(self._first, self._rows)

    @property
    def names_splits(self) -> bool:
        plan = self.detection.plan
        return bool(self.source.splits or (plan and plan.split))

    def plan(self, *, ask: bool) -> Plan:
        """The plan. Raises `BadInput` where there is none, and with `ask` where it is a guess."""
        found = self.detection
        columns = ", ".join(list(found.sample.columns)[:12]) or "no fields"
        if found.plan is None:
            raise BadInput(
                f"The rows of {self.name} have no shape that finetui knows.",
                why=f"They have {columns}.\n{needs()}",
                fix="Say which column is what, for example --map prompt=COLUMN --map response=COLUMN.",
            )
        if ask and found.guessed:
            raise BadInput(
                f"The columns of {self.name} are not known; they may be {found.plan.shape}.",
                why="\n".join([f"They are {columns}.", *(f"{reason}." for reason in found.reasons)]),
                fix=f"If that is right, add {suggestion(found.plan)}; if not, name other columns so.",
            )
        return found.plan


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
    reading: _Reading,
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
                tally.problems.append(_problem(raw, error))
            continue
        split = TEST if tally.suite else row.split or raw.split
        if kept is not None and not kept.matches(_row(row, raw.number - 1, split or TRAIN, json.loads(metadata)), None):
            tally.filtered += 1
        elif not tally.bad or skip_bad:
            add_group(group_key(row.messages))
            tally.splits.add(split)
            if row.ignored:
                tally.ignored |= row.ignored
            look_for(_texts(row))
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


def _card(reading: _Reading, plan: Plan, tally: _Tally, target: Path, name: str) -> dict[str, Any]:
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


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as it is kept. Raises `RowError` for what JSON cannot hold."""
    try:
        try:
            return json.dumps(metadata, allow_nan=False)
        except (ValueError, TypeError):
            return json.dumps(_plain(metadata), allow_nan=False)
    except (RecursionError, ValueError, TypeError) as error:
        raise RowError("metadata", f"cannot be kept ({error})") from error


def _plain(value: Any) -> Any:
    """Values of tables that JSON does not have, as text; not a number is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return f"({len(value):,} bytes)"
    if value is None or isinstance(value, (str, int)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


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


def _row(row: Conversation, index: int, split: str, metadata: dict[str, Any]) -> Row:
    return Row(index, split, row.messages, metadata, row.chosen, row.rejected, row.label, row.tools)


def _texts(row: Conversation) -> Sequence[str]:
    turns = (*row.messages, *row.chosen, *row.rejected) if row.chosen else row.messages
    return [turn.content for turn in turns]


def _is_suite(plan: Plan | None) -> bool:
    return plan is not None and plan.shape == "prompts"


def _split_name(split: str | None, plan: Plan) -> str:
    return TEST if _is_suite(plan) else split or TRAIN


def _problem(raw: "RawRow", error: RowError) -> RowProblem:
    """With the file's name where there are several: rows are counted over all of them, lines in each."""
    if raw.place:
        return RowProblem(raw.number, None, error.field, f"{error.problem} ({raw.place})")
    return RowProblem(raw.number, raw.line, error.field, error.problem)


def preview_file(source: Path, asked: str, first: int = 20) -> ImportPreview:
    return preview_source(source, asked, None, first)


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
    return convert_source(
        source,
        folder,
        name=name,
        asked=asked,
        system=system,
        validation=validation,
        seed=seed,
        skip_bad=skip_bad,
        progress=progress,
    )
