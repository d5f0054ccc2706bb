"""What made a version, in words: `filter of v2: tokens < 1024 · 474 → 426`."""

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
    """How a version was made, with what it was told, and rows before and after."""
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
