"""Base models for measuring: shapes of real models with random or briefly trained weights, and the starter's tokenizer.

`python -m benchmarks.base_models FOLDER --shape small [--steps 60]` makes one; a folder that is there is kept.
"""

import argparse
import random
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent / "samples"


def _shape(
    hidden: int, inner: int, layers: int, heads: int, kv_heads: int, vocabulary: int, tied: bool
) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }


SHAPES: dict[str, dict[str, Any]] = {
    # 27 M parameters: what two processor cores can train while one waits
    "small": _shape(512, 1408, 8, 8, 8, 2048, True),
    # Qwen2.5-0.5B, 1.5B and 7B; Llama-3.2-1B and 3B; Llama-3.1-8B
    "qwen-0.5b": _shape(896, 4864, 24, 14, 2, 151_936, True),
    "qwen-1.5b": _shape(1536, 8960, 28, 12, 2, 151_936, True),
    "qwen-7b": _shape(3584, 18_944, 28, 28, 4, 152_064, False),
    "llama-1b": _shape(2048, 8192, 16, 32, 8, 128_256, True),
    "llama-3b": _shape(3072, 8192, 28, 24, 8, 128_256, True),
    "llama-8b": _shape(4096, 14_336, 32, 32, 8, 128_256, False),
}


def make_base(folder: Path, shape: str, steps: int = 0) -> Path:
    """A model folder of that shape; with `steps`, trained so long on the sample text (1,024 tokens a step)."""
    if (folder / "config.json").exists():
        return folder
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    from engine.worker import starter

    tokenizer = starter.train_tokenizer(SAMPLES)
    options = {
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **SHAPES[shape],
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    random.seed(0)
    torch.manual_seed(0)
    kinds = (LlamaConfig, LlamaForCausalLM) if shape.startswith("llama") else (Qwen2Config, Qwen2ForCausalLM)
    with torch.device(device):
        model = kinds[1](kinds[0](**options)).to(torch.float32 if shape == "small" else torch.bfloat16)
    if steps:
        blocks = starter.token_blocks(tokenizer, list(starter.documents(SAMPLES)))
        starter.pretrain(model, blocks, steps, lambda _: None)
    starter.save_model(model, tokenizer, folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    make_base(options.folder, options.shape, options.steps)


if __name__ == "__main__":
    main()
