"""TOML from files that people write and copy: whatever is wrong with one is a `ValueError`. Standard library only."""

import tomllib
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:
    """The file's table. Raises `OSError`, and `ValueError` for what is no TOML in UTF-8."""
    return parse_toml(path.read_text(encoding="utf-8"))


def parse_toml(text: str) -> dict[str, Any]:
    """The table that `text` is. Raises `ValueError`, also where it is nested more deeply than can be read."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
