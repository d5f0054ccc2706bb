"""Facts to plan with: models by their configs, devices, rows of some lengths."""

from typing import Any

import numpy as np

from engine.models import ModelInfo
from engine.planning.architecture import Architecture, read_architecture
from engine.planning.facts import Facts
from engine.planning.lengths import Lengths
from engine.planning.records import DeviceFacts, Probe
from engine.recipe import Recipe

SMALL: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "vocab_size": 4096,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}
LARGE: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
    "max_position_embeddings": 131_072,
}

CPU = DeviceFacts(
    "cpu", "EPYC, 2 cores", "cpu", 16 << 30, 12 << 30, None, Probe({"fp32": 0.1}, "fp32", None, False, "")
)


def gpu(gigabytes: int = 80, *, flash: str | None = "flash_attention_2", best: str = "bf16") -> DeviceFacts:
    probe = Probe({"fp32": 6e-3, "bf16": 1e-3, "fp16": 1e-3}, best, flash, True, "2")
    return DeviceFacts("gpu0", "NVIDIA H100", "cuda", gigabytes << 30, gigabytes << 30, (9, 0), probe)


def skewed(rows: int = 1000) -> Any:
    """Lengths as those of real chat."""
    drawn = np.exp(np.random.default_rng(0).normal(np.log(75), 0.9, rows))
    return np.clip(drawn, 12, 3000).astype(np.int64)


def architecture(config: dict[str, Any]) -> Architecture:
    found = read_architecture(config)
    assert found is not None
    return found


def facts(config: dict[str, Any] | None, lengths: Any, device: DeviceFacts, **recipe: Any) -> Facts:
    """`staged` and `shape` may be among the fields of the recipe."""
    staged, shape = recipe.pop("staged", False), recipe.pop("shape", "conversation")
    found = architecture(config) if config else None
    return Facts(
        asked=Recipe(dataset="d", **recipe),
        model=ModelInfo("m", "folder", "/m", ready=True),
        architecture=found,
        device=device,
        device_count=1 if device.kind == "cuda" else 0,
        lengths=Lengths(lengths, lengths // 2, lengths - lengths // 2, lengths[:10], "counted", True),
        shape=shape,
        staged=staged,
        budget_bytes=int(device.free_bytes * 0.95),
    )
