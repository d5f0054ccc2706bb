"""Work in batches that fit into memory: one that does not is halved, and so are all after it."""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from engine.runs.failure_codes import MEMORY
from engine.worker.failures import explain

T = TypeVar("T")


class Fitting:
    """`most` is how many items go at once; it becomes less for good when memory runs out."""

    def __init__(self, most: int) -> None:
        self.most = most

    def run(
        self,
        items: Sequence[T],
        work: Callable[[Sequence[T]], None],
        give_up: Callable[[T], None],
        *,
        fits: Callable[[Sequence[T]], int] = len,
    ) -> None:
        """`work` on all of `items`, in their order. An item that does not fit alone goes to `give_up`.

        `fits` says how many of the first of them may go at once, by their size; at least one does. Work that ran out of
        memory is begun again, and may find a part of its items done. Other errors come through.
        """
        at = 0
        while at < len(items):
            batch = items[at : at + self.most]
            batch = batch[: max(1, fits(batch))]
            if self._fitted(work, batch):
                at += len(batch)
                continue
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(batch) == 1:
                give_up(batch[0])
                at += 1
            else:
                self.most = len(batch) // 2

    def _fitted(self, work: Callable[[Sequence[T]], None], batch: Sequence[T]) -> bool:
        """Whether there was memory for it. The exception itself, which holds on to memory, ends here."""
        try:
            work(batch)
        except Exception as error:
            if explain(error, None).code not in MEMORY:
                raise
            return False
        return True
