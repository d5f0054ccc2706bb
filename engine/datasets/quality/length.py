"""Lengths: figures, and rows that are out of proportion."""

from typing import Any

from engine.datasets.quality.findings import LISTED, Found, Outcome

ENOUGH_ROWS = 50
"""With fewer rows there is no usual length."""

OUTLIER_Z = 5.0
"""A length is unusual where its logarithm is so many robust standard deviations (1.4826 times the median absolute
deviation) from the median. Iglewicz and Hoaglin take 3.5 for normal data; sound answers have longer tails."""

LEAST_FACTOR = 8.0
"""And where it is longer or shorter than the median by such a factor: among equal lengths, deviations are tiny."""

SHORT_WORDS = 2
LONG_WORDS = 20
"""Answers of up to `SHORT_WORDS` are told where the median answer has at least `LONG_WORDS`."""

VAGUE_WORDS = 3
"""As long as prompt and answer of a vague row are at most; beside prompts of twice that and long answers."""

GIANT_FACTOR = 4.0
GIANT_CHARS = 4_000
"""A giant row is so many times as long as the 99th percentile, and at least so long."""


def figures(lengths: Any) -> dict[str, float]:
    """Mean, p50, p95 and max of whole numbers."""
    import numpy as np

    if not len(lengths):
        return {"mean": 0.0, "p50": 0, "p95": 0, "max": 0}
    p50, p95 = np.percentile(lengths, (50, 95), method="nearest")
    return {"mean": round(float(lengths.mean()), 1), "p50": int(p50), "p95": int(p95), "max": int(lengths.max())}


def check_lengths(columns: dict[str, Any], kind: str) -> list[Outcome]:
    """Answers of a word or two, vague rows, outliers and giants. Figures of prompts where there are no answers."""
    rows = len(columns["row_chars"])
    if rows < ENOUGH_ROWS:
        return []
    outcomes = [_giants(columns["row_chars"])]
    if kind == "prompts":
        outcomes.append(_outliers(columns["prompt_chars"], columns["prompt_words"], "prompt"))
    else:
        outcomes.append(_outliers(columns["answer_chars"], columns["answer_words"], "answer"))
    if kind not in ("prompts", "text"):
        outcomes += _short(columns)
    return [outcome for outcome in outcomes if outcome.count]


def _outliers(chars: Any, words: Any, what: str) -> Outcome:
    """Lengths far from the usual; answers of a word or two are told by `_short`."""
    import numpy as np

    known = chars > 0
    logs = np.log(np.maximum(chars, 1))
    median = float(np.median(logs[known])) if known.any() else 0.0
    deviation = 1.4826 * float(np.median(np.abs(logs[known] - median))) if known.any() else 0.0
    distance = np.abs(logs - median)
    unusual = known & (words > SHORT_WORDS) & (distance > OUTLIER_Z * deviation) & (distance > np.log(LEAST_FACTOR))
    usual = round(float(np.exp(median)))
    found = [
        Found(int(index), "", f"has {what}s of {int(chars[index]):,} characters; the median is {usual:,}")
        for index in np.flatnonzero(unusual)[:LISTED]
    ]
    return _outcome("length-outlier", int(unusual.sum()), len(chars), found)


def _giants(chars: Any) -> Outcome:
    import numpy as np

    limit = max(GIANT_CHARS, GIANT_FACTOR * float(np.percentile(chars, 99)))
    giants = np.flatnonzero(chars > limit)
    found = [Found(int(index), "", f"has {int(chars[index]):,} characters") for index in giants[:LISTED]]
    return _outcome("giant", len(giants), len(chars), found)


def _short(columns: dict[str, Any]) -> list[Outcome]:
    import numpy as np

    asked, answered = columns["prompt_words"], columns["answer_words"]
    if float(np.median(answered)) < LONG_WORDS:
        return []
    # An answer without white space may be a long one in Chinese, or a tool's call alone.
    short = (answered <= SHORT_WORDS) & (columns["answer_chars"] > 0) & (columns["answer_chars"] < 20 * SHORT_WORDS)
    vague = short & (asked <= VAGUE_WORDS) & (columns["prompt_chars"] < 20 * VAGUE_WORDS)
    if float(np.median(asked)) < 2 * VAGUE_WORDS:
        vague &= False
    outcomes = []
    for code, chosen in (("vague", vague), ("short-answer", short & ~vague)):
        at = np.flatnonzero(chosen)
        found = [
            Found(
                int(index), "", f"has {_words(asked[index])} in its prompt and {_words(answered[index])} in its answer"
            )
            for index in at[:LISTED]
        ]
        outcomes.append(_outcome(code, len(at), len(asked), found))
    return outcomes


def _words(count: Any) -> str:
    return "1 word" if count == 1 else f"{int(count)} words"


def _outcome(code: str, count: int, rows: int, found: list[Found]) -> Outcome:
    return Outcome(code, count, count / max(1, rows), found)
