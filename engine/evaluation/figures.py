"""The figures of one model's answers beside another's: values, intervals, differences, p values."""

from collections.abc import Sequence

import numpy as np

from engine.arena.ratings import wilson
from engine.evaluation.answered import Answered
from engine.evaluation.measures import MEASURES
from engine.evaluation.resampling import Array, interval, p_value, resampled
from engine.evaluation.safety import WordList, shipped_lists
from engine.evaluation.statistics import STATISTICS, Counting, Row, Statistic
from engine.evaluation.token_counter import TokenCounter
from store.evaluation_records import Measured

_SEED_BITS = 2**63 - 1


def figures(
    answers: Sequence[Answered],
    against: Sequence[Answered] | None,
    counter: TokenCounter,
    names: Sequence[str],
    *,
    evaluation: str,
    model: int,
    words: Sequence[WordList] | None,
    draws: int,
    seed: int,
) -> list[Measured]:
    """See `engine.evaluation.measures.measure`."""
    counting = Counting(counter, shipped_lists() if words is None else words)
    own = _in_order(answers)
    others = {one.row: one for one in _in_order(against or ())}
    beside = [others.get(one.row) for one in own]
    found = []
    for name in names:
        statistic = STATISTICS[name]
        each = statistic.rows(own, beside, counting)
        rows = _counted(each)
        if not len(rows):
            continue
        value = float(statistic.value(rows.sum(axis=0)))
        if not np.isfinite(value):
            continue
        low, high = _bounds(statistic, rows, draws, seed & _SEED_BITS)
        measured = Measured(evaluation, model, name, value, low, high, len(rows))
        if against is not None and not MEASURES[name].beside:
            measured = _compared(measured, statistic, own, each, others, counting, draws, seed & _SEED_BITS)
        found.append(measured)
    return found


def by_row(
    name: str,
    answers: Sequence[Answered],
    against: Sequence[Answered] | None,
    counter: TokenCounter,
    *,
    words: Sequence[WordList] | None,
) -> dict[int, float]:
    """See `engine.evaluation.measures.row_figures`."""
    if not MEASURES[name].by_row:
        return {}
    counting = Counting(counter, shipped_lists() if words is None else words)
    statistic = STATISTICS[name]
    value = statistic.row_value or statistic.value
    own = _in_order(answers)
    others = {one.row: one for one in _in_order(against or ())}
    found = {}
    for one, row in zip(own, statistic.rows(own, [others.get(one.row) for one in own], counting), strict=True):
        figure = float(value(np.asarray(row, dtype=np.float64))) if row is not None else float("nan")
        if np.isfinite(figure):
            found[one.row] = figure
    return found


def _in_order(answers: Sequence[Answered]) -> list[Answered]:
    """Answers without an error, by row: figures do not depend on the order in which they came."""
    return sorted((one for one in answers if not one.error), key=lambda one: one.row)


def _counted(rows: Sequence[Row | None]) -> Array:
    """(rows, k), without the rows that have no figure."""
    return np.array([row for row in rows if row is not None], dtype=np.float64)


def _bounds(statistic: Statistic, rows: Array, draws: int, seed: int) -> tuple[float | None, float | None]:
    """Of shares Wilson's interval, which is none too sure of 0 of 40; else that of the bootstrap."""
    if statistic.share:
        low, high = wilson(float(rows[:, 0].mean()), len(rows))
        return statistic.share * low, statistic.share * high
    return interval(statistic.value(resampled(rows, draws, seed))) if len(rows) > 1 else (None, None)


def _compared(
    measured: Measured,
    statistic: Statistic,
    own: Sequence[Answered],
    each: Sequence[Row | None],
    others: dict[int, Answered],
    counting: Counting,
    draws: int,
    seed: int,
) -> Measured:
    """With the difference, on the rows that have the figure for both. `each` has what was counted of all of `own`."""
    pairs = [(one, others[one.row]) for one in own if one.row in others]
    nobody = [None] * len(pairs)
    # a row of distinct-n depends on the rows that it is among
    mine = each if len(pairs) == len(own) else statistic.rows([one for one, _ in pairs], nobody, counting)
    theirs = statistic.rows([other for _, other in pairs], nobody, counting)
    both = [(a, b) for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]
    if not both:
        return measured
    a, b = _counted([a for a, _ in both]), _counted([b for _, b in both])
    difference = float(statistic.value(a.sum(axis=0)) - statistic.value(b.sum(axis=0)))
    if not np.isfinite(difference):
        return measured
    low, high, p = None, None, None
    if len(both) > 1:
        sums = resampled(np.hstack([a, b]), draws, seed)
        width = a.shape[1]
        with np.errstate(invalid="ignore"):  # inf less inf is no number, and passed over
            differences = statistic.value(sums[:, :width]) - statistic.value(sums[:, width:])
        low, high = interval(differences)
        p = p_value(a, b, statistic.value, seed)
    return Measured(
        measured.evaluation,
        measured.model,
        measured.metric,
        measured.value,
        measured.low,
        measured.high,
        measured.rows,
        difference,
        low,
        high,
        p,
    )
