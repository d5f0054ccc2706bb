"""Exports that need the whole model: merged, and from that GGUF, Ollama's and vLLM's folders. Imports torch."""

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from engine.export.commands import context_of, vllm_script
from engine.export.spec import GGUF_KINDS, Spec
from engine.worker.export.card import write_card
from engine.worker.export.gguf_file import GgufFile, write_gguf
from engine.worker.export.gguf_settings import trained_length
from engine.worker.export.gguf_tokenizer import adds_specials
from engine.worker.export.merge import Merged, Step, write_merged
from engine.worker.export.ollama import modelfile, turns_of

MOST_CONTEXT = 8192
"""What the Modelfile asks Ollama to keep room for, at most; its own default is a few thousand tokens."""


def write_whole(spec: Spec, staging: Path, step: Step) -> tuple[Merged, GgufFile | None, list[str]]:
    """Write what the spec says at `staging`: what was merged, the GGUF file, and notes. Raises `FinetuiError`."""
    if spec.kind not in GGUF_KINDS:
        staging.mkdir(parents=True)
        merged = write_merged(spec, staging, _within(step, spec))
        write_card(spec, staging, merged)
        if spec.kind == "vllm":
            write_script(spec, staging)
        return merged, None, []
    folder = staging.with_name(f"{staging.name}.merged")
    folder.mkdir(parents=True)
    try:
        merged = write_merged(_own_type(spec), folder, _within(step, spec))
        written, notes = _gguf(spec, folder, staging, step)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return merged, written, [*written.notes, *notes]


def _own_type(spec: Spec) -> Spec:
    """For GGUF the model is merged in the base's own format first, or in float32 where the file is to have that."""
    return replace(spec, type="f32" if spec.type == "f32" else "")


def _within(step: Step, spec: Spec) -> Step:
    """Merging is most of what an export does; for GGUF the file comes after it."""
    part = 0.7 if spec.kind in GGUF_KINDS else 0.95

    def inner(doing: str, share: float) -> None:
        step(doing, share * part)

    return inner


def _gguf(spec: Spec, folder: Path, staging: Path, step: Step) -> tuple[GgufFile, list[str]]:
    progress = _telling(step, f"writing GGUF ({spec.type})")
    if spec.kind == "gguf":
        return write_gguf(folder, staging, spec.type, spec.name, progress), []
    staging.mkdir()
    name = f"{spec.name}-{spec.type}.gguf"
    written = write_gguf(folder, staging / name, spec.type, spec.name, progress)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    turns = turns_of(tokenizer)
    context = min(trained_length(AutoConfig.from_pretrained(str(folder))), MOST_CONTEXT)
    text = modelfile(name, turns, _stops(folder, tokenizer), context, adds_specials(tokenizer)[0])
    (staging / "Modelfile").write_text(text, encoding="utf-8")
    left = "The chat template says more than Ollama's language can here; Ollama chooses one by the GGUF's own."
    return written, [] if turns is not None else [left]


def _telling(step: Step, doing: str) -> Callable[[float], None]:
    told = 0.0

    def progress(share: float) -> None:
        nonlocal told
        if share - told >= 0.02 or share >= 1:
            told = share
            step(doing, 0.7 + 0.28 * share)

    step(doing, 0.7)
    return progress


def _stops(folder: Path, tokenizer: Any) -> list[str]:
    """Texts of the tokens at which an answer is over."""
    ends = GenerationConfig.from_pretrained(str(folder)).eos_token_id
    numbers = ends if isinstance(ends, list) else [ends]
    return [tokenizer.convert_ids_to_tokens(number) for number in numbers if number is not None]


def write_script(spec: Spec, folder: Path) -> None:
    """`serve.sh` beside the weights. The name is whatever somebody chose: the shell gets it quoted."""
    script = folder / "serve.sh"
    script.write_text(vllm_script(shlex.quote(spec.name), context_of(folder)), encoding="utf-8")
    script.chmod(0o755)
