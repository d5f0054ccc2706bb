"""Metadata of rows as it is kept: JSON, written in one way, so that the same metadata is the same text."""

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from engine.datasets.rows import RowError


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as it is kept. Raises `RowError` for what JSON cannot hold."""
    try:
        return orjson.dumps(metadata).decode()  # many times as fast; what it refuses the standard library may take
    except orjson.JSONEncodeError:
        pass
    try:
        try:
            return json.dumps(metadata, allow_nan=False)
        except (ValueError, TypeError):
            return json.dumps(_plain(metadata), allow_nan=False)
    except (RecursionError, ValueError, TypeError) as error:
        raise RowError("metadata", f"cannot be kept ({error})") from error


def _plain(value: Any) -> Any:
    """Values of tables that JSON does not have, as text; not a number is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return f"({len(value):,} bytes)"
    if value is None or isinstance(value, (str, int)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
