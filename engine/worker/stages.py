"""The order of the rows where it is not plainly random: stage by stage, or those of like length together.

An order follows from the seed and the epoch alone, so a run that is resumed goes on where it was. The order that
Transformers makes by length does not: it takes its random numbers where everybody does.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc
import torch
from torch.utils.data import Sampler

from engine.worker.data import STAGE
from engine.worker.refusal import Refusal

POOL_GROUPS = 50
"""Rows are sorted by length among this many groups: enough to save the padding, and never twice the same groups."""


class EpochSampler(Sampler[int]):
    """Row numbers, in another order each epoch."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rows = rows
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch by what loads the batches."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        return iter(self._order(generator))

    def _order(self, generator: torch.Generator) -> list[int]:
        raise NotImplementedError


class StageSampler(EpochSampler):
    """Row numbers in the order of their stages, shuffled within each; each epoch goes through all stages."""

    def __init__(self, stages: list[int], seed: int) -> None:
        super().__init__(len(stages), seed)
        self._stages = torch.tensor(stages)  # (rows,)

    def _order(self, generator: torch.Generator) -> list[int]:
        shuffled = torch.randperm(len(self), generator=generator)
        order = torch.argsort(self._stages[shuffled], stable=True)
        found: list[int] = shuffled[order].tolist()
        return found


class LengthSampler(EpochSampler):
    """Row numbers in groups of like length, the groups in random order.

    A group is what is computed at the same time, on all devices: its rows are padded to one length, and no device waits
    for another's longer rows. What does not fill a group comes last.
    """

    def __init__(self, lengths: list[int], group: int, seed: int) -> None:
        super().__init__(len(lengths), seed)
        self._lengths = torch.tensor(lengths)  # (rows,)
        self._group = group

    def _order(self, generator: torch.Generator) -> list[int]:
        shuffled = torch.randperm(len(self), generator=generator)
        whole = len(self) // self._group * self._group
        pool = POOL_GROUPS * self._group
        groups: list[torch.Tensor] = []
        for start in range(0, whole, pool):
            rows = shuffled[start : min(start + pool, whole)]
            rows = rows[torch.argsort(self._lengths[rows], stable=True, descending=True)]
            groups.extend(torch.split(rows, self._group))
        order = torch.randperm(len(groups), generator=generator).tolist()
        found: list[int] = torch.cat([*(groups[place] for place in order), shuffled[whole:]]).tolist()
        return found


def stage_sampler(rows: Any, seed: int) -> StageSampler | None:
    """The sampler for `rows` as TRL prepared them, or `None` where they have no stages."""
    return StageSampler(rows[STAGE][:], seed) if STAGE in rows.column_names else None


def row_lengths(rows: Any) -> list[int]:
    """Tokens of each of `rows` as TRL prepared them; of a preference pair the prompt's and the longer answer's."""
    table = rows.with_format("arrow")[:]
    if "input_ids" in table.column_names:
        return list(pc.list_value_length(table["input_ids"]).to_pylist())
    prompt, chosen, rejected = (
        pc.list_value_length(table[name]) for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    )
    return list(pc.add(prompt, pc.max_element_wise(chosen, rejected)).to_pylist())


def refuse_packed_stages(packing: bool) -> None:
    """Raise `Refusal` where rows with stages are to be packed."""
    if packing:
        raise Refusal(
            "A staged dataset cannot be packed: packing puts rows of different stages into one sequence.",
            code="packed_stages",
            fix="Set packing = false, or mix the datasets instead of staging them.",
        )
