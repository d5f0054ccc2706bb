"""Chooses each row's next token by the row's own sampling, whatever stands beside it in the batch."""

import hashlib
from collections.abc import Sequence

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.worker.live_row import LiveRow
from engine.worker.rows import Sampling

COLDEST = 1e-5
"""A lower temperature is none: scores divided by it would be infinite, and all of the best ones alike."""


class Chooser(LogitsProcessor):
    """Changes the scores so that the largest of a row is the token to take.

    Sampled rows get Gumbel noise: the largest score is then a sample of the softmax (Gumbel-max trick). The noise comes
    from the row's seed and the number of its tokens alone. So a row says the same alone, in any batch and when it is
    tried again, and rows of one seed have the same luck.
    """

    def __init__(self, rows: Sequence[LiveRow]) -> None:
        self._rows = rows
        self._generator = torch.Generator()
        kinds: dict[tuple[float, int, float], list[int]] = {}
        for place, row in enumerate(rows):
            sampling = row.request.sampling
            if sampling.temperature >= COLDEST:
                kinds.setdefault((sampling.temperature, sampling.top_k, sampling.top_p), []).append(place)
        self._kinds = [
            (_warpers(Sampling(temperature, top_p, top_k)), places)
            for (temperature, top_k, top_p), places in kinds.items()
        ]

    def choose(self, scores: torch.Tensor) -> list[int]:
        """The next token of each row from its `scores` (rows, vocabulary), which are changed in place."""
        chosen: list[int] = self(torch.empty(len(self._rows), 0), scores).argmax(-1).tolist()
        return chosen

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` (rows, vocabulary) as they are to be compared; they are changed in place."""
        drawn: dict[tuple[int, int], torch.Tensor] = {}
        for warpers, places in self._kinds:
            noise = []
            for place in places:
                row = self._rows[place]
                key = (row.request.sampling.seed, len(row.tokens))
                if key not in drawn:
                    drawn[key] = self._noise(*key, scores.shape[-1])
                noise.append(drawn[key])
            scores[places] = warpers(input_ids[places], scores[places]) + torch.stack(noise).to(scores.device)
        return scores

    def _noise(self, seed: int, step: int, width: int) -> torch.Tensor:
        """Gumbel noise, (vocabulary,)."""
        # The generator takes 32 bits, and neighbouring numbers should give strangers.
        mixed = hashlib.blake2b(f"{seed} {step}".encode(), digest_size=4).digest()
        self._generator.manual_seed(int.from_bytes(mixed))
        return -torch.empty(width).exponential_(generator=self._generator).clamp_min(1e-20).log()


def _warpers(sampling: Sampling) -> LogitsProcessorList:
    chosen = LogitsProcessorList([TemperatureLogitsWarper(float(sampling.temperature))])
    if sampling.top_k > 0:
        chosen.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        chosen.append(TopPLogitsWarper(sampling.top_p))
    return chosen
