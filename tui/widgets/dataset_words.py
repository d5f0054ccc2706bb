"""A dataset version in words: what it is called, and how it was made."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui.text import clean_line

if TYPE_CHECKING:
    from store.records import Dataset

GRADE_TONES = {"A": "good", "B": "good", "C": "look", "D": "act", "E": "act", "F": "act"}
"""The tone of a list's cell for each grade: ready, look at it, act first."""


def title_of(dataset: "Dataset") -> str:
    """Name and version: `emoji-chat v3`."""
    return f"{clean_line(dataset.name)} v{dataset.version}"


def count_words(count: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def made_words(dataset: "Dataset", card: dict[str, Any]) -> str:
    """How a version came to be: its file where it was imported, else `filter of v2`, `mix of a v1, b v2`."""
    operation = card.get("operation") or {}
    kind = clean_line(str(operation.get("kind") or "import"))
    parents = [one for one in card.get("parents") or [] if isinstance(one, dict)]
    if kind == "import" or not parents:
        return clean_line(dataset.source)
    return f"{kind} of {_names(parents, dataset.name)}"


def _names(parents: Sequence[dict[str, Any]], own: str) -> str:
    """The parents' names and versions; the name is left out where it is the dataset's own."""
    words = []
    for parent in parents:
        name, version = clean_line(str(parent.get("name", ""))), parent.get("version", "?")
        words.append(f"v{version}" if name == clean_line(own) else f"{name} v{version}")
    return ", ".join(words)
