"""What each kind of export writes, from the adapter to its place on the disk."""

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from engine.export.commands import commands_for, vllm_script
from engine.export.spec import GGUF_KINDS, MERGED_KINDS, Result, Spec, Uploaded, listing
from engine.worker.export.card import write_card
from engine.worker.export.gguf_file import GgufFile, write_gguf
from engine.worker.export.gguf_settings import trained_length
from engine.worker.export.gguf_tokenizer import adds_specials
from engine.worker.export.merge import Merged, Step, write_merged
from engine.worker.export.ollama import modelfile, turns_of
from engine.worker.export.push import upload

_LEFT_OUT = ("optimizer.pt", "training_args.bin", "rng_state.pth", "scheduler.pt", "trainer_state.json")
"""Files that only training needs; some of them are pickled."""
MOST_CONTEXT = 8192
"""What the Modelfile asks Ollama to keep room for, at most; its own default is a few thousand tokens."""


def export(spec: Spec, step: Step) -> Result:
    """Do what the spec says and put it in its place. Raises `FinetuiError` and `OSError`; nothing is left then."""
    staging = Path(spec.staging)
    merged: Merged | None = None
    written: GgufFile | None = None
    notes: list[str] = []
    if spec.kind in MERGED_KINDS:
        folder = staging if spec.kind not in GGUF_KINDS else staging.with_name(f"{staging.name}.merged")
        folder.mkdir(parents=True)
        try:
            merged = write_merged(spec if spec.kind not in GGUF_KINDS else _own_type(spec), folder, _within(step, spec))
            if spec.kind in GGUF_KINDS:
                written, more = _gguf(spec, folder, staging, step)
                notes += [*written.notes, *more]
            else:
                write_card(spec, folder, merged)
                if spec.kind == "vllm":
                    _script(spec, folder)
        finally:
            if spec.kind in GGUF_KINDS:
                shutil.rmtree(folder, ignore_errors=True)
    else:
        step("copying", 0.2)
        source = Path(spec.source.adapter or spec.source.base)
        shutil.copytree(source, staging, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        write_card(spec, staging, None)
    _flush(staging)
    step("putting it in its place", 0.98)
    place = put(staging, Path(spec.dest), overwrite=spec.overwrite)
    uploaded: Uploaded | None = None
    if spec.repo:
        step(f"pushing to {spec.repo}" if spec.push else "looking what would be pushed", 0.99)
        uploaded = upload(spec, place)
    files = listing(place)
    return Result(
        spec.kind,
        str(place),
        sum(size for _, size in files),
        files,
        dtype=spec.type if spec.kind in GGUF_KINDS else merged.dtype if merged else "",
        base_weights=merged.base_weights if merged else "",
        merged=merged.merged if merged else None,
        saved=merged.saved if merged else None,
        trained=merged.trained if merged else None,
        gguf=written.fields() if written else {},
        uploaded=uploaded,
        commands=tuple(commands_for(spec, place, _context(place))),
        notes=tuple(notes),
    )


def put(staging: Path, place: Path, *, overwrite: bool) -> Path:
    """Rename `staging` to `place`, over what is there where that is wanted. Raises `OSError` where it is not."""
    if place.exists() and not overwrite:
        raise FileExistsError(17, "it has appeared meanwhile", str(place))
    if place.exists():
        old = staging.with_name(f"{staging.name}.old")
        place.rename(old)
        staging.rename(place)
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    else:
        staging.rename(place)
    return place


def _own_type(spec: Spec) -> Spec:
    """For GGUF the model is merged in the base's own format first, or in float32 where the file is to have that."""
    from dataclasses import replace

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


def _context(folder: Path) -> int | None:
    """Tokens of context of a model folder; `None` for what is none."""
    if not (folder / "config.json").is_file():
        return None
    config: Any = AutoConfig.from_pretrained(str(folder))
    return getattr(config, "max_position_embeddings", None)


def _script(spec: Spec, folder: Path) -> None:
    script = folder / "serve.sh"
    script.write_text(vllm_script(shlex.quote(spec.name), _context(folder)), encoding="utf-8")
    script.chmod(0o755)


def _flush(path: Path) -> None:
    """Have the system write it to the disk: what is renamed into place is to be whole after a power cut."""
    for file in [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
