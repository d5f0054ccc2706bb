"""Attention row by row over rows that lie end to end.

Torch's own attention takes a mask of all pairs to keep such rows apart, and computes them all: for sixteen rows, most
of the work is between strangers. Here each row is attended to by itself, causally and without a mask, which is exact,
needs no memory for the mask, and costs what the rows cost alone.
"""

import weakref
from itertools import pairwise
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from engine.worker.attention import check_isolation
from engine.worker.refusal import Refusal

ROW_BY_ROW = "sdpa_row_by_row"


def attend_row_by_row(model: Any, precision: str, longest: int) -> bool:
    """Let `model` attend to each row, of at most `longest` tokens, by itself where it can; whether it does.

    It is tried out with two rows. Left as they are: models that attend otherwise than by SDPA, that attend to the last
    tokens only where rows may be longer, or whose attention is not told where rows begin.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if model.config._attn_implementation != "sdpa" or not kinds <= {"full_attention", "sliding_attention"}:
        return False
    window = getattr(config, "sliding_window", None)
    if window and window < longest:
        return False
    model.set_attn_implementation(ROW_BY_ROW)
    try:
        check_isolation(model, precision)
    except Refusal:
        model.set_attn_implementation("sdpa")
        return False
    return True


class _Starts:
    """Where rows begin, found once for all layers of a forward pass."""

    def __init__(self) -> None:
        self._positions: weakref.ref[torch.Tensor] | None = None
        self._found: list[int] = []

    def of(self, positions: torch.Tensor) -> list[int]:
        """`positions`: (1, tokens). Their zeros, and the number of tokens."""
        if self._positions is None or self._positions() is not positions:
            self._found = [*torch.nonzero(positions[0] == 0).flatten().tolist(), positions.shape[1]]
            self._positions = weakref.ref(positions)
        return self._found


_starts = _Starts()


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """query, key, value: (batch, heads, tokens, head size). Returns (batch, tokens, heads, head size)."""
    positions = options.get("position_ids")
    whole = attention_mask is not None or query.shape[0] != 1 or query.shape[2] != key.shape[2]
    starts = [] if whole or positions is None else _starts.of(positions)
    if len(starts) <= 2 or starts[0]:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return output, None
    outputs = [
        sdpa_attention_forward(
            module, query[:, :, start:end], key[:, :, start:end], value[:, :, start:end], None, **options
        )[0]
        for start, end in pairwise(starts)
    ]
    return torch.cat(outputs, dim=1), None


def _mask(*arguments: Any, **options: Any) -> torch.Tensor | None:
    """As for SDPA where some tokens are padding; none where rows lie end to end, and none for a single row."""
    if options.get("attention_mask") is None and options.get("q_length") == options.get("kv_length"):
        return None
    mask: torch.Tensor | None = sdpa_mask(*arguments, **options)
    return mask


AttentionInterface.register(ROW_BY_ROW, _attention)
AttentionMaskInterface.register(ROW_BY_ROW, _mask)
