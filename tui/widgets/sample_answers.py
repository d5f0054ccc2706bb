"""What a run answered to its sample prompts, step by step, and how one answer differs from another."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from textual.content import Content

from tui.text import clean
from tui.widgets.word_diff import likeness, word_diff

if TYPE_CHECKING:
    from store.records import Attempt, EventRow

MOST_COMPARED = 6_000
"""Characters of two answers together: comparing more word by word would be felt at the keys."""
REWRITTEN = 0.3
"""Answers that share less are not compared word by word: all would be struck, and all would be new."""


@dataclass
class Answers:
    """One prompt: what the data says, and what the model said at each step."""

    prompt: str
    reference: str = ""
    by_step: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """All prompts of a run, in its order. Texts are clean."""

    prompts: Sequence[Answers] = ()
    steps: Sequence[int] = ()
    """Ascending; step 0 is the base model before any training."""
    losses: Mapping[int, float] = field(default_factory=dict)
    """Loss on the validation split, by step."""
    best_step: int | None = None


def samples_of(
    samples: "Iterable[EventRow]", evaluations: "Iterable[EventRow]", attempts: "Sequence[Attempt]"
) -> Samples:
    """What events of the kinds `sample` and `evaluation` say, oldest first; what a resume did over is left out."""
    prompts: dict[tuple[str, int], Answers] = {}
    steps: set[int] = set()
    for event in samples:
        step = event.body.get("step")
        if not isinstance(step, int) or _superseded(event, step, attempts):
            continue
        steps.add(step)
        seen: Counter[str] = Counter()
        for sample in event.body.get("samples") or ():
            prompt = clean(str(sample.get("prompt", "")))
            seen[prompt] += 1  # two conversations may end in the same words
            answers = prompts.setdefault((prompt, seen[prompt]), Answers(prompt))
            answers.by_step[step] = clean(str(sample.get("text", "")))
            answers.reference = clean(str(sample.get("reference") or "")) or answers.reference
    losses, best = {}, None
    for event in evaluations:
        values, step = event.body.get("values"), event.body.get("step")
        loss = values.get("eval/loss") if isinstance(values, dict) else None
        if isinstance(step, int) and isinstance(loss, float) and not _superseded(event, step, attempts):
            losses[step] = loss
        if isinstance(event.body.get("best_step"), int):
            best = event.body["best_step"]
    return Samples([*prompts.values()], sorted(steps), losses, best)


def _superseded(event: "EventRow", step: int, attempts: "Sequence[Attempt]") -> bool:
    return any(
        attempt.number > event.attempt and attempt.from_step is not None and step > attempt.from_step
        for attempt in attempts
    )


def steps_shown(steps: Sequence[int], cursor: int, pinned: int | None, room: int) -> list[int]:
    """As many of `steps` (ascending) as there is room for: the one at the cursor, those before it, and `pinned`."""
    others = [step for step in steps if step != pinned]
    room -= pinned is not None
    if room <= 0 or not others:
        return [cursor]
    end = bisect_right(others, cursor)
    end = max(end, min(room, len(others)))
    window = others[max(0, end - room) : end]
    return sorted([*window, pinned]) if pinned is not None else window


@dataclass(frozen=True)
class Compared:
    """An answer beside what it is compared with: the words, and what to say of them."""

    content: Content
    note: str


@lru_cache(maxsize=256)
def compared(before: str, after: str) -> Compared:
    """`after` with what differs from `before`: what went is struck, what came is marked."""
    if before == after:
        return Compared(_shown(after), "the same")
    if not after.strip():
        return Compared(_shown(after), "changed")
    if len(before) + len(after) > MOST_COMPARED:
        return Compared(_shown(after), "changed, too long to compare")
    if likeness(before, after) < REWRITTEN:
        return Compared(_shown(after), "all new")
    return Compared(word_diff(before, after), "changed")


def plain(answer: str) -> Compared:
    """An answer as it is."""
    return Compared(_shown(answer), "")


@lru_cache(maxsize=1024)
def like_reference(reference: str, answer: str) -> float | None:
    """How much of an answer is as the data has it, 0 to 1; `None` where that cannot be told."""
    if not reference or len(reference) + len(answer) > MOST_COMPARED:
        return None
    return likeness(reference, answer)


def _shown(answer: str) -> Content:
    return Content(answer) if answer.strip() else Content("(no answer)").stylize("italic $text-muted")
