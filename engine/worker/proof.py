"""That what was published does something: the adapter in `adapter/` changes what its base model says.

An adapter that was saved empty, under names that nobody loads, or with a scale of zero looks like any other folder.
"""

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoTokenizer

from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir

PROBES = 4
PROBE_TOKENS = 128
"""Probes, and the longest of them in tokens: this is to cost a moment, whatever was trained."""

NOISE_KL = 1e-8
"""A mean divergence below this, in nats a token, is that of a model that says the same as before."""

_PUBLISHED = "published"
_ROWS = 16
_TENSORS = 8


@dataclass(frozen=True)
class AdapterEffect:
    """How far the published adapter moves the base model's logits on a few probes."""

    probes: int
    tokens: int
    max_logit_change: float
    mean_logit_change: float
    mean_kl: float
    """Divergence of the base's next-token distributions from those with the adapter, in nats a token."""
    is_best_checkpoint: bool
    """Whether the published weights equal those of the checkpoint they are from, to the last bit."""

    @property
    def none(self) -> bool:
        """Whether the model says the same with the adapter as without."""
        return self.max_logit_change == 0 or self.mean_kl < NOISE_KL

    def fields(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class WeightsChange:
    """How far a fully trained model is from its base, over a few of its weights."""

    tensors: int
    relative_change: float
    """Norm of the difference over the norm of the base."""
    is_best_checkpoint: bool

    @property
    def none(self) -> bool:
        """Whether the weights are those of the base."""
        return self.relative_change == 0

    def fields(self) -> dict[str, Any]:
        return asdict(self)


def prove(
    trainer: Any, tokenizer: Any, run: RunDir, checkpoint: Path, inputs: dict[str, Any], writer: EventWriter
) -> dict[str, Any]:
    """What is proved of `adapter/`, made from `checkpoint`: fields of the run's summary.

    Alerts where it has no effect, is not what was trained, or was saved with another chat template. Never raises: a
    proof that fails takes nothing from what was trained.
    """
    try:
        found = _effect(trainer, run, checkpoint, inputs)
    except Exception as error:  # whatever it is, the adapter is there
        writer.write(
            "alert",
            level="warning",
            code="adapter_not_proved",
            message=f"Whether the adapter has an effect could not be tried: {type(error).__name__}: {error}",
            fix="Ask the base and the adapter the same question in the chat.",
        )
        found = None
    saved, trained = template_hash(_saved_template(run.adapter)), template_hash(tokenizer.chat_template)
    if found is not None and (found.none or not found.is_best_checkpoint):
        writer.write(
            "alert",
            level="error",
            code="adapter_no_effect" if found.none else "adapter_differs",
            message="What was trained says the same as its base model."
            if found.none
            else f"The published weights are not those of {checkpoint.name}.",
            fix="Train longer or with a higher learning rate; look whether the loss fell."
            if found.none
            else "Resume the run: it publishes again.",
        )
    if saved != trained:
        writer.write(
            "alert",
            level="error",
            code="template_differs",
            message="The chat template beside the adapter is not the one that it was trained with.",
            fix="Resume the run: it publishes again.",
        )
    summary = {"template_hash": trained, "template_kept": saved == trained}
    return summary | ({} if found is None else {"adapter_effect": found.fields()})


def _effect(
    trainer: Any, run: RunDir, checkpoint: Path, inputs: dict[str, Any]
) -> "AdapterEffect | WeightsChange | None":
    if trainer.is_fsdp_enabled:  # no process has the whole model
        return None
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "peft_config"):
        rows = trainer.eval_dataset if trainer.eval_dataset is not None else trainer.train_dataset
        return adapter_effect(model, run.adapter, checkpoint, probe_tokens(rows))
    base = Path(inputs["model"]["path"])
    return weights_change(run.adapter, base, checkpoint) if base.is_dir() else None


