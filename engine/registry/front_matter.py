"""The YAML at the head of a model card. Every text is cleaned and quoted: none is taken for anything else."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from engine.text import clean_line

_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""What YAML 1.1 does not take for a text."""


def front_matter(values: Mapping[str, Any]) -> str:
    """`values` between two lines of dashes: texts, numbers, truths, lists and tables of these, at any depth."""
    return "\n".join(["---", *_table(values, ""), "---", ""])


def _table(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_key(name)}:"
            yield from _table(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value:
            yield f"{indent}{_key(name)}:"
            yield from _items(value, indent)
        else:
            yield f"{indent}{_key(name)}: {_scalar(value)}"


def _items(values: "list[Any] | tuple[Any, ...]", indent: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping) and value:
            first, *rest = _table(value, indent + "  ")
            yield f"{indent}- {first.strip()}"
            yield from rest
        else:
            yield f"{indent}- {_scalar(value)}"


def _key(name: str) -> str:
    return _scalar(name) if name in _WORDS else name


def _scalar(value: Any) -> str:
    """JSON is YAML; a float is written so that it stays one."""
    if isinstance(value, float):
        text = repr(value) if math.isfinite(value) else "null"
        mantissa, sign, exponent = text.partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}" if sign else text
    if isinstance(value, str):
        value = clean_line(value).replace("\ufffe", "").replace("\uffff", "")
    return json.dumps(value, ensure_ascii=False)
