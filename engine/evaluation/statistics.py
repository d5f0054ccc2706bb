"""Of each measure: what is counted of one row, and how the sums over rows become the figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.datasets.emoji import count_emoji
from engine.evaluation.answered import Answered
from engine.evaluation.resampling import Array, Value
from engine.evaluation.retention import chosen_right, right, right_answer_nll
from engine.evaluation.safety import WordList, flags, is_refusal
from engine.evaluation.text_measures import (
    BLEU_ORDER,
    bleu_counts,
    bleu_of,
    distinct_parts,
    repeated,
    rouge_l,
    same,
    words,
)
from engine.evaluation.token_counter import TokenCounter

Row = tuple[float, ...]
"""(k,): what one row adds to the sums."""


class Counting:
    """How things are counted. Texts that were counted are known: the base's are compared with those of every model."""

    def __init__(self, counter: TokenCounter, lists: Sequence[WordList]) -> None:
        self.lists = lists
        self.tokens = lru_cache(maxsize=100_000)(counter.count)


One = Callable[[Answered, Answered | None, Counting], Row | None]
All = Callable[[Sequence[Answered]], list[Row | None]]


@dataclass(frozen=True)
class Statistic:
    """`one` counts a row beside the first model's, or `together` all rows at once; `None` where a row has no figure."""

    value: Value
    one: One | None = None
    together: All | None = None
    row_value: Value | None = None
    """The figure of one row alone, where it is another one than `value`."""
    share: float = 0.0
    """Where each row counts in full or not at all: what the whole share is, 1 or 100."""

    def rows(
        self, answers: Sequence[Answered], beside: Sequence[Answered | None], counting: Counting
    ) -> list[Row | None]:
        if self.together is not None:
            return self.together(answers)
        assert self.one is not None
        return [self.one(answer, other, counting) for answer, other in zip(answers, beside, strict=True)]


def _mean(sums: Array) -> Array:
    with np.errstate(all="ignore"):
        found: Array = sums[..., 0] / sums[..., 1]
    return found


def _percentage(sums: Array) -> Array:
    return 100 * _mean(sums)


def _perplexity(sums: Array) -> Array:
    with np.errstate(all="ignore"):
        found: Array = np.exp(_mean(sums))
    return found


def _reduction(sums: Array) -> Array:
    """(…, 2): the tokens that are compared with, and the model's own."""
    with np.errstate(all="ignore"):
        found: Array = (sums[..., 0] - sums[..., 1]) / sums[..., 0] * 100
    return found


def _perplexity_kept(sums: Array) -> Array:
    """(…, 4): nats and tokens of the first model, then of this one."""
    with np.errstate(all="ignore"):
        found: Array = 100 * np.exp(sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])
    return found


def _bleu(sums: Array) -> Array:
    """sacrebleu's own for the figure itself; for its resamples the same formula over all of them at once."""
    return np.array(bleu_of(sums.tolist())) if sums.ndim == 1 else bleu_of_many(sums)


def bleu_of_many(sums: Array) -> Array:
    """(draws, 10) to (draws,): `bleu_of` of each."""
    said, wanted = sums[:, 0], sums[:, 1]
    hits, total = sums[:, 2 : 2 + BLEU_ORDER], sums[:, 2 + BLEU_ORDER :]
    with np.errstate(all="ignore"):
        # of n-grams of which none was found, the first counts as half a hit, the next as a quarter, and so on
        smoothed = np.where(hits == 0, 0.5 ** np.cumsum(hits == 0, axis=1), hits)
        brevity = np.where(said < wanted, np.exp(1 - wanted / said), 1.0)
        score = brevity * np.exp(np.log(100 * smoothed / total).mean(axis=1))
    found: Array = np.where((hits == 0).all(axis=1) | (total == 0).any(axis=1), 0.0, score)
    return found


def _sentence_bleu(sums: Array) -> Array:
    """(10,): of one row."""
    return np.array(bleu_of(sums.tolist(), sentence=True))


