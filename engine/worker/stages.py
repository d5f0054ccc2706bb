"""Training stage by stage: general rows first, then those of the domain, then those of the task."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Sampler

from engine.worker.data import STAGE
from engine.worker.refusal import Refusal


class StageSampler(Sampler[int]):
    """Row numbers in the order of their stages, shuffled within each; each epoch goes through all stages.

    The order follows from the seed and the epoch alone, so a run that is resumed goes on where it was.
    """

    def __init__(self, stages: list[int], seed: int) -> None:
        self._stages = torch.tensor(stages)  # (rows,)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch by what loads the batches."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._stages)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        shuffled = torch.randperm(len(self._stages), generator=generator)
        order = torch.argsort(self._stages[shuffled], stable=True)
        return iter(shuffled[order].tolist())


def stage_sampler(rows: Any, seed: int) -> StageSampler | None:
    """The sampler for `rows` as TRL prepared them, or `None` where they have no stages."""
    return StageSampler(rows[STAGE][:], seed) if STAGE in rows.column_names else None


def refuse_packed_stages(packing: bool) -> None:
    """Raise `Refusal` where rows with stages are to be packed."""
    if packing:
        raise Refusal(
            "A staged dataset cannot be packed: packing puts rows of different stages into one sequence.",
            code="packed_stages",
            fix="Set packing = false, or mix the datasets instead of staging them.",
        )
