"""Attention and kernels: what this machine can do, and whether rows laid end to end stay strangers to one another."""

from importlib.util import find_spec
from typing import Any

import torch

from engine.recipe import Recipe
from engine.runs.failure_codes import FailureCode
from engine.worker.loading import DTYPES
from engine.worker.refusal import Refusal

_FLASH_PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}


def check_kernels(recipe: Recipe, device: str) -> None:
    """Raise `Refusal` for an attention or kernels that are not to be had here, before anything is loaded."""
    attention = recipe.attn_implementation
    on_gpu = device.startswith("cuda")
    if is_flash(attention):
        if not on_gpu:
            raise Refusal(
                f"attn_implementation: {attention} needs a GPU.",
                code=FailureCode.RECIPE,
                fix="Set attn_implementation = sdpa, or auto.",
            )
        package = "kernels" if "/" in attention else _FLASH_PACKAGES.get(attention, "flash_attn")
        # Transformers takes flash attention from the hub where the package is missing and `kernels` is there.
        if not find_spec(package) and not find_spec("kernels"):
            raise Refusal(
                f"attn_implementation: {attention} needs the package {package.replace('_', '-')}.",
                code=FailureCode.LIBRARY,
                fix="Install it (`pip install kernels` brings built kernels), or set attn_implementation = sdpa.",
            )
    if recipe.use_liger_kernel is True and not (on_gpu and find_spec("liger_kernel")):
        missing = "a GPU" if not on_gpu else "the package liger-kernel"
        raise Refusal(
            f"use_liger_kernel: it needs {missing}.",
            code=FailureCode.RECIPE if not on_gpu else FailureCode.LIBRARY,
            fix="Set use_liger_kernel = false"
            + ("." if not on_gpu else ", or install it: `pip install liger-kernel`."),
        )


def is_flash(attention: str) -> bool:
    """Whether it is flash attention, which computes in 16 bits and on a GPU only."""
    return "flash" in attention


def check_isolation(model: Any, precision: str) -> None:
    """Raise `Refusal` where a model lets rows laid end to end read one another.

    Two rows are laid end to end, as the trainer does it, and the first is then replaced: the second must not notice. It
    costs two short forward passes, and finds out about models whose mixing of tokens is no attention, too.
    """
    # Layers in 8 bits keep apart the columns with outliers in any row, so rows of one batch, padded ones too, round
    # each other a little. Reading one another changes logits by their own size.
    tolerance = 0.1 if getattr(model, "is_loaded_in_8bit", False) else 1e-3
    rows = 16
    vocabulary = model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (3, rows), generator=generator)
    places = torch.arange(rows).repeat(2)
    ends = torch.tensor([0, rows, 2 * rows], dtype=torch.int32)
    device = model.device
    seen = []
    training = model.training
    model.eval()
    for first in (0, 1):
        with torch.no_grad(), torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32"):
            output = model(
                input_ids=torch.cat([ids[first], ids[2]])[None].to(device),
                position_ids=places[None].to(device),
                cu_seq_lens_q=ends.to(device),
                cu_seq_lens_k=ends.to(device),
                max_length_q=rows,
                max_length_k=rows,
                seq_idx=torch.arange(2, dtype=torch.int32).repeat_interleave(rows)[None].to(device),
                use_cache=False,
            )
        seen.append(output.logits[0, rows:].float())  # (rows, vocabulary)
    model.train(training)
    difference = (seen[0] - seen[1]).abs().max()
    if difference > tolerance * seen[0].abs().max():
        raise Refusal(
            "packing: with this model and attention, rows laid end to end read one another.",
            code=FailureCode.RECIPE,
            fix="Set packing = false and padding_free = false.",
        )
