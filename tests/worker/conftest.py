"""A tiny model that is real in every respect but its size: a folder with weights, tokenizer, template and adapters."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class TinyModel:
    """`base` is a model folder; `adapters` are folders of LoRA adapters that change its answers, `dora` a DoRA one."""

    base: Path
    adapters: dict[str, Path]
    dora: Path


_BUILT: list[TinyModel] = []
"""Tests of other folders import the fixture, which pytest takes for another one; the model is still built once."""


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A random Qwen2 of 0.1 M parameters with a ChatML tokenizer, and three random adapters for it."""
    if not _BUILT:
        _BUILT.append(build(tmp_path_factory.mktemp("tiny")))
    return _BUILT[0]


@pytest.fixture(scope="session")
def chat_model(tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a template that marks what the assistant says."""
    from engine.worker.starter import CHAT_TEMPLATE

    folder = tmp_path_factory.mktemp("chat") / "base"
    shutil.copytree(tiny_model.base, folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return folder


def build(folder: Path) -> TinyModel:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            initializer_range=0.2,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    base = folder / "base"
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    adapters = {name: _adapter(base, folder / name, seed) for seed, name in enumerate(("formal", "terse"), 1)}
    return TinyModel(base, adapters, _adapter(base, folder / "dora", 3, use_dora=True))


def make_tokenizer() -> Any:
    """A byte-level BPE tokenizer of 270 tokens with a ChatML template that does not mark answers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["user assistant system the answer is on its way"] * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHATML
    )


def _adapter(base: Path, folder: Path, seed: int, **options: Any) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM", **options)
    peft = get_peft_model(model, config)
    for name, weight in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    peft.save_pretrained(str(folder))
    return folder
