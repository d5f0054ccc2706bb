"""What an export is told and what it tells: shared by the control side and the process that does it.

Standard library only.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["adapter", "merged", "gguf", "ollama", "vllm", "hub"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ABOUT: dict[Kind, str] = {
    "adapter": "the adapter's folder, for PEFT; it needs its base model",
    "merged": "a whole model: the adapter merged into its base",
    "gguf": "one file for llama.cpp, with tokenizer and chat template",
    "ollama": "a GGUF file and a Modelfile for Ollama",
    "vllm": "a merged model and the command that serves it with vLLM",
    "hub": "the adapter with its card, for the Hugging Face hub",
}
GGUF_KINDS = ("gguf", "ollama")
MERGED_KINDS = ("merged", "vllm", *GGUF_KINDS)
"""Exports for which the adapter is merged into its base."""
GGUF_TYPES = ("f32", "f16", "bf16", "q8_0")
MERGED_TYPES = ("f32", "f16", "bf16")
GGUF_FAMILIES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "phi3": "Phi-3",
    "gemma2": "Gemma-2",
}
"""`model_type` of the architectures that can be written as GGUF, and what people call them."""

SPEC = "spec.json"
PROGRESS = "progress.json"
END = "end.json"
LOCK = "lock"
LOG = "log.txt"
"""Files of an export's folder."""

BaseWeights = Literal["trained", "original"]


@dataclass(frozen=True)
class Source:
    """The model that is exported: a base, and the adapter on it. `adapter` is `None` for a whole model."""

    label: str
    base: str
    """A model folder, or a name on the hub."""
    base_name: str
    """What the base is called: in cards and commands."""
    revision: str | None
    method: str
    adapter: str | None
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Spec:
    """One export. `dest` appears by renaming `staging` beside it, once all is written."""

    id: str
    kind: Kind
    source: Source
    name: str
    """What the model is called in the files: letters, digits, - and ."""
    dest: str
    staging: str
    type: str = ""
    """Number format of what is written; empty for the base's own (merged) or the usual (GGUF: f16, Ollama: q8_0)."""
    base_weights: BaseWeights = "trained"
    """For a quantised base: its weights as the adapter was trained on them, dequantised, or as they were before."""
    repo: str = ""
    """`owner/name` on the hub, where it is or would be pushed to."""
    push: bool = False
    private: bool = True
    overwrite: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"v": 1} | asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Spec":
        """Raises `KeyError` and `TypeError` for what is none."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        return cls(**known | {"source": Source(**value["source"])})


@dataclass(frozen=True)
class Difference:
    """How far two models' logits are apart on a few prompts, in float32."""

    relative: float
    """The largest difference over the largest logit."""
    largest: float
    same_next: float
    """At which share of the tokens both think the same next token likeliest."""
    prompts: int
    tokens: int


@dataclass(frozen=True)
class Uploaded:
    """What is on the hub, or would be."""

    repo: str
    files: tuple[tuple[str, int], ...]
    """Names and bytes."""
    private: bool
    pushed: bool
    url: str = ""
    signed_in: bool = False
    """Whether a token for the hub was found on this machine."""


@dataclass(frozen=True)
class Result:
    """What an export came to."""

    kind: Kind
    path: str
    bytes: int
    files: tuple[tuple[str, int], ...]
    dtype: str = ""
    base_weights: str = ""
    """In words: what the adapter was merged into."""
    merged: Difference | None = None
    """The merged model's logits against those with the adapter beside the same base, before rounding."""
    saved: Difference | None = None
    """The files, loaded again, against the same."""
    trained: Difference | None = None
    """The merged model against the adapter on the quantised base, as it was trained and as it answers in the chat."""
    gguf: dict[str, Any] = field(default_factory=dict)
    """Of a GGUF file: type, architecture, tensors, tokenizer."""
    uploaded: Uploaded | None = None
    commands: tuple[str, ...] = ()
    """What to run next."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Result":
        """Raises `KeyError` and `TypeError` for what is none."""
        taken = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        for name in ("merged", "saved", "trained"):
            taken[name] = Difference(**taken[name]) if taken.get(name) else None
        if taken.get("uploaded"):
            up = taken["uploaded"]
            taken["uploaded"] = Uploaded(**up | {"files": _pairs(up["files"])})
        taken["files"] = _pairs(taken["files"])
        for name in ("commands", "notes"):
            taken[name] = tuple(taken.get(name) or ())
        return cls(**taken)


def _pairs(value: Any) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(size)) for name, size in value)


def listing(folder: Path) -> tuple[tuple[str, int], ...]:
    """The files under `folder` (or the file itself), by name, with their bytes."""
    if folder.is_file():
        return ((folder.name, folder.stat().st_size),)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple((str(path.relative_to(folder)), path.stat().st_size) for path in files)
