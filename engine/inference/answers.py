"""What comes back from those who answer: pieces as they are written, and whole answers."""

from dataclasses import dataclass

from engine.inference.panes import Pane


@dataclass(frozen=True)
class Delta:
    """A piece of one pane's answer: `pane` is its place in the request.

    The last one of a pane is `done`, with the figures of the whole answer, or with the `error` that kept it from being
    one. `first_token_s` counts from the start of the batch; `tokens_per_s` is the speed after the first token.
    """

    pane: int
    text: str = ""
    done: bool = False
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    error: str | None = None
    finish_reason: str | None = None
    """`stop`, `length`, or what else a server calls it."""
    prompt_tokens: int | None = None


@dataclass(frozen=True)
class Answer:
    """A pane's whole answer."""

    pane: Pane
    text: str
    tokens: int | None
    first_token_s: float | None
    tokens_per_s: float | None
