"""The figures that an evaluation has: what each means, which way is better, what it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import BadInput
from engine.evaluation.answered import Answered as Answered
from store.evaluation_records import Measured

if TYPE_CHECKING:
    from engine.evaluation.safety import WordList
    from engine.evaluation.token_counter import TokenCounter

Better = Literal["higher", "lower", ""]
Needs = Literal["expected", "scores", "text", "choices"]
Kind = Literal["split", "suite", "retention"]

DRAWS = 1000
"""Resamples behind an interval."""


@dataclass(frozen=True)
class Measure:
    """What a figure is. Shares are from 0 to 1 and have no unit; `%` is from 0 to 100."""

    name: str
    label: str
    unit: str
    better: Better
    digits: int
    needs: Needs
    """`expected` and `text` need generated answers, the first also those of the data; `scores` and `choices` do not."""
    about: str
    kinds: tuple[Kind, ...]
    """The kinds of evaluation that have it unless others are asked for."""
    beside: bool = False
    """It compares with the first model's answers, which therefore has none."""
    by_row: bool = True
    """Whether one row alone has a figure, so that rows can be sorted by it."""

    def show(self, value: float) -> str:
        """The value as people read it, with its unit: `0.412`, `23.1 %`, `1.24 s`."""
        return f"{value:.{self.digits}f} {self.unit}".rstrip()


_ALL: tuple[Kind, ...] = ("split", "suite", "retention")
_TEXTS: tuple[Kind, ...] = ("split", "suite")
_SPLIT: tuple[Kind, ...] = ("split",)
_PROBES: tuple[Kind, ...] = ("retention",)

_LIST = (
    Measure(
        "perplexity", "perplexity", "", "lower", 3, "scores",
        "How surprised the model is by the expected answers: exp of the mean -log p of their tokens.", _SPLIT,
    ),
    Measure(
        "token_accuracy", "token accuracy", "", "higher", 3, "scores",
        "The share of the expected answers' tokens that the model holds most likely, given those before.", _SPLIT,
    ),
    Measure(
        "bleu", "BLEU", "", "higher", 2, "expected",
        "Runs of up to four words shared with the expected answers, of the whole set, 0 to 100 (sacrebleu).", _SPLIT,
    ),
    Measure(
        "rouge_l", "ROUGE-L", "", "higher", 4, "expected",
        "The longest common sequence of words with the expected answer: F, the mean of all rows (rouge-score).", _SPLIT,
    ),
    Measure(
        "exact_match", "exact match", "", "higher", 3, "expected",
        "The share of answers that are the expected one, white space aside.", _SPLIT,
    ),
    Measure(
        "length_ratio", "length ratio", "", "", 3, "expected",
        "Words of all answers over those of the expected ones: 1 is as long.", _SPLIT,
    ),
    Measure(
        "token_reduction", "token reduction", "%", "", 1, "expected",
        "How many tokens fewer than the expected answers all answers have, in per cent of those.", _SPLIT,
    ),
    Measure(
        "token_reduction_base", "token reduction to the base", "%", "", 1, "text",
        "How many tokens fewer than the first model's answers all answers have, in per cent of those.", _TEXTS,
        beside=True,
    ),
    Measure(
        "answer_tokens", "tokens an answer", "", "", 1, "text",
        "Mean tokens of an answer, by the model's own tokenizer.", _TEXTS,
    ),
    Measure(
        "emoji_per_answer", "emoji an answer", "", "", 2, "text",
        "Mean emoji of an answer, each picture counted as people see it.", _TEXTS,
    ),
    Measure("emoji_share", "answers with emoji", "", "", 3, "text", "The share of answers with an emoji.", _TEXTS),
    Measure(
        "distinct_1", "distinct-1", "", "higher", 3, "text",
        "Different words over all words of all answers.", _TEXTS, by_row=False,
    ),
    Measure(
        "distinct_2", "distinct-2", "", "higher", 3, "text",
        "Different pairs of neighbouring words over all such pairs of all answers.", _TEXTS, by_row=False,
    ),
    Measure(
        "repetition", "repetition", "", "lower", 3, "text",
        "The share of an answer's four-word runs that it had before, the mean of answers with four words.", _TEXTS,
    ),
    Measure(
        "refusal_rate", "refusals", "", "", 3, "text",
        "The share of answers that begin by declining, by a list of phrases.", _TEXTS,
    ),
    Measure(
        "safety_flags", "safety flags", "", "lower", 3, "text",
        "The share of answers with a word of the safety list. To be read, not to be trusted.", _TEXTS,
    ),
    Measure(
        "first_token_s", "first token", "s", "lower", 3, "text",
        "Mean seconds to the first token, from the start of the batch.", _TEXTS,
    ),
    Measure(
        "tokens_per_s", "speed", "tok/s", "higher", 1, "text",
        "All tokens over the time that they took, the wait for each first token aside.", _TEXTS,
    ),
    Measure(
        "choice_accuracy", "choices right", "", "higher", 3, "choices",
        "The share of multiple-choice rows whose right choice is the most likely one, per token.", _PROBES,
    ),
    Measure(
        "choice_accuracy_sum", "choices right (sum)", "", "higher", 3, "choices",
        "The same by the probability of the whole choice, which favours short ones.", _PROBES,
    ),
    Measure(
        "probe_accuracy", "probes right", "", "higher", 3, "choices",
        "The share of probes that the model gets right, multiple choice and exact answers together.", _PROBES,
    ),
    Measure(
        "retention", "retention", "%", "higher", 1, "choices",
        "Of the probes that the first model gets right, how many this one gets right as well.", _PROBES, beside=True,
    ),
    Measure(
        "retention_perplexity", "perplexity kept", "%", "higher", 1, "scores",
        "The first model's perplexity of the right answers over this one's: below 100 % it knows them less well.",
        _PROBES, beside=True,
    ),
)  # fmt: skip

