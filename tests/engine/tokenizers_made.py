"""Small tokenizers for tests, prepared as the training side leaves them, but without it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.runs.rundir import write_json
from engine.tokens import Tokenizer

CHATML = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.role == 'assistant' -%}
{%- generation -%}{{- message.content + '<|im_end|>' -}}{%- endgeneration -%}
{%- else -%}{{- message.content + '<|im_end|>' -}}{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

WORDS = ["user assistant system the answer is on its way", "it's 1234 ways    to say   hello\n\n\tworld 日本語 🙂"]


def byte_level(
    texts: Sequence[str] = WORDS, *, pattern: str | None = None, normalizer: str | None = None, size: int = 400
) -> Any:
    """A byte-level BPE tokenizer, as most present models have."""
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Backend

    backend = Backend(models.BPE())
    if pattern is None:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, last])
    if normalizer:
        backend.normalizer = getattr(normalizers, normalizer)()
    backend.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*texts] * 4, trainer)
    return backend


def prepared(folder: Path, backend: Any = None, *, own: str | None = CHATML, training: str | None = None) -> Tokenizer:
    """The tokenizer with its templates, in `folder`, whose name is its key."""
    folder.mkdir(parents=True)
    (backend or byte_level()).save(str(folder / "tokenizer.json"))
    for name, template in (("own", own), ("training", training)):
        if template is not None:
            (folder / f"{name}.jinja").write_text(template, encoding="utf-8")
    tokens = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    special = {"map": tokens, "ids": {"eos_token": 2, "pad_token": 0}, "vocabulary": 400, "max_length": None}
    write_json(folder / "special.json", special | {"training": "", "supports_tools": False, "versions": {}})
    return Tokenizer(folder, "small")
