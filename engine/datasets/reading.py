"""The first rows of a source and what they say of all: how each row is read, and what is asked of a person."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.datasets.rows import LISTED, BadRows, Row, RowError, RowProblem
from engine.datasets.shapes import Conversation, Detection, Plan, detect, needs, suggestion
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.datasets.sources import RawRow, Source

SAMPLED = 100
"""How many rows decide the shape."""


class Reading:
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
                problems.append(problem_of(raw, error))
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


def texts_of(row: Conversation) -> Sequence[str]:
    turns = (*row.messages, *row.chosen, *row.rejected) if row.chosen else row.messages
    return [turn.content for turn in turns]


def row_of(row: Conversation, index: int, split: str, metadata: dict[str, Any]) -> Row:
    return Row(index, split, row.messages, metadata, row.chosen, row.rejected, row.label, row.tools)


def is_suite(plan: Plan | None) -> bool:
    return plan is not None and plan.shape == "prompts"


def problem_of(raw: "RawRow", error: RowError) -> RowProblem:
    """With the file's name where there are several: rows are counted over all of them, lines in each."""
    if raw.place:
        return RowProblem(raw.number, None, error.field, f"{error.problem} ({raw.place})")
    return RowProblem(raw.number, raw.line, error.field, error.problem)
