"""LoRA of several adapters in one forward pass: two products a layer, however many adapters there are.

PEFT's `adapter_names` picks the rows of each adapter out of the batch, layer by layer, and puts them back. Here the
adapters' matrices are laid side by side, every row is multiplied with all of them, and what is not its own adapter's is
set to zero in between, which costs next to nothing at the ranks of LoRA. A row of the base alone costs what the base
costs. What PEFT can do and this cannot (embeddings, DoRA, trained biases) is left to PEFT.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from peft.tuners.lora.layer import LoraLayer
from peft.utils.other import AuxiliaryTrainingWrapper

KINDS = ("Linear", "Linear4bit", "Linear8bitLt")
"""PEFT's layers that add `B(A(x)) · scaling` to what their base layer gives."""


@dataclass
class _Rows:
    """The rows of one forward pass. `places` has each row's adapter by its place in `used`, -1 for the base."""

    used: tuple[str, ...]
    places: list[int]
    masks: dict[tuple[int, ...], torch.Tensor | None] = field(default_factory=dict)

    def mask(self, ranks: tuple[int, ...], like: torch.Tensor) -> torch.Tensor | None:
        """(rows, 1, sum of `ranks`): 1 where a column belongs to the row's adapter; `None` where all do."""
        if ranks not in self.masks:
            rows = [[float(place == at) for at, rank in enumerate(ranks) for _ in range(rank)] for place in self.places]
            whole = all(all(row) for row in rows)
            made = None if whole else torch.tensor(rows, dtype=like.dtype, device=like.device).unsqueeze(1)
            self.masks[ranks] = made
        return self.masks[ranks]


@dataclass
class _Stack:
    """The adapters `used` of one layer, side by side."""

    used: tuple[str, ...]
    parts: tuple[Any, ...]
    """The modules that it is made of, to be known again."""
    down: torch.Tensor
    """(inputs, sum of ranks)"""
    up: torch.Tensor
    """(sum of ranks, outputs), scaled"""
    ranks: tuple[int, ...]


_at_hand: ContextVar[_Rows | None] = ContextVar("rows", default=None)
_surveyed: "WeakKeyDictionary[Any, tuple[Any, set[str] | None]]" = WeakKeyDictionary()


def can_mix(model: Any, names: Sequence[str | None]) -> bool:
    """Whether a PEFT model has layers of the usual kind alone, for these adapters too: it is then ready for `mixed`."""
    key = tuple((name, id(config)) for name, config in model.peft_config.items())
    known = _surveyed.get(model)
    if known is None or known[0] != key:
        known = _surveyed[model] = (key, _unusual(model))
    return known[1] is not None and not any(name in known[1] for name in names)


@contextmanager
def mixed(names: Sequence[str | None]) -> Iterator[None]:
    """Within it, forward passes of the model's base give row `i` the adapter `names[i]`, `None` for none."""
    used = tuple(sorted({name for name in names if name is not None}))
    token = _at_hand.set(_Rows(used, [used.index(name) if name is not None else -1 for name in names]))
    try:
        yield
    finally:
        _at_hand.reset(token)


def _unusual(model: Any) -> set[str] | None:
    """Let the layers look for the rows at hand. The adapters that cannot be mixed; `None` where none can."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    if any(type(layer).__name__ not in KINDS for layer in layers):
        return None
    if any(isinstance(module, AuxiliaryTrainingWrapper) for module in model.modules()):
        return None
    unusual: set[str] = set()
    for layer in layers:
        unusual.update(layer.lora_variant)
        unusual.update(name for name, up in layer.lora_B.items() if up.bias is not None)
        if "forward" not in vars(layer):
            layer.forward = MethodType(_forward, layer)
    return unusual


def _forward(layer: Any, x: torch.Tensor, *arguments: Any, **fields: Any) -> torch.Tensor:
    """x: (rows, tokens, inputs). Returns (rows, tokens, outputs)."""
    rows = _at_hand.get()
    if rows is None:
        plain: torch.Tensor = type(layer).forward(layer, x, *arguments, **fields)
        return plain
    result: torch.Tensor = layer.base_layer(x, *arguments, **fields)
    stack = _stack(layer, rows.used) if rows.used else None
    if stack is None:
        return result
    if len(x) != len(rows.places):
        raise ValueError(f"{len(x)} rows in a layer, {len(rows.places)} in the batch")
    hidden = torch.matmul(x.to(stack.down.dtype), stack.down)
    mask = rows.mask(stack.ranks, hidden)
    if mask is not None:
        hidden *= mask
    if result.dtype == stack.up.dtype and result.is_contiguous():
        result.view(-1, result.shape[-1]).addmm_(hidden.view(-1, hidden.shape[-1]), stack.up)
        return result
    return result + torch.matmul(hidden, stack.up).to(result.dtype)


def _stack(layer: Any, used: tuple[str, ...]) -> _Stack | None:
    """The adapters `used` of `layer`; `None` where it has none of them."""
    known: _Stack | None = vars(layer).get("_side_by_side")
    if (
        known is not None
        and known.used == used
        and all(part is layer.lora_A._modules.get(name) for name, part in zip(used, known.parts, strict=True))
    ):
        return known
    here = [name for name in used if name in layer.lora_A]
    if not here:
        return None
    stack = _Stack(
        used,
        tuple(layer.lora_A._modules.get(name) for name in used),
        torch.cat([layer.lora_A[name].weight for name in here]).t().contiguous(),
        torch.cat([(layer.lora_B[name].weight * layer.scaling[name]).t() for name in here]),
        tuple(layer.lora_A[name].weight.shape[0] if name in here else 0 for name in used),
    )
    object.__setattr__(layer, "_side_by_side", stack)  # a plain attribute: no part of the model's state
    return stack
