"""What can be typed next in a filter: keys, operators, and values that the store knows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Completion:
    """One thing that can take the place of `text[start:end]`; the cursor goes behind it."""

    insert: str
    """`status:`, `eval/loss`, `>=`, `"two words"`: quoted where it has to be."""
    start: int
    end: int
    kind: str
    """`key` (more follows: its value, or an operator), `operator`, `value`, or `join` (AND, OR, NOT)."""
    detail: str
    """What it is or does, in a few words: `what the run is doing`, `12 runs`."""


def completed(text: str, completion: Completion) -> tuple[str, int]:
    """The filter with a completion taken, and where the cursor is then."""
    whole = text[: completion.start] + completion.insert + text[completion.end :]
    return whole, completion.start + len(completion.insert)
