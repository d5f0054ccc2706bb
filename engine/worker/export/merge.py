"""Merges an adapter into its base model, in float32, and proves that nothing else changed.

A QLoRA adapter learnt beside weights in NF4, which are not quite those of the base. `trained` merges it into those
weights, dequantised; `original` into the weights as they were before. Either way no product is quantised again.
"""

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from engine.errors import FinetuiError
from engine.export.spec import Difference, Source, Spec
from engine.worker.adapters import read_adapter, saved_template
from engine.worker.export.difference import Logits, difference, logits_of, prompt_ids
from engine.worker.generate import end_tokens
from engine.worker.loading import load_base, load_tokenizer

AGREES = 1e-3
"""The largest relative difference of merged from unmerged logits in float32 that is rounding."""
QUANTISED = ("qlora", "lora8bit")
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
_NAMES = {"F32": "f32", "F16": "f16", "BF16": "bf16"}

Step = Callable[[str, float], None]
"""Hears what is being done, and the share that is done, 0 to 1."""


@dataclass(frozen=True)
class Merged:
    """What was written, and how it differs; see `engine.export.spec.Result`."""

    dtype: str
    base_weights: str
    merged: Difference | None
    saved: Difference | None
    trained: Difference | None


def write_merged(spec: Spec, folder: Path, step: Step) -> Merged:
    """Write the whole model into `folder`: weights, tokenizer, chat template, generation settings.

    Raises `FinetuiError` where the merged model is not the adapter's, or what was saved cannot be loaded again.
    """
    source = spec.source
    step("loading the tokenizer", 0.0)
    tokenizer = _tokenizer(source)
    prompts = prompt_ids(tokenizer)
    trained: Logits | None = None
    if source.adapter is not None and source.method in QUANTISED:
        step("asking the adapter on its quantised base", 0.05)
        trained = _answers_as_trained(spec, prompts)
    step("loading the base model in float32", 0.2)
    model, words = _base(spec)
    merged = against = None
    if source.adapter is None:
        wanted = logits_of(model, prompts)
    else:
        step("merging", 0.4)
        model, wanted, found = _merge(model, source.adapter, prompts)
        merged = difference(found, wanted)
        _check(merged)
        against = None if trained is None else difference(found, trained)
    own = spec.type or _dtype_of(spec)
    step(f"saving in {own}", 0.6)
    _save(model, tokenizer, folder, DTYPES[own])
    del model
    gc.collect()
    step("loading what was saved", 0.75)
    read_again = load_base(folder, method="lora", precision="fp32", device="cpu")
    saved = difference(logits_of(read_again, prompts), wanted)
    return Merged(own, words, merged, saved, against)


def _tokenizer(source: Source) -> Any:
    """The base's tokenizer with the chat template that the adapter was trained with, as the chat has it."""
    tokenizer = load_tokenizer(source.base, source.revision, source.trust_remote_code)
    template = saved_template(Path(source.adapter)) if source.adapter is not None else None
    if template:
        tokenizer.chat_template = template
    return tokenizer


def _load(spec: Spec, method: str) -> Any:
    source = spec.source
    return load_base(
        source.base,
        revision=source.revision,
        method=method,
        precision="fp32",
        trust_remote_code=source.trust_remote_code,
        device="cpu",
    )


def _with_adapter(model: Any, adapter: str) -> Any:
    from peft import PeftModel

    read_adapter(Path(adapter))  # says it in words where there is none
    try:
        return PeftModel.from_pretrained(model, adapter, is_trainable=False, torch_device="cpu").eval()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise FinetuiError(
            f"The adapter {adapter} does not fit its base model.",
            why=" ".join(str(error).split()[:60]) or type(error).__name__,
            fix="Was the base model replaced since the run?",
        ) from error


def _answers_as_trained(spec: Spec, prompts: list[list[int]]) -> Logits:
    """The logits of the adapter on the base as it was quantised for training."""
    model = _with_adapter(_load(spec, spec.source.method), spec.source.adapter or "")
    found = logits_of(model, prompts)
    del model
    gc.collect()
    return found


