"""How rows are put into batches: padded, sorted by length, end to end, or packed; and what each way costs.

Costs are operations a real token: of the products with the weights, of attention over all pairs of tokens that a batch
computes, and of what each micro-batch pays once, whatever is in it: starting kernels, unpacking quantised weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from engine.planning.architecture import Architecture
from engine.planning.facts import Facts
from engine.planning.memory import Batch
from engine.planning.speed import peak_flops
from engine.tokens.figures import packed_sequences

Way = Literal["packing", "padding_free", "group_by_length", "padding"]

ROWS_LOOKED_AT = 1_000
"""Of a larger dataset, rows that stand for it."""
MOST_OFF = 0.25
"""How far the rows of a step may be from what was asked for, with packing."""
LARGEST_BATCH = 512
FEWEST_TO_PACK = 1.5
"""Rows to a pack, on average, below which nothing worth the name is packed."""
SORTED_WORSE = 1.1
PLAIN_AS_GOOD = 1.03
"""Rows are only laid end to end where that saves more than this."""

LAUNCHES = 120
"""Kernels that a block starts, forward and backward."""
LAUNCH_S = {"cuda": 6e-6, "cpu": 2e-5}
UNPACKING = {"cuda": 100.0, "cpu": 50.0}
"""Operations that unpacking one 4-bit or 8-bit weight takes the time of."""
REACHED = {"cuda": 0.4, "cpu": 0.6}
"""Share of the device's most that large products reach."""


@dataclass(frozen=True)
class Layout:
    """One way to make batches, with what follows."""

    way: Way
    max_length: int
    batch: int
    accumulation: int
    rows_a_step: float
    """On one device."""
    sequences: int
    """Of one epoch."""
    largest: Batch
    """The largest micro-batch."""
    cost: float
    """Operations a real token, without activation checkpointing."""
    again: float
    """Of these, what activation checkpointing does again."""


def rows_of_share(lengths: Any, most: int = ROWS_LOOKED_AT) -> Any:
    """Rows that stand for all: (rows,) of the same spread of lengths, in random order, the longest among them."""
    import numpy as np

    if len(lengths) > most:
        ordered = np.sort(lengths)
        lengths = ordered[np.linspace(0, len(ordered) - 1, most).astype(int)]
    return np.random.default_rng(0).permutation(lengths)


