"""What a run costs: the time for which it had its devices, at the price that its recipe names."""

import json
from collections.abc import Mapping
from typing import Any

from engine.runs.fields import finite


def price_per_s(recipe: Mapping[str, Any]) -> float:
    """Price of a second on all devices of a run, in the currency of `cost_per_hour`; 0 where none is named.

    `recipe` is a recipe as stored: one of another version must not keep its run from being read.
    """
    price = finite(recipe.get("cost_per_hour")) or 0.0
    return max(0.0, price) * count_of(recipe.get("devices")) * count_of(recipe.get("nodes")) / 3600


def count_of(value: Any) -> int:
    """How many a field of a stored recipe names: itself, as many as it lists (be it as JSON), else one."""
    if isinstance(value, str) and value.startswith("["):
        value = json.loads(value)
    if isinstance(value, (list, tuple)):
        return max(1, len(value))
    return max(1, value) if type(value) is int else 1
