"""Writes a model folder as one GGUF file, a tensor at a time: memory for the largest tensor is enough."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer

from engine.errors import BadInput
from engine.worker.export.gguf_families import Family, arranged, extra_tensors, family_of
from engine.worker.export.gguf_settings import write_settings
from engine.worker.export.gguf_tokenizer import write_tokenizer

TYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "bf16": gguf.GGMLQuantizationType.BF16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
}
_BLOCK = 32
"""Numbers that share a scale in Q8_0."""
_LARGEST_F16 = 65504.0
_PHI3_TOKENS = frozenset(("</s>", "<unk>", "<s>", "<|endoftext|>"))


@dataclass(frozen=True)
class GgufFile:
    """What was written."""

    type: str
    architecture: str
    tensors: int
    bytes: int
    tokenizer: str
    pre_tokenizer: str
    notes: tuple[str, ...]
    """Where llama.cpp will not do quite what transformers does."""

    def fields(self) -> dict[str, Any]:
        return asdict(self) | {"notes": list(self.notes)}


@dataclass(frozen=True)
class _Planned:
    """A tensor of the file: its name there, its shape, its type, and how to get it as float32."""

    name: str
    shape: tuple[int, ...]
    type: gguf.GGMLQuantizationType
    read: Callable[[], torch.Tensor]

    @property
    def bytes(self) -> int:
        numbers = int(np.prod(self.shape))
        block, size = gguf.GGML_QUANT_SIZES[self.type]
        return numbers // block * size


def write_gguf(
    folder: Path, file: Path, kind: str, name: str, progress: Callable[[float], None] = lambda _share: None
) -> GgufFile:
    """Write the model in `folder` as `file`, its matrices in `kind`: f32, f16, bf16 or q8_0. Norms stay f32.

    `progress` hears shares from 0 to 1. Raises `BadInput` for a model or tokenizer that llama.cpp has no like of.
    """
    config: Any = AutoConfig.from_pretrained(str(folder))
    family = family_of(config)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    planned = _plan(folder, family, config, kind)
    writer = gguf.GGUFWriter(None, gguf.MODEL_ARCH_NAMES[family.arch])
    try:
        notes = write_settings(writer, family, config, general_name(name, tokenizer), kind)
        written = write_tokenizer(writer, tokenizer, config.vocab_size)
        for one in planned:
            writer.add_tensor_info(one.name, one.shape, np.dtype(np.float32), one.bytes, raw_dtype=one.type)
        writer.write_header_to_file(file)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        total, done = max(1, sum(one.bytes for one in planned)), 0
        for one in planned:
            writer.write_tensor_data(_encoded(one))
            done += one.bytes
            progress(done / total)
    finally:
        writer.close()
    return GgufFile(
        kind,
        gguf.MODEL_ARCH_NAMES[family.arch],
        len(planned),
        file.stat().st_size,
        written.model,
        written.pre,
        (*notes, *written.notes),
    )


def general_name(name: str, tokenizer: Any) -> str:
    """The model's name in the file.

    llama.cpp reads there, and nowhere else, that special tokens swallow the spaces behind them: in models that are
    called phi-3, which must then have the four tokens that it looks for.
    """
    swallow = {token.content for token in tokenizer.added_tokens_decoder.values() if token.rstrip}
    is_phi3 = bool(swallow - _PHI3_TOKENS) and tokenizer.get_vocab().keys() >= _PHI3_TOKENS
    if not is_phi3:
        return re.sub(r"(?i)phi-?3", "phi 3", name)
    return name if re.search(r"(?i)phi-?3", name) else f"{name} (phi-3)"


def _plan(folder: Path, family: Family, config: Any, kind: str) -> list[_Planned]:
    names = gguf.get_tensor_name_map(family.arch, config.num_hidden_layers)
    planned = []
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no dict
                if name == "lm_head.weight" and family.ties_output:
                    continue
                theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
                if theirs is None:
                    raise BadInput(
                        f"The weight {name} cannot be written as GGUF.",
                        why=f"llama.cpp's {gguf.MODEL_ARCH_NAMES[family.arch]} has none like it.",
                        fix="Export the model as merged.",
                    )
                shape = tuple(weights.get_slice(name).get_shape())
                planned.append(_Planned(theirs, shape, _type(theirs, shape, kind), _reader(path, name, family, config)))
    for theirs, tensor in extra_tensors(config).items():
        planned.append(_Planned(theirs, tuple(tensor.shape), TYPES["f32"], partial(torch.clone, tensor)))
    return planned


def _type(name: str, shape: tuple[int, ...], kind: str) -> gguf.GGMLQuantizationType:
    if len(shape) < 2 or name.endswith("_norm.weight"):
        return TYPES["f32"]
    if kind == "q8_0" and shape[-1] % _BLOCK:
        return TYPES["f16"]
    return TYPES[kind]


def _reader(path: Path, name: str, family: Family, config: Any) -> Callable[[], torch.Tensor]:
    def read() -> torch.Tensor:
        with safe_open(path, framework="pt") as weights:
            return arranged(family, config, name, weights.get_tensor(name))

    return read


def _encoded(one: _Planned) -> Any:
    """The tensor's numbers as they stand in the file."""
    values = one.read().contiguous().numpy()
    if one.type == TYPES["f16"] and np.abs(values).max(initial=0) > _LARGEST_F16:
        raise BadInput(
            f"{one.name} has numbers that float16 cannot hold.",
            fix="Write the file as bf16, which can: --type bf16.",
        )
    if one.type == TYPES["f16"]:
        return values.astype(np.float16)
    return values if one.type == TYPES["f32"] else gguf.quantize(values, one.type)
