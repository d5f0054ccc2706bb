"""Min/max roll-ups of a series: buckets of 4, 16, 64 … steps, so that a chart of any width reads few rows.

Pure functions. Merging is associative and, last values aside, commutative: however a log is cut into batches, the
same buckets come out.
"""

from collections.abc import Iterable, Iterator
from math import inf

from store.records import Point

LEVELS = 8
"""The coarsest buckets hold 4^8 = 65,536 steps: a run of ten million steps has 153 of them."""


Bucket = tuple[int, int, float, float, float, float, int | None]
"""What `4^level` steps came to: the bucket's number, then `step`, `value` and `t` of its last point, then the lowest
and the highest of its finite values and the step of the lowest. Where it has none these are `inf` and `-inf`, which
every value improves on, and `None`."""


def roll_up(points: Iterable[Point]) -> list[list[Bucket]]:
    """The buckets of levels 1 to `LEVELS`. Steps usually rise; where they do not, a bucket may come up twice."""
    level = _fold_points(points)
    levels = [level]
    for _ in range(LEVELS - 1):
        level = _fold_buckets(level)
        levels.append(level)
    return levels


def total(buckets: Iterable[Bucket]) -> Bucket | None:
    """All of `buckets` as one."""
    whole = _fold_buckets((0, *bucket[1:]) for bucket in buckets)
    return whole[0] if whole else None


def cover(level: int, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """The steps `first` to `last`, both included, as `(level, first bucket, last bucket)` in order.

    Whole buckets of `level` in the middle and smaller ones, down to points (level 0), at the ends: at most three of
    each smaller level at either end.
    """
    if first > last:
        return
    if level == 0:
        yield 0, first, last
        return
    shift = 2 * level
    size = 1 << shift
    head, tail = (first + size - 1) >> shift, ((last + 1) >> shift) - 1
    if head > tail:
        yield from cover(level - 1, first, last)
        return
    yield from cover(level - 1, first, (head << shift) - 1)
    yield level, head, tail
    yield from cover(level - 1, (tail + 1) << shift, last)


def level_for(rows: int, steps: int, count: int) -> int:
    """The finest level at which `count` points spread over `steps` steps make at most `rows` rows."""
    for level in range(LEVELS):
        if min(count, (steps >> 2 * level) + 1) <= rows:
            return level
    return LEVELS


def _fold_points(points: Iterable[Point]) -> list[Bucket]:
    # The innermost loop of ingest: plain locals, no calls but the append.
    buckets: list[Bucket] = []
    add = buckets.append
    low_step: int | None = None
    number, last, last_value, last_t, low, high = -1, -1, 0.0, 0.0, inf, -inf
    for step, value, t in points:
        if step >> 2 != number:
            if number >= 0:
                add((number, last, last_value, last_t, low, high, low_step))
            number, last, low, high, low_step = step >> 2, -1, inf, -inf, None
        if step >= last:
            last, last_value, last_t = step, value, t
        if -inf < value < inf:  # neither infinite nor NaN
            if value < low:
                low, low_step = value, step
            if value > high:
                high = value
    if number >= 0:
        add((number, last, last_value, last_t, low, high, low_step))
    return buckets


def _fold_buckets(finer: Iterable[Bucket]) -> list[Bucket]:
    buckets: list[Bucket] = []
    add = buckets.append
    low_step: int | None = None
    number, last, last_value, last_t, low, high = -1, -1, 0.0, 0.0, inf, -inf
    for fine, step, value, t, fine_low, fine_high, fine_low_step in finer:
        if fine >> 2 != number:
            if number >= 0:
                add((number, last, last_value, last_t, low, high, low_step))
            number, last, low, high, low_step = fine >> 2, -1, inf, -inf, None
        if step >= last:
            last, last_value, last_t = step, value, t
        if fine_low < low:
            low, low_step = fine_low, fine_low_step
        if fine_high > high:
            high = fine_high
    if number >= 0:
        add((number, last, last_value, last_t, low, high, low_step))
    return buckets
