"""A version with some rows changed and others dropped."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.making.steps import IsCancelled, Progress, check_cancelled, title, unchanged
from engine.datasets.rows import LISTED, Row, RowError, RowProblem, Turn, kind_of
from engine.datasets.shapes.text import text_of
from engine.datasets.shapes.turns import check_conversation
from engine.datasets.split import TEST, TRAIN, VALIDATION
from engine.datasets.versions import Made
from engine.errors import BadInput
from store.records import Dataset

_TOLD = 100
_ROLES = ("system", "user", "assistant", "tool")


def edit(
    library: DatasetLibrary,
    dataset: Dataset,
    *,
    changed: Mapping[int, Row] | None = None,
    dropped: Collection[int] = (),
    name: str | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Made:
    """A version with the rows of `changed` (by index) instead of its own, and without those at `dropped`.

    A row that is in both is dropped. Rows that are as they were do not count as changed. The operation has how many
    were `changed` and `dropped`, and their numbers (`rows`, from 1, the first hundred). Raises `BadInput` with the
    number of the row for what could not have been imported; `Cancelled`.
    """
    gone = set(dropped)
    wanted = {index: row for index, row in (changed or {}).items() if index not in gone}
    if outside := sorted(index for index in (*gone, *wanted) if not 0 <= index < dataset.rows):
        raise BadInput(
            f"{title(dataset)} has no row {outside[0] + 1:,}.", fix=f"It has {dataset.rows:,}; they count from 1."
        )
    _check(dataset, wanted)
    places = sorted(wanted)
    stored = dict(zip(places, library.take(dataset.id, places), strict=True))
    wanted = {index: row for index, row in wanted.items() if replace(row, index=index) != stored[index]}
    if not wanted and not gone and name is None:
        return unchanged(dataset, progress)
    operation = {
        "kind": "edit",
        "changed": len(wanted),
        "dropped": len(gone),
        "rows": [index + 1 for index in sorted({*wanted, *gone})[:_TOLD]],
    }
    if not wanted:
        kept = [index for index in range(dataset.rows) if index not in gone]
        check_cancelled(cancelled)
        return library.derive_selection(dataset, kept, operation, name=name, progress=progress)
    rows = _edited(library, dataset, wanted, gone, cancelled)
    return library.derive(dataset, rows, operation, name=name, progress=progress)


def _edited(
    library: DatasetLibrary,
    dataset: Dataset,
    changed: Mapping[int, Row],
    dropped: Collection[int],
    cancelled: IsCancelled | None,
) -> Iterator[Row]:
    for row in library.iterate(dataset.id):
        if not row.index % 1_000:
            check_cancelled(cancelled)
        if row.index not in dropped:
            yield changed.get(row.index, row)


def _check(dataset: Dataset, changed: Mapping[int, Row]) -> None:
    """Raises `BadInput` that lists the rows that cannot be."""
    problems = []
    for index, row in sorted(changed.items()):
        try:
            check_row(row, kind_of(dataset.shape))
        except RowError as error:
            problems.append(RowProblem(index + 1, None, error.field, error.problem))
    if problems:
        listed = [f"  {problem}" for problem in problems[:LISTED]]
        if len(problems) > LISTED:
            listed.append(f"  and {len(problems) - LISTED:,} more")
        raise BadInput(
            f"{len(problems):,} of {len(changed):,} changed rows of {title(dataset)} cannot be kept, so nothing was.",
            why="\n".join(listed),
            fix="Change them again, or drop them.",
        )


def check_row(row: Row, kind: str) -> None:
    """Raises `RowError` for a row that an import would have refused."""
    _check_turns(row.messages, "messages", kind)
    if kind == "text":
        if [turn.role for turn in row.messages] != ["text"]:
            raise RowError("messages", "is not one turn of text")
    elif kind == "preference":
        for turns, field in ((row.chosen, "chosen"), (row.rejected, "rejected")):
            if not turns:
                raise RowError(field, "is empty")
            _check_turns(turns, field, kind)
            check_conversation(turns, field)
    elif not row.messages:
        raise RowError("messages", "is empty")
    elif kind == "prompts":
        if not any(turn.role == "user" for turn in row.messages):
            raise RowError("messages", "has no user turn, so nothing is asked")
    else:
        check_conversation(row.messages, "messages")
    if kind == "kto" and row.label is None:
        raise RowError("label", "is missing; the verdict on the answer is true or false")
    if row.split not in (TRAIN, VALIDATION, TEST):
        raise RowError("split", f"is {row.split!r}, not {TRAIN}, {VALIDATION} or {TEST}")
    try:
        json.dumps(row.metadata, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError("metadata", f"cannot be kept ({error})") from error


def _check_turns(turns: tuple[Turn, ...], field: str, kind: str) -> None:
    roles = ("text",) if kind == "text" else _ROLES
    for place, turn in enumerate(turns):
        where = f"{field}[{place}]"
        if turn.role not in roles:
            raise RowError(f"{where}.role", f"is {turn.role!r}; known roles are {', '.join(roles)}")
        if turn.calls:
            if turn.role != "assistant":
                raise RowError(where, f"is a {turn.role} turn that calls a tool; only the assistant can")
            if not _are_calls(turn.calls):
                raise RowError(f"{where}.calls", "is not a JSON list of calls, each with a name and arguments")
        text_of(turn.content, f"{where}.content", empty=bool(turn.calls))


def _are_calls(text: str) -> bool:
    try:
        calls: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(calls, list) and bool(calls) and all(isinstance(call, dict) and call.get("name") for call in calls)
    )
