"""A batch that rows join and leave between two tokens, over one cache of keys and values.

The cache is torch's own as transformers fills it (`DynamicCache`): its rows lie against its right edge. Who joins is
read on its own first, then the shorter of the two caches is padded on its left, where the mask hides it.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from engine.worker.choosing import Chooser
from engine.worker.live_row import LiveRow
from engine.worker.mixing import can_mix, mixed

WASTE = 2
"""Rows that join are read together while none is padded to more than so many times its length."""
SHORT = 64
"""Padding up to so many tokens is no waste."""


def can_join(model: Any) -> bool:
    """Whether everything that `model` remembers of a text are keys and values, token by token."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = base.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return bool(
        not base.config.is_encoder_decoder
        and not getattr(base, "_is_stateful", False)
        and base._supports_default_dynamic_cache()
        and kinds <= {"full_attention", "sliding_attention"}
    )


class OpenBatch:
    """Rows of one model; `mixed` ones each with an adapter of its own, which PEFT is told at each step."""

    def __init__(self, ends: frozenset[int], padding: int, *, mixed: bool) -> None:
        self.rows: list[LiveRow] = []
        self._ends = ends
        self._padding = padding
        self._mixed = mixed
        self._cache = DynamicCache()
        self._mask = torch.empty(0)  # (rows, width): 1 where the cache has a token of the row
        self._last: list[int] = []  # of each row, the token to read next
        self._choose = Chooser([])

    def join(self, model: Any, rows: Sequence[LiveRow]) -> None:
        """Read the prompts of `rows`, and what they have said already, and take the next token of each."""
        for group in _alike(rows):
            texts = [[*row.request.prompt, *row.tokens] for row in group]
            width = max(len(text) for text in texts)
            ids = torch.tensor([[self._padding] * (width - len(text)) + text for text in texts], device=model.device)
            mask = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts], device=model.device)
            cache = DynamicCache()
            scores = self._read(model, group, ids, mask, cache)
            last = Chooser(group).choose(scores)
            if self.rows:
                _put_below(self._cache, cache, self._mask.shape[1], width)
                self._mask = torch.cat(
                    [_pad(self._mask, width - self._mask.shape[1]), _pad(mask, self._mask.shape[1] - width)]
                )
            else:
                self._cache, self._mask = cache, mask
            self.rows = [*self.rows, *group]
            self._last = [*self._last, *last]
            self._changed()
            for row, token in zip(group, last, strict=True):
                row.take(token, self._ends)
        self._part()

    def step(self, model: Any) -> None:
        """The next token of every row; rows that are done leave."""
        mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], dim=1)
        ids = torch.tensor(self._last, device=model.device).unsqueeze(1)
        scores = self._read(model, self.rows, ids, mask, self._cache)
        self._mask, self._last = mask, self._choose.choose(scores)
        for row, token in zip(self.rows, self._last, strict=True):
            row.take(token, self._ends)
        self._part()

    def _read(
        self, model: Any, rows: Sequence[LiveRow], ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """Read `ids` (rows, tokens) behind what `cache` has. Scores of the next token: (rows, vocabulary), fp32."""
        positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, -ids.shape[1] :]
        fields: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "past_key_values": cache, "use_cache": True}
        known = _fields(model)
        if "position_ids" in known:
            fields["position_ids"] = positions
        if "logits_to_keep" in known:
            fields["logits_to_keep"] = 1
        with torch.no_grad():
            return self._forward(model, rows, fields)[:, -1].float()

    def _forward(self, model: Any, rows: Sequence[LiveRow], fields: dict[str, Any]) -> torch.Tensor:
        logits: torch.Tensor
        names = [row.request.adapter for row in rows]
        if not self._mixed or not hasattr(model, "peft_config"):
            logits = model(**fields).logits
        elif can_mix(model, names):
            with mixed(names):
                logits = model.get_base_model()(**fields).logits
        else:
            logits = model(**fields, adapter_names=[name or "__base__" for name in names]).logits
        return logits

    def _part(self) -> None:
        """Let rows that are done leave, with their part of the cache and the columns that nobody else has."""
        stay = [place for place, row in enumerate(self.rows) if not row.done]
        if len(stay) == len(self.rows):
            return
        self.rows = [self.rows[place] for place in stay]
        self._last = [self._last[place] for place in stay]
        self._changed()
        if not stay:
            self._cache = DynamicCache()
            return
        kept = torch.tensor(stay, device=self._mask.device)
        mask = self._mask[kept]
        first = int(mask.any(dim=0).int().argmax())
        self._mask = mask[:, first:]
        for layer in self._cache.layers:
            if layer.is_initialized:
                layer.keys, layer.values = (part[kept][:, :, first:] for part in (layer.keys, layer.values))

    def _changed(self) -> None:
        self._choose = Chooser(self.rows)


def _alike(rows: Sequence[LiveRow]) -> list[list[LiveRow]]:
    """Rows in groups that are read together: none is padded to much more than its own length."""
    groups: list[list[LiveRow]] = []
    shortest = 0
    for row in sorted(rows, key=_length):
        if not groups or _length(row) > max(WASTE * shortest, shortest + SHORT):
            groups.append([])
            shortest = _length(row)
        groups[-1].append(row)
    return groups


def _length(row: LiveRow) -> int:
    return len(row.request.prompt) + len(row.tokens)


def _put_below(cache: DynamicCache, other: DynamicCache, width: int, other_width: int) -> None:
    """Add the rows of `other` to `cache`; both have so many columns."""
    for layer, added in zip(cache.layers, other.layers, strict=True):
        if layer.is_initialized:
            for name in ("keys", "values"):
                parts = (
                    _pad_columns(getattr(layer, name), other_width - width),
                    _pad_columns(getattr(added, name), width - other_width),
                )
                setattr(layer, name, torch.cat(parts))


def _pad(mask: torch.Tensor, columns: int) -> torch.Tensor:
    return torch.nn.functional.pad(mask, (max(columns, 0), 0))


def _pad_columns(part: torch.Tensor, columns: int) -> torch.Tensor:
    """(rows, heads, columns, size), on the left of the columns."""
    return torch.nn.functional.pad(part, (0, 0, max(columns, 0), 0))


_known: dict[type, frozenset[str]] = {}


def _fields(model: Any) -> frozenset[str]:
    """What the model's own `forward` takes."""
    kind = type(model.get_base_model() if hasattr(model, "get_base_model") else model)
    if kind not in _known:
        _known[kind] = frozenset(inspect.signature(kind.forward).parameters)
    return _known[kind]
