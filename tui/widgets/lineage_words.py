"""What made a version, and what tells a run from the one before it, in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tui.format import fmt_when
from tui.text import clean_line, shorten
from tui.widgets.dataset_words import made_words

if TYPE_CHECKING:
    from store.records import Dataset

MOST_CHARS = 160
_NOT_SHOWN = ("kind", "before", "after", "seed", "parents", "rows")
_NAMES = {"where": "", "near": "near ", "size": "", "threshold": "near "}


def operation_words(dataset: "Dataset", card: dict[str, Any]) -> str:
    """How a version was made, with what it was told, and rows: `filter of v2: tokens < 1024 · 474 → 426`."""
    operation = card.get("operation")
    operation = operation if isinstance(operation, dict) else {}
    words = made_words(dataset, card)
    if operation.get("kind", "import") == "import" or not card.get("parents"):
        return f"{words}, imported {fmt_when(dataset.created)}"
    told = [
        f"{_NAMES.get(key, f'{key} ')}{_value(value)}"
        for key, value in operation.items()
        if key not in _NOT_SHOWN and value not in (None, "", [], {}, False)
    ]
    words += f": {', '.join(told)}" if told else ""
    before, after = operation.get("before"), operation.get("after")
    if before is not None and after is not None:
        words += f" · {before:,} → {after:,}"
    return shorten(words, MOST_CHARS)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return clean_line(" ".join(f"{key} {_value(inner)}" for key, inner in value.items()))
    if isinstance(value, list | tuple):
        return f"{len(value):,}" if len(value) > 4 else clean_line(", ".join(_value(inner) for inner in value))
    return f"{value:g}" if isinstance(value, float) else clean_line(str(value))


NOT_TOLD = frozenset({"continue_from", "dataset", "sample_prompts"})
"""Settings whose difference is said otherwise, or says little."""
MOST_CHANGES = 3


def change_words(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between the recipes of two runs: `learning_rate 2e-4 → 1e-4, lora_r 8 → 16 and 2 more`."""
    from tui.widgets.settings_diff import value_words

    names = [name for name in dict.fromkeys([*before, *after]) if name not in NOT_TOLD]
    changed = [name for name in names if before.get(name) != after.get(name)]
    told = [
        f"{clean_line(name)} {shorten(value_words(before.get(name)), 16)} → {shorten(value_words(after.get(name)), 16)}"
        for name in changed[:MOST_CHANGES]
    ]
    more = len(changed) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")
