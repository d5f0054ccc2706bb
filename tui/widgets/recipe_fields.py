"""The recipe's fields as a form sees them: kind, choices, words; values shown and read back."""

import types
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from engine.recipe import Group, Recipe, parse_value

Kind = Literal["choice", "switch", "number", "text", "names", "lines"]
EMPTY = "–"

HINTS = {
    "choice": "enter picks, ← → go through them",
    "switch": "space switches",
    "number": "a number",
    "text": "text",
    "names": "all-linear, or names with commas between",
    "lines": "with | between one and the next",
}


@dataclass(frozen=True)
class FieldSpec:
    """A field of the recipe. `choices` are those of a choice, or of a list of names that is closed."""

    name: str
    group: Group
    kind: Kind
    help: str
    default: Any
    choices: tuple[str, ...] = ()
    may_be_auto: bool = False
    """For numbers and switches."""
    may_be_none: bool = False
    may_be_list: bool = False
    """A number that can be several."""

    @property
    def hint(self) -> str:
        """How its value is typed or changed."""
        if self.may_be_list:
            return "how many, which ones (0,1), or auto"
        if self.kind == "number" and self.may_be_auto:
            return "a number, or auto"
        if self.kind == "switch" and self.may_be_auto:
            return "space goes through auto, on, off"
        if self.kind == "names" and self.choices:
            return f"{', '.join(self.choices)}: with commas between"
        if self.kind == "choice":
            return f"{' · '.join(self.choices)}"
        return HINTS[self.kind]


@cache
def field_specs() -> dict[str, FieldSpec]:
    """Every field of the recipe, in its order."""
    return {name: _spec(name) for name in Recipe.model_fields}


def _spec(name: str) -> FieldSpec:
    info = Recipe.model_fields[name]
    extra = info.json_schema_extra
    group = Group(str(extra["group"])) if isinstance(extra, dict) else Group.TRAINING
    options = get_args(info.annotation) if get_origin(info.annotation) in (Union, types.UnionType) else ()
    kinds = tuple(getattr(one, "__origin__", one) if hasattr(one, "__metadata__") else one for one in options) or (
        info.annotation,
    )
    literals = tuple(str(value) for one in kinds if get_origin(one) is Literal for value in get_args(one))
    names = tuple(str(value) for one in kinds if get_origin(one) is tuple for value in _listed(one))
    kind: Kind
    if bool in kinds:
        kind = "switch"
    elif int in kinds or float in kinds:
        kind = "number"
    elif any(get_origin(one) is tuple for one in kinds):
        kind = "names" if str in kinds or names else "lines"
    else:
        kind = "choice" if literals else "text"
    return FieldSpec(
        name,
        group,
        kind,
        info.description or "",
        info.default,
        choices=literals if kind == "choice" else names,
        may_be_auto=kind in ("number", "switch") and "auto" in literals,
        may_be_none=type(None) in kinds,
        may_be_list=kind == "number" and any(get_origin(one) is tuple for one in kinds),
    )


def _listed(kind: Any) -> tuple[Any, ...]:
    """What a list's items can be, where that is a closed set."""
    item = get_args(kind)[0]
    return get_args(item) if get_origin(item) is Literal else ()


def show_value(value: Any) -> str:
    """A value as it is typed: `2e-4`, `on`, `q_proj, v_proj`."""
    if value is None or value == () or value == []:
        return EMPTY
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return _show_float(value)
    return str(value)


def show_field(spec: FieldSpec, value: Any) -> str:
    """The value of a field as it is typed; lists with the separator of their kind."""
    if isinstance(value, list | tuple) and value:
        return (" | " if spec.kind == "lines" else ", ").join(str(item) for item in value)
    return show_value(value)


def read_typed(spec: FieldSpec, text: str) -> Any:
    """What a person typed into a field, as a value for the recipe. Whether it fits is for the recipe to say."""
    text = text.strip()
    if text in ("", EMPTY) and spec.may_be_none:
        return None
    if spec.may_be_list and "," in text:
        return tuple(parse_value(part.strip()) for part in text.split(",") if part.strip())
    if spec.kind == "number":
        return parse_value(text)
    if spec.kind == "lines":
        return tuple(part.strip() for part in text.split("|") if part.strip() and part.strip() != EMPTY)
    if spec.kind == "names" and ("," in text or spec.choices):
        return tuple(part.strip() for part in text.split(",") if part.strip() and part.strip() != EMPTY)
    return text


def cycled(spec: FieldSpec, value: Any, places: int) -> Any:
    """The choice `places` after `value`, or the switch thrown; the value itself for other kinds."""
    if spec.kind == "switch":
        states = ("auto", True, False) if spec.may_be_auto else (True, False)
        place = next((at for at, one in enumerate(states) if one is value or (one == "auto" == value)), 0)
        return states[(place + places) % len(states)]
    if spec.kind != "choice":
        return value
    place = spec.choices.index(value) if value in spec.choices else -places
    return spec.choices[(place + places) % len(spec.choices)]


def _show_float(value: float) -> str:
    """The shortest way to write it, with an exponent below 0.001."""
    text = repr(value)
    if value and abs(value) < 1e-3:
        sign, digits, exponent = Decimal(text).normalize().as_tuple()
        if not isinstance(exponent, int):
            return text
        mantissa = "".join(str(digit) for digit in digits)
        tail = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
        return f"{'-' if sign else ''}{mantissa[0]}{tail}e{exponent + len(mantissa) - 1}"
    return text.removesuffix(".0")
