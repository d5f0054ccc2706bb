"""Which layers of a model get an adapter, told from its config alone: no weights are read."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from engine.private import as_the_user
from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode
from engine.worker.refusal import Refusal

ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class LinearLayers:
    """The names that the linear layers of an architecture end in, in the model's order, without the output layer's.

    `head` is the output layer's name. `transposed` are the names of layers that keep their weights as (in, out).
    """

    names: tuple[str, ...]
    head: str
    transposed: frozenset[str]


def linear_layers(model: str | Path, *, revision: str | None = None, trust_remote_code: bool = False) -> LinearLayers:
    """The linear layers of a model folder or hub name."""
    with as_the_user():  # others may share the cache that this fills
        config = AutoConfig.from_pretrained(str(model), revision=revision, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    head = empty.get_output_embeddings()
    found: dict[str, bool] = {}
    head_name = "lm_head"
    for name, module in empty.named_modules():
        if module is head:
            head_name = name.rpartition(".")[2]
        elif isinstance(module, (torch.nn.Linear, Conv1D)):
            found[name.rpartition(".")[2]] = isinstance(module, Conv1D)
    return LinearLayers(tuple(found), head_name, frozenset(name for name, turned in found.items() if turned))


def resolve_targets(recipe: Recipe, layers: LinearLayers) -> tuple[str | list[str], bool]:
    """What PEFT is told: `all-linear` or names; and whether these layers keep their weights as (in, out).

    Raises `Refusal` for names that the model does not have, and for its output layer: the fused loss reads that layer's
    weights and would pass an adapter on it by.
    """
    asked = recipe.target_modules
    if asked == ALL_LINEAR:
        # Quantised layers are turned as they are loaded.
        return ALL_LINEAR, bool(layers.transposed) and recipe.method not in ("qlora", "lora8bit")
    names = [name.strip() for name in asked.split(",")] if isinstance(asked, str) else list(asked)
    known = ", ".join(layers.names)
    if layers.head in (name.rpartition(".")[2] for name in names):
        raise Refusal(
            f"target_modules: an adapter on {layers.head} would never be trained, for the loss is computed from that "
            "layer's weights directly.",
            code=FailureCode.RECIPE,
            fix=f"Leave {layers.head} out; all-linear takes every other linear layer: {known}.",
        )
    unknown = [name for name in names if name.rpartition(".")[2] not in layers.names]
    if unknown:
        raise Refusal(
            f"target_modules: the model has no linear layer called {', '.join(unknown)}.",
            code=FailureCode.RECIPE,
            fix=f"Its linear layers are {known}; all-linear takes them all.",
        )
    turned = {name.rpartition(".")[2] in layers.transposed for name in names}
    return names, turned == {True} and recipe.method not in ("qlora", "lora8bit")
