"""What a sweep varies: for each field of the recipe a list of values, or a range."""

import json
from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from engine.recipe import Recipe

Number = int | float


class Axis(BaseModel):
    """One field's candidates: `values`, or everything from `low` to `high`.

    In TOML `[8, 16, 32]`, `{values = [8, 16]}`, `{low = 1e-5, high = 1e-3, log = true}` or
    `{low = 1, high = 5, step = 2}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    values: tuple[Any, ...] | None = None
    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_list_is_values(cls, given: Any) -> Any:
        return {"values": given} if isinstance(given, (list, tuple)) else given

    @model_validator(mode="after")
    def _consistent(self) -> "Axis":
        if self.values is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("has values and a range; give one of them")
            if not self.values:
                raise ValueError("has no values")
            written = [encoded(value) for value in self.values]
            twice = next((value for value in written if written.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"has {twice} twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs a list of values, or low and high")
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and self.step is not None:
            raise ValueError("has log and step, which exclude each other")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 for log")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError("step must be above 0 and within the range")
        return self

    @property
    def corners(self) -> tuple[Any, ...]:
        """The candidates that stand for all: the values, or both ends."""
        return self.values if self.values is not None else (self.low, self.high)

    def written(self) -> Any:
        """As it is written in TOML."""
        if self.values is not None:
            return list(self.values)
        given: dict[str, Any] = {"low": self.low, "high": self.high}
        return given | ({"log": True} if self.log else {}) | ({"step": self.step} if self.step is not None else {})


Space = Mapping[str, Axis]


def encoded(value: Any) -> str | int | float | bool | None:
    """A value as a study can hold it: lists become JSON."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return json.dumps(value, default=str)  # TOML has dates; that no field takes one, the recipe says


def decoded(axis: Axis, value: Any) -> Any:
    """The candidate that `encoded` made `value` of."""
    for candidate in axis.values or ():
        if encoded(candidate) == value and isinstance(candidate, bool) == isinstance(value, bool):
            return candidate
    return value


def is_integer(field: str) -> bool:
    """Whether a field's numbers are whole."""
    return field in Recipe.model_fields and _number_of(field) is int


def axis_problem(field: str, axis: Axis) -> str:
    """What is wrong with a range over this field, or nothing. Its values are for the recipe to judge."""
    if axis.values is not None or field not in Recipe.model_fields:
        return ""
    number = _number_of(field)
    if number is None:
        return "is no number: give a list of values"
    if number is int and any(isinstance(one, float) for one in (axis.low, axis.high, axis.step)):
        return "takes whole numbers"
    return ""


def grid_problem(field: str, axis: Axis) -> str:
    """Why a grid cannot take the axis, or nothing."""
    endless = axis.values is None and axis.step is None and (axis.log or not is_integer(field))
    return "a grid needs a list of values, or a range with a step" if endless else ""


def grid_values(field: str, axis: Axis) -> tuple[Any, ...]:
    """All candidates of an axis that has no `grid_problem`."""
    if axis.values is not None:
        return axis.values
    assert axis.low is not None and axis.high is not None, "an axis has values or a range"
    step = 1 if axis.step is None else axis.step
    count = int((axis.high - axis.low) / step + 1e-9) + 1
    if is_integer(field):
        return tuple(axis.low + number * step for number in range(count))
    return tuple(float(f"{axis.low + number * step:.12g}") for number in range(count))


def grid_size(space: Space) -> int:
    """How many combinations a grid has."""
    return prod(len(grid_values(field, axis)) for field, axis in space.items())


def grid_cells(space: Space) -> list[dict[str, Any]]:
    """Every combination, the last field changing fastest."""
    columns = [grid_values(field, axis) for field, axis in space.items()]
    return [dict(zip(space, row, strict=True)) for row in product(*columns)]


def _number_of(field: str) -> type[int] | type[float] | None:
    """`float`, else `int`, where a field takes it."""
    kinds = _flat(Recipe.model_fields[field].annotation)
    return float if float in kinds else int if int in kinds else None


def _flat(annotation: Any) -> set[Any]:
    """The plain types of a union; what is inside a tuple or a literal does not count."""
    if get_origin(annotation) is Annotated:
        return _flat(get_args(annotation)[0])
    if get_origin(annotation) in (None, tuple):
        return {annotation}
    return set().union(*(_flat(part) for part in get_args(annotation) if not isinstance(part, str)))
