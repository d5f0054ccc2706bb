"""The axes of parallel coordinates: where each run is on a setting or a metric. No widget in here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.runs.measures import lower_is_better
from tui.widgets.compare_columns import figure_words, metric_title, setting_words

LOG_FROM = 10
"""Numbers whose largest is so many times the smallest are on a logarithmic axis."""
MOST_TICKS = 6
ODD = 0.28
"""The lower part of an axis of numbers that is for what is no number: `auto`, or nothing."""


@dataclass(frozen=True)
class Axis:
    """One axis. Lists have an entry a run; heights are 0 (bottom) to 1 (top), `None` where there is no value."""

    key: str
    title: str
    heights: list[float | None]
    words: list[str]
    ticks: list[tuple[float, str]]
    log: bool = False
    can_log: bool = False


def setting_axis(name: str, values: Sequence[Any], log: bool | None = None) -> Axis:
    """An axis of a setting: numbers by size, other values as categories. Without `log` the numbers decide."""
    words = [setting_words(value) for value in values]
    numbers = [_number(value) for value in values]
    known = sorted({number for number in numbers if number is not None})
    odd = list(dict.fromkeys(word for word, number in zip(words, numbers, strict=True) if number is None))
    if len(known) < 2 and odd:  # one number among words is a word
        odd, known, numbers = list(dict.fromkeys(words)), [], [None] * len(numbers)
        odd.sort(key=lambda word: (word != "–", word.casefold()))
    can_log = len(known) > 1 and known[0] > 0
    log = can_log and (known[-1] / known[0] >= LOG_FROM if log is None else log)
    bottom = ODD if known and odd else 0.0
    top_of_odd = 0.1 if known else 1.0
    by_word = {
        word: (place / (len(odd) - 1) * top_of_odd if len(odd) > 1 else top_of_odd / 2 if not known else 0.0)
        for place, word in enumerate(odd)
    }
    heights: list[float | None] = [
        by_word[word] if number is None else bottom + (1 - bottom) * _share(number, known, log)
        for word, number in zip(words, numbers, strict=True)
    ]
    shown = known if len(known) <= MOST_TICKS else _spread(known, log)
    ticks = [(bottom + (1 - bottom) * _share(number, known, log), _words_of(number, values)) for number in shown]
    return Axis(name, name, heights, words, ticks + [(height, word) for word, height in by_word.items()], log, can_log)


def metric_axis(name: str, values: Sequence[float | None], log: bool | None = None) -> Axis:
    """An axis of a metric, the better side on top."""
    known = sorted({value for value in values if value is not None and math.isfinite(value)})
    can_log = len(known) > 1 and known[0] > 0
    log = can_log and (known[-1] / known[0] >= LOG_FROM if log is None else log)
    down = lower_is_better(name) is True
    heights: list[float | None] = [
        None if value is None or not math.isfinite(value) else _turned(_share(value, known, log), down)
        for value in values
    ]
    ends = [known[0], known[-1]] if len(known) > 1 else known
    ticks = [(_turned(_share(value, known, log), down), figure_words(name, value)) for value in ends]
    words = [figure_words(name, value) for value in values]
    return Axis(name, metric_title(name), heights, words, ticks, log, can_log)


def tells_nothing(values: Sequence[Any]) -> bool:
    """Whether a setting is a text that is another one in each of many runs, as a name or a path: not worth an axis."""
    return len(values) > 6 and len({setting_words(value) for value in values if _number(value) is None}) > 6


def shares_of_best(name: str, values: Sequence[float | None]) -> list[float | None]:
    """How good each run is among the others, by rank: 0 the worst, 1 the best."""
    down = lower_is_better(name) is True
    known = sorted({value for value in values if value is not None}, reverse=down)
    if len(known) < 2:
        return [None if value is None else 1.0 for value in values]
    return [None if value is None else known.index(value) / (len(known) - 1) for value in values]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _share(number: float, known: Sequence[float], log: bool) -> float:
    """Where a number is between the smallest and the largest."""
    if len(known) < 2:
        return 0.5
    low, high = known[0], known[-1]
    if log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low) if math.isfinite(high - low) else number / high / 2 + 0.5


def _turned(share: float, down: bool) -> float:
    return 1 - share if down else share


def _spread(known: Sequence[float], log: bool) -> list[float]:
    """Both ends, and of the others those nearest to even places in between."""
    found = [known[0]]
    for place in range(1, MOST_TICKS - 1):
        aim = place / (MOST_TICKS - 1)
        nearest = min(known, key=lambda number: abs(_share(number, known, log) - aim))
        if nearest not in found:
            found.append(nearest)
    return [*found, known[-1]] if known[-1] not in found else found


def _words_of(number: float, values: Sequence[Any]) -> str:
    """As it was written: `16`, not `16.0`."""
    return next(setting_words(value) for value in values if _number(value) == number)
