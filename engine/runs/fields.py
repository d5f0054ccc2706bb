"""The fields of an event, checked one by one: logs come from other versions, other machines and failing disks."""

from math import isfinite
from typing import Any, overload

from engine.runs.protocol import Event
from store.records import LAST_STEP, Status


def text(value: Any) -> str:
    """`value` as text that can be stored: JSON may hold halves of surrogate pairs."""
    return str(value).encode("utf-8", "replace").decode()


class Damaged(ValueError):
    """An event's fields are not what its kind has; the message says which."""


def status_of(event: Event) -> Status:
    value: Any = event.get("status")
    try:
        return Status(value)
    except ValueError as error:
        raise Damaged(f"status is {short(value)}") from error


def words(event: Event, name: str) -> str:
    value = event.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise Damaged(f"{name} is {short(value)}")
    return text(value)


@overload
def whole(event: Event, name: str) -> int: ...
@overload
def whole(event: Event, name: str, *, optional: bool) -> int | None: ...
def whole(event: Event, name: str, *, optional: bool = False) -> int | None:
    """A step or a count."""
    value = event.get(name)
    if type(value) is int and 0 <= value <= LAST_STEP:
        return value
    if optional and value is None:
        return None
    raise Damaged(f"{name} is {short(value)}")


def figure(event: Event, name: str) -> float | None:
    """A finite number, or `None` where there is none, be it missing or NaN."""
    value = event.get(name)
    return None if value is None else finite(number(value))


def finite(value: Any) -> float | None:
    """`value` where it is a finite number."""
    if type(value) is int and abs(value) <= LAST_STEP:
        return float(value)
    return value if type(value) is float and isfinite(value) else None


def number(value: Any) -> float:
    """A number as the log holds it: those that JSON lacks are the strings `nan`, `inf` and `-inf`."""
    if type(value) in (float, int) or value in ("nan", "inf", "-inf"):
        try:
            return float(value)
        except OverflowError:
            pass
    raise Damaged(short(value))


def short(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."