def layouts(facts: Facts, max_length: int, *, flash: bool, ways: tuple[Way, ...]) -> Iterator[Layout]:
    """All layouts that keep the effective batch, of the `ways` given, with rows cut at `max_length`.

    With packing and `max_length` left to the planner, packs are as long as the model takes.
    """
    import numpy as np

    recipe = facts.asked
    assert facts.architecture is not None, "costs need the model's size"
    lengths = np.minimum(facts.lengths.train, max_length)
    sample = rows_of_share(lengths)
    per = _Costs(facts.architecture, facts, flash)
    share = max(1, recipe.effective_batch_size // recipe.device_count)
    for way in ways:
        if way == "packing":
            yield from _packed(facts, lengths, sample, share, max_length, per)
            continue
        for batch, times in _batches(facts, share):
            if way == "padding_free":
                chunks = _sums(sample, batch)
                real = float(sample.sum())
                # The worst batch there can be: the longest rows together
                top = int(np.sort(lengths)[-batch:].sum())
                largest = Batch(1, max(top, 1), masked=batch > 1 and not per.alone)
                pairs = float((sample.astype(float) ** 2).sum() / 2 if per.alone else (chunks.astype(float) ** 2).sum())
                padded, count = real, len(chunks)
            else:
                ordered = np.sort(sample) if way == "group_by_length" else sample
                longest = np.maximum.reduceat(ordered, np.arange(0, len(ordered), batch)).astype(float)
                sizes = np.full(len(longest), batch)
                sizes[-1] = len(ordered) - batch * (len(longest) - 1)
                real, padded = float(sample.sum()), float((longest * sizes).sum())
                pairs = float((longest**2 * sizes).sum())
                largest = Batch(min(batch, len(lengths)), int(lengths.max()), masked=batch > 1 and not flash)
                count = len(longest)
            if way == "group_by_length":  # not sorted as well as here, and rows of one batch are less of a mixture
                padded *= SORTED_WORSE
            cost, again = per.of(padded, pairs, count, real)
            if way == "padding_free":
                cost *= PLAIN_AS_GOOD
            yield Layout(way, max_length, batch, times, float(batch * times), len(lengths), largest, cost, again)


def _batches(facts: Facts, share: int) -> Iterator[tuple[int, int]]:
    """Micro-batches with the accumulation that makes `share` rows of them."""
    batch, times = facts.asked.per_device_train_batch_size, facts.asked.gradient_accumulation_steps
    if batch != "auto":
        yield batch, max(1, round(share / batch)) if times == "auto" else times
    elif times != "auto":
        yield max(1, round(share / times)), times
    else:
        most = min(share, LARGEST_BATCH, max(1, len(facts.lengths.train)))
        yield from ((size, share // size) for size in range(1, most + 1) if share % size == 0)


def _packed(facts: Facts, lengths: Any, sample: Any, share: int, max_length: int, per: "_Costs") -> Iterator[Layout]:
    recipe = facts.asked
    for length in pack_lengths(facts, max_length):
        packs = packed_sequences(sample.tolist(), length)
        if not packs:
            continue
        rows_a_pack = len(sample) / packs
        if rows_a_pack < FEWEST_TO_PACK and recipe.packing == "auto":
            continue
        sequences = max(1, round(len(lengths) / rows_a_pack))
        real = float(sample.sum())
        for batch, times in _packed_batches(facts, share, rows_a_pack):
            rows = batch * times * rows_a_pack
            given = "auto" not in (recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps)
            if not given and abs(rows / share - 1) > MOST_OFF:
                continue
            tokens = batch * length  # the packs of a batch lie end to end, too
            count = packs / batch
            filled = real / packs * batch
            pairs = (sample.astype(float) ** 2).sum() / 2 if per.alone else count * filled**2
            cost, again = per.of(real, float(pairs), count, real)
            largest = Batch(1, tokens, masked=not per.alone)
            yield Layout("packing", length, batch, times, rows, sequences, largest, cost * PLAIN_AS_GOOD, again)


def pack_lengths(facts: Facts, longest: int) -> list[int]:
    """Lengths of packs to choose from: no row is cut for them, and none is beyond what the model takes."""
    if facts.asked.max_length != "auto":
        return [int(facts.asked.max_length)]
    context = facts.architecture.context if facts.architecture else None
    most = min(context or 16_384, 16_384)
    tried = {longest, *(size for size in (256, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16_384) if size > longest)}
    return sorted(size for size in tried if size <= max(most, longest))


def _packed_batches(facts: Facts, share: int, rows_a_pack: float) -> Iterator[tuple[int, int]]:
    batch, times = facts.asked.per_device_train_batch_size, facts.asked.gradient_accumulation_steps
    wanted = max(1, round(share / rows_a_pack))
    if batch != "auto":
        yield batch, max(1, round(wanted / batch)) if times == "auto" else times
    elif times != "auto":
        yield max(1, round(wanted / times)), times
    else:
        yield from ((size, wanted // size) for size in range(1, min(wanted, 64) + 1) if wanted % size == 0)


def _sums(sample: Any, batch: int) -> Any:
    import numpy as np

    return np.add.reduceat(sample, np.arange(0, len(sample), batch))


class _Costs:
    """What a model's operations cost on a device."""

    def __init__(self, architecture: Architecture, facts: Facts, flash: bool) -> None:
        kind, recipe = facts.device.kind, facts.asked
        weights = architecture.parameters - architecture.embeddings
        quantised = recipe.method in ("qlora", "lora8bit")
        self.alone = flash or facts.row_by_row
        """Whether rows that lie end to end are attended to one by one."""
        self._weights = weights + architecture.vocabulary * architecture.hidden * (architecture.head == 0)
        self._factor = 6 if recipe.method == "full" else 4
        self._attention = len(architecture.blocks) * architecture.attention
        started = len(architecture.blocks) * LAUNCHES * LAUNCH_S[kind] * peak_flops(facts.device) * REACHED[kind]
        self._once = started + 2 * weights * UNPACKING[kind] * quantised
        self._once_again = started / 3 + weights * UNPACKING[kind] * quantised

    def of(self, tokens: float, pairs: float, batches: float, real: float) -> tuple[float, float]:
        """Operations a real token, and those that checkpointing does again."""
        cost = self._factor * self._weights * tokens + 12 * self._attention * pairs + self._once * batches
        again = 2 * self._weights * tokens + 4 * self._attention * pairs + self._once_again * batches
        return cost / max(real, 1.0), again / max(real, 1.0)
