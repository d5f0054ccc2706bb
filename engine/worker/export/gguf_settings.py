"""A model's settings as GGUF's keys."""

import math
from collections.abc import Iterator
from typing import Any

import gguf

from engine.errors import BadInput
from engine.worker.export.gguf_families import Family, head_size, rope, rotary_size

FILE_TYPES = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "bf16": gguf.LlamaFileType.MOSTLY_BF16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


def write_settings(writer: gguf.GGUFWriter, family: Family, config: Any, name: str, kind: str) -> list[str]:
    """Write name, sizes and positions. Returns what llama.cpp will do differently, in words. Raises `BadInput`."""
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size(config))
    writer.add_value_length(head_size(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(rotary_size(config))
    writer.add_rope_freq_base(float(rope(config).get("rope_theta", 10_000.0)))
    _write_scaling(writer, config)
    window = getattr(config, "sliding_window", None)
    if family.arch == gguf.MODEL_ARCH.GEMMA2:
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping or 0.0)
        writer.add_final_logit_softcapping(config.final_logit_softcapping or 0.0)
        writer.add_sliding_window(window or config.max_position_embeddings)
    elif family.arch == gguf.MODEL_ARCH.PHI3:
        writer.add_sliding_window(window or 0)
    return list(_differences(family, config, window))


def _write_scaling(writer: gguf.GGUFWriter, config: Any) -> None:
    parameters = rope(config)
    kind = parameters.get("rope_type", "default")
    if kind in ("default", "llama3"):  # Llama 3's are a tensor
        return
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(parameters["factor"]))
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(float(parameters["factor"]))
        writer.add_rope_scaling_orig_ctx_len(trained_length(config))
    elif kind == "longrope":
        length = trained_length(config)
        longer = config.max_position_embeddings / length
        attention = math.sqrt(1 + math.log(longer) / math.log(length)) if longer > 1 else 1.0
        writer.add_rope_scaling_orig_ctx_len(length)
        writer.add_rope_scaling_attn_factors(float(parameters.get("attention_factor") or attention))
    else:
        raise BadInput(
            f"This model cannot be written as GGUF: llama.cpp has no positions of the kind {kind!r}.",
            fix="Export it as merged, and serve that with transformers or vLLM.",
        )


def trained_length(config: Any) -> int:
    """Tokens of context before positions were stretched."""
    own = rope(config).get("original_max_position_embeddings")
    return int(own or getattr(config, "original_max_position_embeddings", None) or config.max_position_embeddings)


def _differences(family: Family, config: Any, window: int | None) -> Iterator[str]:
    slides = window and window < config.max_position_embeddings and getattr(config, "use_sliding_window", True)
    if rope(config).get("rope_type") == "longrope":
        length = trained_length(config)
        yield f"With more than {length:,} tokens of context llama.cpp turns positions as for long texts."
    if slides and family.arch != gguf.MODEL_ARCH.GEMMA2:
        yield f"Beyond {window:,} tokens llama.cpp attends to all of the text, this model to the last {window:,} only."
