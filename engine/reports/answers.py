"""Samples side by side: what each run answers to the same prompts, and what it answered before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.reports.lanes import Lane
from engine.withheld import without_secrets
from store import Store

MOST_PROMPTS = 12
MOST_CHARACTERS = 3000
EARLIER = 3
"""Answers of earlier steps that are kept, spread over the run."""
_EVENTS = 400


@dataclass(frozen=True)
class Answer:
    """What a run answered at a step."""

    step: int
    text: str


@dataclass(frozen=True)
class Answers:
    """A run's answer with the adapter that it kept, and earlier ones, oldest first."""

    lane: Lane
    kept: Answer
    earlier: list[Answer]


@dataclass(frozen=True)
class Prompt:
    """A prompt with the answer in the data, where there is one, and the runs' answers."""

    text: str
    reference: str
    answers: list[Answers]


def read_prompts(store: Store, lanes: Sequence[Lane]) -> tuple[list[Prompt], int]:
    """The prompts that the runs answered, those that most of them have first; and how many more there are."""
    found: dict[str, dict[int, dict[int, str]]] = {}
    references: dict[str, str] = {}
    for lane in lanes:
        for event in store.runs.events(lane.run.id, ["sample"], limit=_EVENTS):
            step = event.body.get("step")
            for sample in _samples(event.body):
                prompt = sample["prompt"]
                found.setdefault(prompt, {}).setdefault(lane.slot, {})[step if type(step) is int else 0] = sample[
                    "text"
                ]
                if isinstance(reference := sample.get("reference"), str) and reference:
                    references.setdefault(prompt, reference)
    ordered = sorted(found, key=lambda prompt: -len(found[prompt]))  # stable: else as they were met
    prompts = [
        Prompt(
            _shown(prompt),
            _shown(references.get(prompt, "")),
            [_answers(lane, found[prompt][lane.slot]) for lane in lanes if lane.slot in found[prompt]],
        )
        for prompt in ordered[:MOST_PROMPTS]
    ]
    return prompts, max(0, len(ordered) - MOST_PROMPTS)


def _samples(body: dict[str, Any]) -> list[dict[str, Any]]:
    samples = body.get("samples")
    return [
        sample
        for sample in (samples if isinstance(samples, list) else [])
        if isinstance(sample, dict) and isinstance(sample.get("prompt"), str) and isinstance(sample.get("text"), str)
    ]


def _answers(lane: Lane, by_step: dict[int, str]) -> Answers:
    best = lane.run.best_step
    kept = best if best is not None and best in by_step else max(by_step)
    before = sorted(step for step in by_step if step < kept)
    if len(before) > EARLIER:
        before = [before[index * (len(before) - 1) // (EARLIER - 1)] for index in range(EARLIER)]
    return Answers(
        lane,
        Answer(kept, _shown(by_step[kept])),
        [Answer(step, _shown(by_step[step])) for step in dict.fromkeys(before)],
    )


def _shown(text: str) -> str:
    text = without_secrets(text)
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS].rstrip()}… ({len(text) - MOST_CHARACTERS:,} more characters)"
