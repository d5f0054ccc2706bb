"""What is asked of a model and what comes back, a row of a batch each. No torch, so that the server starts at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput

BASE = "base"
"""What requests call the model without an adapter."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 leave all tokens in.

    `seed` makes sampling repeatable: the same seed, prompt and model give the same text, alone or in a batch.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


@dataclass(frozen=True)
class RowRequest:
    """One answer to write: `adapter` is its name on the model, or `None` for the base model."""

    adapter: str | None
    messages: Sequence[dict[str, Any]]
    max_new_tokens: int = 256


@dataclass(frozen=True)
class RowResult:
    """One answer. `tokens` leaves out the one that ended it; times are in seconds.

    `tokens_per_s` is the speed after the first token, which is what the prompt's length does not change.
    """

    text: str
    tokens: int
    first_token_s: float | None
    tokens_per_s: float | None
    finish_reason: str
    """`stop` at an end token, `length` at the limit, `cancelled`."""


class PromptError(BadInput):
    """A conversation that cannot be put to this model: too long, or its template refuses it."""
