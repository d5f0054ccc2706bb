"""One row as one model answered it: all that a figure is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answered:
    """What a model did with one row; `None` (or no tokens) where that was not asked for or is not known."""

    row: int
    expected: str | None = None
    """The answer that the row has."""
    text: str | None = None
    """What the model wrote."""
    tokens: int | None = None
    """Tokens that it wrote, by its own tokenizer."""
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    finish_reason: str = ""
    nll: float | None = None
    """The sum of -log p over the tokens of `expected`, in nats."""
    scored_tokens: int = 0
    correct_tokens: int = 0
    """Those of them that the model holds most likely."""
    answer: int | None = None
    """Which of the choices is right, from 0."""
    choice_nll: tuple[float, ...] = ()
    """The sum of -log p over the tokens of each choice, in nats."""
    choice_tokens: tuple[int, ...] = ()
    error: str = ""
    """Why there is no answer; such a row counts in no figure."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the row says besides: a probe's `accept` and `category`."""
