"""Tiny random models of the families that can be written as GGUF, with the kinds of tokenizers they come with."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.worker.architectures import SIZES
from tests.worker.conftest import CHATML

TEXTS = (
    "the answer is on its way",
    " Two  spaces, 1234567 and 3.14!",
    "I'll don't WE'RE it's\n\n\tnew line\r\n  end ",
    "naïve café über straße — “quotes” 你好 мир 🙂👍🏽",
    "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",
)
WORDS = [
    "user assistant system the answer is on its way, and it's 1234 or 5678 where we're going",
    "naïve café über straße 你好 мир the other day they'll say that there is nothing new\n\n\tunder the sun",
] * 4
SPECIALS = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
FAMILIES = ("llama", "llama3", "mistral", "qwen2", "qwen3", "phi3", "phi3-long", "gemma2")

_HEAD = {"head_dim": 16}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_LONG = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
    "long_factor": [2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4],
}


def family_model(name: str, folder: Path, *, tokenizer: Any = None) -> Path:
    """A model of the family in `folder`, its norms and biases random, too."""
    import torch
    import transformers

    tokenizer = tokenizer or usual_tokenizer(name)
    kind = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "phi3": "Phi3"}.get(
        name.split("-")[0].removesuffix("3") if name == "llama3" else name.split("-")[0], "Gemma2"
    )
    sizes: dict[str, Any] = SIZES | {"hidden_size": 64, "intermediate_size": 96}
    if name == "llama3":
        sizes |= {"rope_parameters": _LLAMA3, "tie_word_embeddings": True, "attention_bias": True}
    if name == "mistral":
        sizes |= {"head_dim": 32, "sliding_window": None}
    if name == "qwen3":
        sizes |= _HEAD
    if name == "phi3-long":
        sizes |= {"rope_parameters": _LONG, "original_max_position_embeddings": 256, "max_position_embeddings": 512}
    if name == "gemma2":
        sizes |= _HEAD | {"query_pre_attn_scalar": 16, "tie_word_embeddings": True, "sliding_window": 32}
        sizes |= {"initializer_range": 0.1}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer) + 3,  # rows that no token has, as in many models
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **sizes,
    )
    torch.manual_seed(len(name))
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    with torch.no_grad():
        for _, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def usual_tokenizer(name: str) -> Any:
    """The kind of tokenizer that the family comes with."""
    if name in ("qwen2", "qwen3", "llama3"):
        return byte_level(name)
    return pieces({"gemma2": "never", "phi3": "phi3"}.get(name, "prepend"))


@cache
def byte_level(name: str) -> Any:
    """Byte-level BPE, cut as Llama 3 or Qwen cut."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from engine.worker.export.gguf_tokenizer import LLAMA3, QWEN2

    made = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    made.normalizer = None if name == "llama3" else normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3 if name == "llama3" else QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(WORDS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="</s>", chat_template=CHATML
    )


@cache
def pieces(space: str) -> Any:
    """BPE that falls back on bytes, as SentencePiece makes it. `space`: `prepend`, `first`, `never`, or `phi3`.

    The last is `prepend` with special tokens that swallow the spaces behind them.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(WORDS, trainers.BpeTrainer(vocab_size=150, show_progress=False))
    bytes_of = [f"<0x{number:02X}>" for number in range(256)]
    grown = sorted(trained.get_vocab(), key=lambda token: trained.get_vocab()[token])
    listed_specials = [*SPECIALS, "<|endoftext|>"]
    listed = [*listed_specials[:3], *bytes_of, *grown, *listed_specials[3:]]
    vocabulary = {token: number for number, token in enumerate(listed)}
    made = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=list(_all_merges(grown)), unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    steps: list[Any] = [normalizers.Prepend("\u2581")] if space in ("prepend", "phi3") else []
    if space == "first":
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        made.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "\u2581")])
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(" ", 1, 0)] if space != "never" else []),
        ]
    )
    swallow = {"</s>", "<|im_start|>", "<|im_end|>"} if space == "phi3" else set()
    made.add_special_tokens(
        [AddedToken(token, special=True, normalized=False, rstrip=token in swallow) for token in listed_specials]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="<|im_end|>",
        unk_token="<unk>",
        pad_token="</s>",
        chat_template=CHATML,
    )


def _all_merges(grown: list[str]) -> Iterator[tuple[str, str]]:
    """Every way to put each piece together from two others, in the order in which the pieces were learnt."""
    known = set(grown)
    for token in grown:
        for cut in range(1, len(token)):
            if token[:cut] in known and token[cut:] in known:
                yield token[:cut], token[cut:]
