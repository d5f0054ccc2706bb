"""What a suite run came to, model by model."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, median
from typing import Any

from engine.suites.reading import Suite, SuitePrompt
from store.talk_records import SuiteAnswer

_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class ModelFigures:
    """One model of a suite run; `None` where there is nothing to count."""

    answered: int
    errors: int
    missing: int
    mean_tokens: float | None
    tokens_per_s: float | None
    """All tokens over the time they took, the first of each answer aside."""
    first_token_s: float | None
    """Median seconds to the first token, from the start of the batch."""
    length_ratio: float | None
    """Median of an answer's words over those of its reference: 1 is as long."""
    same_as_first: int | None = None
    """Answers that are, word for word, those of the first model; of the first model nothing."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def figures_of(suite: Suite, models: int, answers: Sequence[SuiteAnswer]) -> list[ModelFigures]:
    """The figures of each model, in their order."""
    first = {(one.position, one.turn): one.text.strip() for one in answers if one.model == 0 and not one.error}
    references = {
        (prompt.position, turn): prompt.reference(turn)
        for prompt in suite.prompts
        for turn in range(len(prompt.turns))
        if prompt.reference(turn)
    }
    return [_of_one(suite.turns, model, answers, references, first) for model in range(models)]


@dataclass(frozen=True)
class CategoryFigures:
    """The prompts of one category: how many, and the figures of each model on them. `category` may be empty."""

    category: str
    prompts: int
    models: list[ModelFigures]


def figures_by_category(suite: Suite, models: int, answers: Sequence[SuiteAnswer]) -> list[CategoryFigures]:
    """The figures category by category, prompts without one last; nothing where no prompt has one."""
    if not suite.categories:
        return []
    prompts: dict[str, list[SuitePrompt]] = {category: [] for category in suite.categories}
    of_prompt = {}
    for prompt in suite.prompts:
        prompts.setdefault(prompt.category, []).append(prompt)
        of_prompt[prompt.position] = prompt.category
    said: dict[str, list[SuiteAnswer]] = {category: [] for category in prompts}
    for answer in answers:
        if answer.position in of_prompt:
            said[of_prompt[answer.position]].append(answer)
    return [
        CategoryFigures(category, len(own), figures_of(replace(suite, prompts=tuple(own)), models, said[category]))
        for category, own in prompts.items()
    ]


def _of_one(
    turns: int,
    model: int,
    answers: Sequence[SuiteAnswer],
    references: dict[tuple[int, int], str],
    first: dict[tuple[int, int], str],
) -> ModelFigures:
    own = [one for one in answers if one.model == model]
    good = [one for one in own if not one.error]
    tokens = [one.tokens for one in good if one.tokens is not None]
    timed = [(one.tokens, one.tokens_per_s) for one in good if one.tokens and one.tokens_per_s]
    first_tokens = [one.first_token_s for one in good if one.first_token_s is not None]
    ratios = [
        word_count(one.text) / max(1, word_count(references[one.position, one.turn]))
        for one in good
        if (one.position, one.turn) in references
    ]
    return ModelFigures(
        len(good),
        len(own) - len(good),
        max(0, turns - len(own)),
        fmean(tokens) if tokens else None,
        sum(count for count, _ in timed) / sum(count / speed for count, speed in timed) if timed else None,
        median(first_tokens) if first_tokens else None,
        median(ratios) if ratios else None,
        sum(first.get((one.position, one.turn)) == one.text.strip() for one in good) if model else None,
    )


def word_count(text: str) -> int:
    return len(_WORDS.findall(text))
