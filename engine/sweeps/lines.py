"""What a sweep varies, typed as lines: `learning_rate = 1e-5..1e-3 log`, `lora_r = 8, 16, 32`."""

import re
from typing import Any

from engine.errors import BadInput
from engine.recipe import SHORT_NAMES, parse_value
from engine.sweeps.space import Axis

_RANGE = re.compile(r"(?P<low>\S+?)\s*\.\.\s*(?P<high>\S+)(?P<rest>(?:\s+\S+)*)")
_HINT = "Write 8, 16, 32 or 1e-5..1e-3 log or 1..5 step 2."


def parse_search(text: str) -> dict[str, Any]:
    """The `search` of a spec from its lines; empty ones are left out. Fields and values are not checked here.

    Raises `BadInput` with every line that is not understood.
    """
    found: dict[str, Any] = {}
    problems: list[str] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, sign, written = (part.strip() for part in line.partition("="))
        name = SHORT_NAMES.get(name, name)
        if not sign or not name:
            problems.append(f"  {line}: has no =")
        elif name in found:
            problems.append(f"  {line}: {name} is varied twice")
        else:
            try:
                found[name] = parse_axis(written)
            except ValueError as error:
                problems.append(f"  {line}: {error}")
    if problems:
        raise BadInput("Not understood:", why="\n".join(problems), fix=_HINT)
    return found


def parse_axis(text: str) -> Any:
    """What a spec's `search` has for one field: a list, or a table with `low` and `high`. Raises `ValueError`."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        values = _values(text)
        if not values:
            raise ValueError("has no values")
        return values
    axis: dict[str, Any] = {"low": _number(match["low"]), "high": _number(match["high"])}
    words = match["rest"].split()
    while words:
        word = words.pop(0)
        if word == "log":
            axis["log"] = True
        elif word == "step" and words:
            axis["step"] = _number(words.pop(0))
        else:
            raise ValueError(f"{word!r} is neither log nor step N")
    return axis


def search_words(axis: Axis) -> str:
    """An axis as one types it."""
    if axis.values is not None:
        return ", ".join(_word(value) for value in axis.values)
    tail = " log" if axis.log else f" step {_word(axis.step)}" if axis.step is not None else ""
    return f"{_word(axis.low)}..{_word(axis.high)}{tail}"


def _values(text: str) -> list[Any]:
    as_list = parse_value(f"[{text}]")  # quotes and lists in it, as TOML has them
    if isinstance(as_list, list):
        return as_list
    return [parse_value(part.strip()) for part in text.split(",") if part.strip()]


def _number(text: str) -> int | float:
    value = parse_value(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{text!r} is not a number")
    return value


def _word(value: Any) -> str:
    if isinstance(value, float):
        plain, mantissa_and_exponent = f"{value:.12g}", f"{value:.12e}".split("e")
        short = f"{mantissa_and_exponent[0].rstrip('0').rstrip('.')}e{int(mantissa_and_exponent[1])}"
        return short if len(short) < len(plain) else plain
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ", ".join(map(_word, value)) + "]" if isinstance(value, (list, tuple)) else str(value)