def _saved_template(folder: Path) -> str | None:
    """The chat template that a folder has, as a tokenizer would load it."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError):
        return None
    return str(tokenizer.chat_template) if tokenizer.chat_template else None


def probe_tokens(rows: Any) -> list[list[int]]:
    """Token ids of the beginnings of the first `rows`, as TRL prepared them; of a preference pair the chosen answer."""
    probes = []
    for row in rows.select(range(min(PROBES, len(rows)))):
        ids = row["input_ids"] if "input_ids" in row else row["prompt_ids"] + row["chosen_ids"]
        probes.append(list(ids[:PROBE_TOKENS]))
    return [ids for ids in probes if ids]


@torch.no_grad()
def adapter_effect(model: Any, published: Path, checkpoint: Path, probes: list[list[int]]) -> AdapterEffect:
    """Load `published` onto the base that `model` stands on and compare. `model` answers with that adapter afterwards.

    `checkpoint` is where the weights are from; `model` is PEFT's, without any wrapper of a distributed run.
    """
    model.load_adapter(str(published), _PUBLISHED, torch_device=str(model.device), is_trainable=False)
    model.set_adapter(_PUBLISHED)
    model.eval()
    highest = total = divergence = 0.0
    tokens = 0
    for ids in probes:
        batch = torch.tensor([ids], device=model.device)
        tokens += len(ids)
        after = model(input_ids=batch, use_cache=False).logits[0]  # (tokens, vocabulary)
        with model.disable_adapter():
            before = model(input_ids=batch, use_cache=False).logits[0]
        for start in range(0, len(ids), _ROWS):  # some rows at a time: a large vocabulary in float64 is large
            new, old = after[start : start + _ROWS].double(), before[start : start + _ROWS].double()
            change = (new - old).abs()
            highest = max(highest, float(change.max()))
            total += float(change.mean(-1).sum())
            divergence += _divergence(new, old)
    return AdapterEffect(
        probes=len(probes),
        tokens=tokens,
        max_logit_change=highest,
        mean_logit_change=total / max(1, tokens),
        mean_kl=divergence / max(1, tokens),
        is_best_checkpoint=same_weights(published, checkpoint),
    )


def weights_change(published: Path, base: Path, checkpoint: Path) -> WeightsChange | None:
    """How far the whole model in `published` is from that in the folder `base`; `None` where they cannot be compared.

    Some of the weights are looked at: all of them would take as long as loading the model twice.
    """
    before, after = _tensors(base), _tensors(published)
    shared = sorted((name for name in before if name in after), key=lambda name: name.encode())
    chosen = shared[:: max(1, len(shared) // _TENSORS)][:_TENSORS]
    if not chosen:
        return None
    moved = size = 0.0
    for name in chosen:
        old, new = _read(before[name], name).double(), _read(after[name], name).double()
        if old.shape != new.shape:
            return None
        moved += float((new - old).square().sum())
        size += float(old.square().sum())
    return WeightsChange(
        len(chosen), (moved / size) ** 0.5 if size else moved**0.5, same_weights(published, checkpoint, chosen)
    )


def same_weights(one: Path, other: Path, names: Collection[str] | None = None) -> bool:
    """Whether two folders hold the same tensors under the same names; `names` limits whose values are compared."""
    first, second = _tensors(one), _tensors(other)
    return first.keys() == second.keys() and all(
        torch.equal(_read(first[name], name), _read(second[name], name)) for name in names or first
    )


def template_hash(template: Any) -> str | None:
    """A short name for a chat template, or `None` where there is none."""
    return hashlib.sha256(str(template).encode()).hexdigest()[:16] if template else None


def _divergence(new: torch.Tensor, old: torch.Tensor) -> float:
    """Of `old`'s next-token distributions from `new`'s, summed over the tokens. Logits: (tokens, vocabulary)."""
    after, before = new.log_softmax(-1), old.log_softmax(-1)
    return float((after.exp() * (after - before)).sum(-1).clamp(min=0).sum())


def _tensors(folder: Path) -> dict[str, Path]:
    """Name of each tensor to its file."""
    found: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            found |= dict.fromkeys(weights.keys(), file)
    return found


def _read(file: Path, name: str) -> torch.Tensor:
    with safe_open(file, framework="pt") as weights:
        tensor: torch.Tensor = weights.get_tensor(name)
    return tensor
