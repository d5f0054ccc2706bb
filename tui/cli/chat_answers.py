"""Answers on their way to a terminal: who answers, and printing one after the other what streams side by side."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tui.cli.output import Progress, paint
from tui.format import fmt_rate
from tui.text import clean

if TYPE_CHECKING:
    from engine.inference.pool import Pane, Sampling, ServerPool

Conversation = list[dict[str, str]]


@dataclass(frozen=True)
class Seat:
    """One who answers, and the base model it is made of, by the name a person knows."""

    pane: "Pane"
    model: str
    label: str = ""
    """A letter, where the name is hidden."""

    @property
    def shown(self) -> str:
        return self.label or self.pane.label

    @property
    def voted(self) -> str:
        """The model as votes have it."""
        if self.pane.url:
            return f"remote:{self.pane.model}"
        return self.pane.run_id or f"base:{self.model}"


@dataclass(frozen=True)
class Answer:
    """What one model said to one prompt."""

    model: str
    run: str | None
    text: str
    label: str = ""
    """What stands for the model where its name is hidden."""
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    error: str | None = None

    def document(self) -> dict[str, Any]:
        known: dict[str, Any] = {
            "model": self.model,
            "run": self.run,
            "text": self.text,
            "tokens": self.tokens,
            "first_token_s": self.first_token_s,
            "tokens_per_s": self.tokens_per_s,
        }
        known = ({"label": self.label} if self.label else {}) | known
        return known | ({"error": self.error} if self.error else {})


async def answers_to(
    pool: "ServerPool",
    seats: Sequence[Seat],
    conversations: Sequence[Conversation],
    sampling: "Sampling",
    progress: Progress,
    *,
    show: bool,
) -> list[Answer]:
    """All panes at once. With `show`, one pane after the other reaches the terminal, the first of them as it comes."""
    answers = [Answer(seat.model, seat.pane.run_id, "", seat.label) for seat in seats]
    printer = _InOrder([seat.shown for seat in seats]) if show else None
    async for delta in pool.answer([seat.pane for seat in seats], conversations, sampling):
        progress.clear()
        before = answers[delta.pane]
        after = replace(before, text=before.text + delta.text)
        if delta.done:
            after = replace(
                after,
                tokens=delta.tokens,
                first_token_s=delta.first_token_s,
                tokens_per_s=delta.tokens_per_s,
                error=delta.error,
            )
        answers[delta.pane] = after
        if printer:
            printer.take(delta.pane, delta.text, after if delta.done else None)
    return answers


class _InOrder:
    """Prints the panes one after the other while they all stream."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._waiting = [""] * len(labels)
        self._ended: list[Answer | None] = [None] * len(labels)
        self._at = 0
        self._started = False

    def take(self, pane: int, text: str, ended: Answer | None) -> None:
        """More text of a pane, and its whole answer once it is at its end."""
        self._waiting[pane] += text
        self._ended[pane] = ended
        while self._at < len(self._labels):
            if not self._started:
                show_text(paint(f"{clean(self._labels[self._at])}: ", "bold"))
                self._started = True
            show_text(clean(self._waiting[self._at]))
            self._waiting[self._at] = ""
            answer = self._ended[self._at]
            if answer is None:
                return
            show_text("\n" + paint(_figures(answer), "dim") + "\n")
            self._at += 1
            self._started = False


def _figures(answer: Answer) -> str:
    if answer.error:
        return clean(answer.error)
    if answer.label:
        return ""  # its speed may tell who it is
    first = f"{answer.first_token_s:.2f} s to the first" if answer.first_token_s is not None else ""
    speed = f"{fmt_rate(answer.tokens_per_s)} tokens/s" if answer.tokens_per_s is not None else ""
    return ", ".join(
        part for part in (f"{answer.tokens} tokens" if answer.tokens is not None else "", first, speed) if part
    )


def begin(system: str) -> Conversation:
    return [{"role": "system", "content": system}] if system else []


def show_text(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
