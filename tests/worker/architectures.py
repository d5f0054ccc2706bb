"""Tiny, randomly initialised models of the usual architectures: real in every respect but their size."""

from pathlib import Path
from typing import Any

from engine.worker import starter
from tests.worker.conftest import make_tokenizer

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.2}
GLU = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LAYERS = {
    "Llama": GLU,
    "Mistral": GLU,
    "Qwen2": GLU,
    "Qwen3": GLU,
    "Gemma2": GLU,
    "Phi3": ("o_proj", "qkv_proj", "gate_up_proj", "down_proj"),
    "GPT2": ("c_attn", "c_proj", "c_fc"),
}
"""The linear layers of each architecture, without the output layer."""


def architecture(name: str, folder: Path, *, template: str | None = starter.CHAT_TEMPLATE) -> Path:
    """A model of that architecture in `folder`, with the tiny tokenizer and a template that marks answers."""
    import torch
    import transformers

    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    sizes: dict[str, Any] = GPT2 if name == "GPT2" else SIZES | ({"head_dim": 8} if name in ("Qwen3", "Gemma2") else {})
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **sizes,
    )
    torch.manual_seed(0)
    heads = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    getattr(transformers, f"{name}{heads}")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
