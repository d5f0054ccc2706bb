"""A conversation with several models: what was asked, what each answered, and what each is told of it next time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tui.format import fmt_rate

if TYPE_CHECKING:
    from store.records import Message
    from store.talk_records import Passage

USER = -1
"""The pane that a user's turn is stored under."""


class Stage(StrEnum):
    """How far an answer is."""

    WAITING = "waiting"
    WRITING = "writing"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass
class Answer:
    """What one model said to one prompt, so far."""

    text: str = ""
    stage: Stage = Stage.WAITING
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    error: str = ""
    passages: "Sequence[Passage]" = ()
    """What was found in the pane's notes and put before the question."""

    @property
    def open(self) -> bool:
        """Whether more may come."""
        return self.stage in (Stage.WAITING, Stage.WRITING)

    @property
    def figures(self) -> str:
        """Tokens, time to the first of them, speed: `38 tok · 0.22 s · 58.0/s`."""
        parts = [f"{self.tokens:,} tok"] if self.tokens is not None else []
        if self.first_token_s is not None:
            parts.append(f"{self.first_token_s:.2f} s")
        if self.tokens_per_s is not None:
            parts.append(f"{fmt_rate(self.tokens_per_s)}/s")
        if self.stage is Stage.STOPPED:
            parts.append("stopped")
        return " · ".join(parts)


@dataclass
class Turn:
    """A prompt and the answers to it, by the place of the pane. `version` rises with every change."""

    prompt: str
    answers: dict[int, Answer] = field(default_factory=dict)
    version: int = 0
    earlier: dict[int, list[Answer]] = field(default_factory=dict)
    """What was answered before it was asked again, the oldest first."""
    position: int | None = None
    """Where the prompt is in the stored chat; `None` where it is not stored."""

    def ask_again(self, place: int) -> None:
        """A new answer is waited for; the one that was there is an earlier one."""
        before = self.answers.get(place)
        if before is not None and before.text:
            self.earlier.setdefault(place, []).append(before)
        self.answers[place] = Answer()
        self.version += 1

    def text_of(self, place: int) -> str | None:
        """What was answered there to the end, or as far as it came; `None` while it is not over."""
        answer = self.answers.get(place)
        return answer.text if answer is not None and answer.text and not answer.open else None


def messages_for(turns: Sequence[Turn], place: int, system: str) -> list[dict[str, str]]:
    """What the model at `place` is told for the last of `turns`: its own earlier answers, nobody else's.

    Turns that it did not answer are left out, so that user and assistant take turns, as chat templates want it.
    """
    messages = [{"role": "system", "content": system}] if system else []
    for turn in turns[:-1]:
        answer = turn.answers.get(place)
        if answer is not None and answer.text and not answer.open:
            messages.append({"role": "user", "content": turn.prompt})
            messages.append({"role": "assistant", "content": answer.text})
    return [*messages, {"role": "user", "content": turns[-1].prompt}]


def turns_of(messages: "Iterable[Message]") -> list[Turn]:
    """Stored messages as turns. Where a pane answered twice, it was asked again: the later answer counts."""
    turns: list[Turn] = []
    for message in messages:
        if message.pane == USER:
            turns.append(Turn(message.text, position=message.position))
        elif turns:
            stage = Stage.DONE if message.tokens is not None else Stage.STOPPED
            turns[-1].ask_again(message.pane)
            turns[-1].answers[message.pane] = Answer(
                message.text,
                stage,
                message.tokens,
                message.first_token_s,
                message.tokens_per_s,
                passages=message.passages,
            )
    return turns
