"""A batch that goes through one `generate`: for models that remember more than keys and values, such as a state."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from engine.worker.choosing import Chooser
from engine.worker.live_row import LiveRow


class ClosedBatch:
    """Rows of one model that begin together; nobody joins before all are done."""

    def __init__(self, ends: frozenset[int], padding: int, *, mixed: bool) -> None:
        self.rows: list[LiveRow] = []
        self._ends = ends
        self._padding = padding
        self._mixed = mixed

    def join(self, model: Any, rows: Sequence[LiveRow]) -> None:
        self.rows = [*self.rows, *rows]

    def step(self, model: Any) -> None:
        """Write all rows to their ends. Rows that have tokens already go on from there."""
        texts = [[*row.request.prompt, *row.tokens] for row in self.rows]
        width = max(len(text) for text in texts)
        # ids, mask: (rows, width), padded on the left so that every row's next token is in the last column
        ids = torch.tensor([[self._padding] * (width - len(text)) + text for text in texts], device=model.device)
        mask = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts], device=model.device)
        # Everything that shapes the text is set here: a model's generation_config may hold a repetition penalty or a
        # temperature, and what the user sees in the settings is what should happen.
        config = GenerationConfig(
            max_new_tokens=max(row.left for row in self.rows),
            max_length=None,
            do_sample=False,
            num_beams=1,
            temperature=1.0,
            top_k=50,
            top_p=1.0,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            use_cache=True,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=self._padding,
        )
        names = [row.request.adapter or "__base__" for row in self.rows]
        with torch.no_grad():
            model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=LogitsProcessorList([Chooser(self.rows)]),
                stopping_criteria=StoppingCriteriaList([_Steps(self.rows, self._ends)]),
                **({"adapter_names": names} if self._mixed and hasattr(model, "peft_config") else {}),
            )
        self.rows = []


class _Steps(StoppingCriteria):
    """Hands each step's tokens to their rows, and stops a row that is done: all of them, and `generate` returns."""

    def __init__(self, rows: Sequence[LiveRow], ends: frozenset[int]) -> None:
        self._rows = rows
        self._ends = ends

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
            row.take(token, self._ends)
        return torch.tensor([row.done for row in self._rows], dtype=torch.bool, device=input_ids.device)