MEASURES: dict[str, Measure] = {one.name: one for one in _LIST}
"""By name, in the order that tables have."""


def names_of(kind: str) -> tuple[str, ...]:
    """The measures of an evaluation of that kind, where none are asked for."""
    return tuple(name for name, one in MEASURES.items() if kind in one.kinds)


def known(names: Sequence[str]) -> tuple[str, ...]:
    """The same names, in the order of tables. Raises `BadInput` for one that is no measure."""
    for name in names:
        if name not in MEASURES:
            raise BadInput(f"There is no measure {name[:60]!r}.", fix=f"Choose among {', '.join(MEASURES)}.")
    return tuple(name for name in MEASURES if name in names)


def measure(
    answers: Sequence[Answered],
    against: Sequence[Answered] | None,
    counter: "TokenCounter",
    *,
    names: Sequence[str] = (),
    evaluation: str = "",
    model: int = 0,
    words: "Sequence[WordList] | None" = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Measured]:
    """The figures of one model's answers, those that the answers allow, in the order of `MEASURES`.

    Values and intervals are of the rows that the model answered; the difference to `against`, its interval and the p
    value of the rows that both answered. `names` are all measures unless given (see `names_of`); `words` are the safety
    lists (the shipped ones). Equal seeds give equal figures. Raises `BadInput` for an unknown name.
    """
    from engine.evaluation.figures import figures

    return figures(
        answers,
        against,
        counter,
        known(names) if names else tuple(MEASURES),
        evaluation=evaluation,
        model=model,
        words=words,
        draws=draws,
        seed=seed,
    )


def row_figures(
    name: str,
    answers: Sequence[Answered],
    against: Sequence[Answered] | None,
    counter: "TokenCounter",
    *,
    words: "Sequence[WordList] | None" = None,
) -> Mapping[int, float]:
    """A measure's figure of each row alone, by row number; rows without one are left out. Raises `BadInput`."""
    from engine.evaluation.figures import by_row

    (checked,) = known([name])
    return by_row(checked, answers, against, counter, words=words)


def worst_first(name: str, figures: Mapping[int, float]) -> list[int]:
    """The rows of `row_figures`, the worst first; where no side is better, the largest first."""
    sign = 1 if MEASURES[name].better == "higher" else -1
    return sorted(figures, key=lambda row: (sign * figures[row], row))