def _scored(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    return (answer.nll, answer.scored_tokens) if answer.nll is not None and answer.scored_tokens else None


def _hits(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    return (answer.correct_tokens, answer.scored_tokens) if answer.nll is not None and answer.scored_tokens else None


def _with_expected(count: Callable[[str, str, Counting], Row | None]) -> One:
    def one(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
        if answer.text is None or answer.expected is None:
            return None
        return count(answer.text, answer.expected, counting)

    return one


def _with_text(count: Callable[[str, Counting], float | None]) -> One:
    """The mean of a number of each text; texts without one are passed over."""

    def one(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
        found = None if answer.text is None else count(answer.text, counting)
        return None if found is None else (float(found), 1.0)

    return one


def _bleu_rows(answers: Sequence[Answered]) -> list[Row | None]:
    found: list[Row | None] = [None] * len(answers)
    pairs = [
        (at, one.text, one.expected)
        for at, one in enumerate(answers)
        if one.text is not None and one.expected is not None
    ]
    counts = bleu_counts([text for _, text, _ in pairs], [expected for _, _, expected in pairs]) if pairs else []
    for (at, _, _), row in zip(pairs, counts, strict=True):
        found[at] = row
    return found


def _distinct(length: int) -> All:
    def together(answers: Sequence[Answered]) -> list[Row | None]:
        found: list[Row | None] = [None] * len(answers)
        texts = [(at, one.text) for at, one in enumerate(answers) if one.text is not None]
        for (at, _), row in zip(texts, distinct_parts([text for _, text in texts], length), strict=False):
            found[at] = row
        return found

    return together


def _reduced_to_base(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    if answer.text is None or beside is None or beside.text is None:
        return None
    return counting.tokens(beside.text), counting.tokens(answer.text)


def _answer_tokens(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    return None if answer.text is None or answer.tokens is None else (answer.tokens, 1)


def _first_token(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    return None if answer.first_token_s is None else (answer.first_token_s, 1)


def _speed(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    return (answer.tokens, answer.tokens / answer.tokens_per_s) if answer.tokens and answer.tokens_per_s else None


def _truth(found: bool | None) -> Row | None:
    return None if found is None else (float(found), 1.0)


def _kept(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    return _truth(right(answer)) if beside is not None and right(beside) else None


def _perplexities(answer: Answered, beside: Answered | None, counting: Counting) -> Row | None:
    if beside is None:
        return None
    before, after = right_answer_nll(beside), right_answer_nll(answer)
    return (*before, *after) if before is not None and after is not None else None


STATISTICS: dict[str, Statistic] = {
    "perplexity": Statistic(_perplexity, _scored),
    "token_accuracy": Statistic(_mean, _hits),
    "bleu": Statistic(_bleu, together=_bleu_rows, row_value=_sentence_bleu),
    "rouge_l": Statistic(_mean, _with_expected(lambda text, expected, _: (rouge_l(text, expected), 1.0))),
    "exact_match": Statistic(_mean, _with_expected(lambda text, expected, _: _truth(same(text, expected))), share=1.0),
    "length_ratio": Statistic(
        _mean, _with_expected(lambda text, expected, _: (float(len(words(text))), float(len(words(expected)))))
    ),
    "token_reduction": Statistic(
        _reduction, _with_expected(lambda text, expected, how: (how.tokens(expected), how.tokens(text)))
    ),
    "token_reduction_base": Statistic(_reduction, _reduced_to_base),
    "answer_tokens": Statistic(_mean, _answer_tokens),
    "emoji_per_answer": Statistic(_mean, _with_text(lambda text, _: count_emoji(text))),
    "emoji_share": Statistic(_mean, _with_text(lambda text, _: count_emoji(text) > 0), share=1.0),
    "distinct_1": Statistic(_mean, together=_distinct(1)),
    "distinct_2": Statistic(_mean, together=_distinct(2)),
    "repetition": Statistic(_mean, _with_text(lambda text, _: repeated(text))),
    "refusal_rate": Statistic(_mean, _with_text(lambda text, _: is_refusal(text)), share=1.0),
    "safety_flags": Statistic(_mean, _with_text(lambda text, how: bool(flags(text, how.lists))), share=1.0),
    "first_token_s": Statistic(_mean, _first_token),
    "tokens_per_s": Statistic(_mean, _speed),
    "choice_accuracy": Statistic(_mean, lambda one, _, how: _truth(chosen_right(one)), share=1.0),
    "choice_accuracy_sum": Statistic(_mean, lambda one, _, how: _truth(chosen_right(one, per_token=False)), share=1.0),
    "probe_accuracy": Statistic(_mean, lambda one, _, how: _truth(right(one)), share=1.0),
    "retention": Statistic(_percentage, _kept, share=100.0),
    "retention_perplexity": Statistic(_perplexity_kept, _perplexities),
}
