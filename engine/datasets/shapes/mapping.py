"""A person's mapping: which column is which field, and what they leave to finetui."""

from collections.abc import Mapping

from engine.datasets.shapes import names
from engine.datasets.shapes.plan import NEEDS, Columns, Plan, complete, plan_for
from engine.datasets.shapes.sample import Sample
from engine.errors import BadInput

_ALWAYS = frozenset({"system", "tools"})
_LISTED = 20


def mapped_plan(sample: Sample, mapping: Mapping[str, str], asked: str, source: str) -> Plan:
    """The plan that `mapping` (field → column) makes; fields that it does not name are found by their usual names.

    Raises `BadInput` for a field or column that there is not, and for fields that make no rows.
    """
    for field, column in mapping.items():
        _check(field, column, sample, source)
    columns = dict(mapping)
    shape = shape_of_fields(columns) if asked == "auto" else asked
    # A prompt alone is enough for prompts, but an answer beside it is hardly meant to be left out.
    if shape is None or not _suffices(columns, shape) or (asked == "auto" and shape == "prompts"):
        columns = {**_usual(sample, columns, asked), **mapping}
        shape = shape_of_fields(columns) if asked == "auto" else asked
    if shape is None or not _suffices(columns, shape):
        needs = " and ".join(NEEDS[asked][0]) if asked != "auto" else "prompt and response, or messages, or text"
        of = "" if asked == "auto" else f" of the shape {asked}"
        raise BadInput(
            f"{', '.join(mapping)} alone make no rows{of}.",
            why=f"They need {needs}.",
            fix=f"Map those as well. {_columns(sample)}",
        )
    placed = _places(columns, shape)
    for field in mapping:
        if field not in placed:
            raise BadInput(
                f"Rows of the shape {shape} have no place for {field}.",
                why=f"They have {', '.join(sorted(placed))}.",
                fix="Leave it out of the mapping (the column stays as metadata), or choose another shape.",
            )
    kept = {field: column for field, column in columns.items() if field in placed}
    return complete(shape, kept, sample, sample.columns.keys(), mapped=True)


def shape_of_fields(fields: Mapping[str, str]) -> str | None:
    """The shape of rows with these fields, or `None` where they make no rows."""
    has = fields.keys()
    if {"chosen", "rejected"} <= has:
        return "preference"
    whole = "messages" in has or {"prompt", "response"} <= has
    if "label" in has:
        return "kto" if whole else None
    if "messages" in has:
        return "messages"
    if {"prompt", "response"} <= has:
        return "alpaca" if "context" in has else "prompt-response"
    if "text" in has:
        return "text"
    return "prompts" if "prompt" in has and not has & {"response", "chosen", "rejected"} else None


def suggestion(plan: Plan) -> str:
    """What to type so that the columns of `plan` are taken: `--map prompt=Q --map response=A`."""
    return " ".join(f"--map {quoted(f'{field}={column}')}" for field, column in plan.columns.items())


def quoted(text: str) -> str:
    """As a shell takes it, and as it can be shown in one line."""
    import shlex

    return shlex.quote("".join(char for char in text if char.isprintable()))


def _check(field: str, column: str, sample: Sample, source: str) -> None:
    if field not in names.FIELDS:
        raise BadInput(
            f"There is no field {field!r} to map.",
            fix=f"The fields are {', '.join(names.FIELDS)}; give FIELD=COLUMN.",
        )
    if column not in sample.columns and not _reaches(sample, column):
        raise BadInput(
            f"{source} has no column {column!r}.",
            why=_columns(sample),
            fix=f"Map {field} to one of them; NAME.INNER reaches into objects.",
        )


def _usual(sample: Sample, mapping: Columns, asked: str) -> Columns:
    """What the columns that are not mapped are, when those that are have their fields' own names."""
    names_of = {column: field for field, column in mapping.items() if field != "context"}
    hidden = {*mapping, *mapping.values()}
    renamed = [
        {key: value for key, value in row.items() if key not in hidden}
        | {names_of[key]: value for key, value in row.items() if key in names_of}
        for row in sample.rows
    ]
    as_named = Sample(renamed)
    keys = as_named.columns.keys()
    found = plan_for(keys, as_named, asked) or plan_for(keys, as_named)
    return {field: column for field, column in found.columns.items() if column not in mapping} if found else {}


def _suffices(columns: Columns, shape: str) -> bool:
    return any(all(name in columns for name in fields) for fields in NEEDS[shape])


def _places(columns: Columns, shape: str) -> frozenset[str]:
    """The fields that rows of a shape read, given that they have `columns`."""
    needed = next(fields for fields in NEEDS[shape] if all(name in columns for name in fields))
    if shape == "text":
        return frozenset(needed)
    placed = _ALWAYS | set(needed)
    if shape == "preference":
        placed |= {"messages"} if "messages" in columns else {"prompt"}
    return placed | {"context"} if "prompt" in placed else placed


def _reaches(sample: Sample, column: str) -> bool:
    """Whether `column` is a path into objects that some row has."""
    first, *path = column.split(".")
    for value in sample.columns.get(first, ()):
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if path and value is not None:
            return True
    return False


def _columns(sample: Sample) -> str:
    shown = list(sample.columns)[:_LISTED]
    more = len(sample.columns) - len(shown)
    return f"Its columns are {', '.join(shown) or 'none'}{f' and {more} more' if more > 0 else ''}."
