"""JSON as other programs write it: with NaN and Infinity where Python's own writer put them."""

import json
from typing import Any

import orjson


def loads(raw: bytes | str) -> Any:
    """The value. Raises `ValueError` for what is no JSON, and `TypeError` for what is no text."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None
