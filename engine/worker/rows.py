"""What is asked of a model and what comes back, a row of a batch each. No torch, so that the server starts at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import BadInput, FinetuiError

BASE = "base"
"""What requests call the model without an adapter."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 leave all tokens in.

    The same `seed`, prompt and model give the same text, alone or in a batch.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0


@dataclass(frozen=True)
class RowRequest:
    """One answer to write: `adapter` is its name on the model, or `None` for the base model; `prompt` token ids.

    `stop` are texts at which the answer ends; they are no part of it.
    """

    adapter: str | None
    prompt: Sequence[int]
    max_new_tokens: int = 256
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    goes_on: bool = False
    """Whether the answer goes on in the prompt's own text, and does not answer it."""


@dataclass(frozen=True)
class RowResult:
    """One answer. `tokens` leaves out the one that ended it; times are in seconds.

    `first_token_s` counts from the start of the row's batch; `tokens_per_s` is the speed after the first token, which
    is what the prompt's length does not change.
    """

    text: str
    tokens: int
    prompt_tokens: int
    first_token_s: float | None
    tokens_per_s: float | None
    finish_reason: str
    """`stop` at an end token or a stop text, `length` at the limit, `cancelled`, `error`."""
    error: FinetuiError | None = None


class PromptError(BadInput):
    """A prompt that cannot be put to this model: too long, or its template refuses it."""