def _base(spec: Spec) -> tuple[Any, str]:
    """The base in float32, and in words which weights these are."""
    if spec.source.adapter is None:
        return _load(spec, "lora"), "a whole model; nothing was merged"
    if spec.source.method not in QUANTISED:
        return _load(spec, "lora"), "the base's own weights"
    kind = "NF4" if spec.source.method == "qlora" else "8-bit"
    if spec.base_weights == "original":
        return _load(spec, "lora"), f"the base's own weights, not the {kind} ones that it was trained on"
    model = _load(spec, spec.source.method)
    return dequantised(model), f"the {kind} weights that it was trained on, dequantised"


@torch.no_grad()
def dequantised(model: Any) -> Any:
    """The model with plain layers in float32 that hold exactly what its quantised layers stand for."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    for name, layer in list(model.named_modules()):
        if isinstance(layer, Linear4bit):
            weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        elif isinstance(layer, Linear8bitLt):
            scale = layer.state.SCB if layer.weight.SCB is None else layer.weight.SCB  # (out,), the largest of each row
            weight = layer.weight.data.float() * scale.float().unsqueeze(1) / 127
        else:
            continue
        plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(weight.float().reshape(plain.weight.shape).contiguous(), requires_grad=False)
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias.float(), requires_grad=False)
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, plain)
    for attribute in ("hf_quantizer", "quantization_method", "is_loaded_in_4bit", "is_loaded_in_8bit", "is_quantized"):
        if attribute in model.__dict__:
            delattr(model, attribute)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model.float()


def _merge(model: Any, adapter: str, prompts: list[list[int]]) -> tuple[Any, Logits, Logits]:
    """The merged model, the logits with the adapter beside its base, and those of the merged model."""
    peft = _with_adapter(model, adapter).float()
    beside = logits_of(peft, prompts)
    merged = peft.merge_and_unload(safe_merge=True)
    _keep_apart(merged)
    return merged, beside, logits_of(merged, prompts)


def _check(found: Difference) -> None:
    if not found.relative <= AGREES:
        raise FinetuiError(
            "The merged model does not say what the adapter says.",
            why=f"Its logits differ by {found.relative:.1e} of the largest; rounding is below {AGREES:.0e}.",
            fix="Serve the adapter beside its base instead: export it with --to adapter.",
        )


def _keep_apart(model: Any) -> None:
    """Say so in the config where the output layer has become another one than the embedding."""
    output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    config = model.config.get_text_config()
    if output is None or not getattr(config, "tie_word_embeddings", False):
        return
    if output.weight is not embedding.weight and not torch.equal(output.weight, embedding.weight):
        model.config.tie_word_embeddings = config.tie_word_embeddings = False


def _dtype_of(spec: Spec) -> str:
    """The number format of the base's own weights: that of most of its numbers."""
    from huggingface_hub import snapshot_download

    base = Path(spec.source.base).expanduser()
    if not base.is_dir():
        base = Path(
            snapshot_download(
                spec.source.base,
                revision=spec.source.revision,
                allow_patterns=["*.safetensors", "*.json"],
                local_files_only=True,
            )
        )
    sizes: dict[str, int] = {}
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no dict
                part = weights.get_slice(name)
                kind = _NAMES.get(part.get_dtype(), "")
                sizes[kind] = sizes.get(kind, 0) + int(torch.Size(part.get_shape()).numel())
    most = max(sizes, key=lambda kind: sizes[kind], default="")
    return most or "bf16"


def _save(model: Any, tokenizer: Any, folder: Path, dtype: torch.dtype) -> None:
    model = model.to(dtype)
    model.config.dtype = dtype
    ends = end_tokens(model, tokenizer)
    settings = model.generation_config
    settings.eos_token_id = ends if len(ends) > 1 else next(iter(ends), None)
    if not settings.do_sample:  # some models come with sampling settings that their own check refuses
        settings.temperature = settings.top_p = settings.top_k = None
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="4GB")
    tokenizer.save_pretrained(folder)
    config = folder / "config.json"
    written = json.loads(config.read_text(encoding="utf-8"))
    if written.pop("quantization_config", None) is not None:
        config.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
