"""The architectures that can be written as GGUF: what llama.cpp calls them, and how their weights are laid out there.

Names come from the `gguf` package's own table. What that table cannot say is here: which rows are in another order,
which weights have an offset, and which settings llama.cpp has no words for. After llama.cpp's `docs/` and `src/models`.
"""

import math
from dataclasses import dataclass
from typing import Any

import gguf
import torch

from engine.errors import BadInput
from engine.export.spec import GGUF_FAMILIES


@dataclass(frozen=True)
class Family:
    """One architecture of transformers (`model_type`) as llama.cpp has it."""

    model_type: str
    arch: gguf.MODEL_ARCH
    interleaved: bool = False
    """Whether rotary pairs are neighbours in llama.cpp: rows of q and k are in another order then."""
    norm_offset: float = 0.0
    """What is added to the weights of norms: Gemma keeps them as the distance from 1."""
    ties_output: bool = False
    """Whether the output layer is always the embedding."""


FAMILIES = {
    "llama": Family("llama", gguf.MODEL_ARCH.LLAMA, interleaved=True),
    "mistral": Family("mistral", gguf.MODEL_ARCH.LLAMA, interleaved=True),
    "qwen2": Family("qwen2", gguf.MODEL_ARCH.QWEN2),
    "qwen3": Family("qwen3", gguf.MODEL_ARCH.QWEN3),
    "phi3": Family("phi3", gguf.MODEL_ARCH.PHI3),
    "gemma2": Family("gemma2", gguf.MODEL_ARCH.GEMMA2, norm_offset=1.0, ties_output=True),
}
assert FAMILIES.keys() == GGUF_FAMILIES.keys()


def family_of(config: Any) -> Family:
    """The family of a transformers config. Raises `BadInput` for one that cannot be written faithfully."""
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise BadInput(
            f"A {config.model_type} model cannot be written as GGUF here.",
            why=f"finetui writes {', '.join(GGUF_FAMILIES.values())}.",
            fix="Export it as merged, and convert that folder with llama.cpp's own script.",
        )
    if family.model_type == "gemma2":
        _check_gemma2(config)
    return family


def arranged(family: Family, config: Any, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A weight by its name in transformers, in llama.cpp's order. The result is float32."""
    tensor = tensor.float()
    if family.norm_offset and name.endswith("norm.weight"):
        return tensor + family.norm_offset
    if family.interleaved and (".q_proj." in name or ".k_proj." in name):
        heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
        return interleave(tensor, heads)
    return tensor


def interleave(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows (heads × head, …) whose rotary pairs are half a head apart, with the pairs beside each other."""
    rows = tensor.shape[0]
    halves = tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:])  # (heads, half, pair, …)
    return halves.transpose(1, 2).reshape(tensor.shape)


def rope(config: Any) -> dict[str, Any]:
    """How positions are turned: `rope_type`, `rope_theta` and what the type needs."""
    found = getattr(config, "rope_parameters", None) or {}
    return dict(found.get("full_attention", found))


def head_size(config: Any) -> int:
    """Numbers in one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def rotary_size(config: Any) -> int:
    """How many of a head's numbers are turned by its position."""
    return int(rope(config).get("partial_rotary_factor", 1.0) * head_size(config))


def extra_tensors(config: Any) -> dict[str, torch.Tensor]:
    """Tensors that stand in no checkpoint: what the frequencies of positions are divided by, one for each pair."""
    parameters = rope(config)
    kind = parameters.get("rope_type", "default")
    if kind == "llama3":
        return {"rope_freqs.weight": llama3_factors(parameters, rotary_size(config))}
    if kind == "longrope":
        return {
            f"rope_factors_{length}.weight": torch.tensor(parameters[f"{length}_factor"], dtype=torch.float32)
            for length in ("long", "short")
        }
    return {}


def llama3_factors(parameters: dict[str, Any], size: int) -> torch.Tensor:
    """Divisors (size / 2) of Llama 3.1's scaled frequencies: short waves stay, long ones are stretched by `factor`.

    As `transformers.modeling_rope_utils` computes them.
    """
    low, high = float(parameters["low_freq_factor"]), float(parameters["high_freq_factor"])
    stretched, length = float(parameters["factor"]), float(parameters["original_max_position_embeddings"])
    factors = []
    for index in range(0, size, 2):
        wave = 2 * math.pi * float(parameters["rope_theta"]) ** (index / size)
        if wave < length / high:
            factors.append(1.0)
        elif wave > length / low:
            factors.append(stretched)
        else:
            share = (length / wave - low) / (high - low)
            factors.append(1 / ((1 - share) / stretched + share))
    return torch.tensor(factors, dtype=torch.float32)


def _check_gemma2(config: Any) -> None:
    """llama.cpp takes the scale of attention from the sizes; a model with another one would be another model."""
    layers, scale = config.num_hidden_layers, config.query_pre_attn_scalar
    taken = config.hidden_size // config.num_attention_heads if layers == 46 else head_size(config)
    if scale != taken:
        raise BadInput(
            "This Gemma 2 model cannot be written as GGUF.",
            why=f"Its query_pre_attn_scalar is {scale}, and llama.cpp would compute with {taken}.",
            fix="Export it as merged, and serve that with transformers or vLLM.",
        )
