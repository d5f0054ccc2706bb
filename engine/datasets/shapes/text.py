"""Text of a row: what can be kept, what says nothing, what is no text."""

import json
from typing import Any

from engine.datasets.rows import RowError, json_kind

_DECODER = json.JSONDecoder(parse_constant=lambda _name: None)


def text_of(value: Any, field: str, *, empty: bool = False) -> str:
    """`value` as text, parts joined. Raises `RowError` for what is not text, cannot be stored, or says nothing."""
    if isinstance(value, list):
        value = "".join(_part(part, f"{field}[{index}]") for index, part in enumerate(value))
    if not isinstance(value, str):
        raise RowError(field, f"is {json_kind(value)}, not text")
    if not empty and (not value or value.isspace()):
        raise RowError(field, "is only white space" if value else "is empty")
    check_storable(value, field)
    return value


def is_plain(text: str) -> bool:
    """Whether `text` says something and can be stored: what `text_of` finds out with more words."""
    if not text or "\0" in text or text.isspace():
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_storable(text: str, field: str) -> None:
    """Raises `RowError` for what no file of text can hold."""
    if "\0" in text:
        raise RowError(field, "has a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RowError(field, f"has half a character (\\u{ord(text[error.start]):04x})") from error


def parsed(text: str) -> Any:
    """The list or object that `text` is in JSON, or `None`."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return None


def dumped(value: Any, field: str) -> str:
    """`value` as JSON. Raises `RowError` for what cannot be stored."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError, TypeError) as error:
        raise RowError(field, f"cannot be kept ({error})") from error
    check_storable(text, field)
    return text


def shown(value: Any) -> str:
    """A value within a message."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def _part(part: Any, field: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("type", "text") == "text":
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else None
    raise RowError(field, f"is {shown(kind)}, and only text can be learnt" if kind else "is not a part with text")
