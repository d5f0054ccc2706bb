"""How likely a model finds texts that it is given: the log-probability of each token after those before it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from engine.worker.fitting import Fitting

LOGITS_BYTES = 512 << 20
"""The most that a batch's logits may take, in fp32: on a processor too much is not an error but the end."""


@dataclass(frozen=True)
class Passage:
    """Token ids, and the places of those that are scored; never 0, for nothing stands before the first token."""

    ids: Sequence[int]
    scored: Sequence[int]

    @property
    def logits(self) -> int:
        """How many of the last logits it takes: from the token before the first that is scored."""
        return len(self.ids) - self.scored[0] + 1 if self.scored else 0


@dataclass(frozen=True)
class Score:
    """Of the scored tokens: the sum of -log p in nats, how many they are, and how many the model itself would say."""

    nll: float
    tokens: int
    correct: int


@dataclass(frozen=True)
class Scored:
    """A passage to be scored by `adapter` on the model, or by the base; `done` gets its score, or `None` where it alone
    does not fit into memory."""

    adapter: str | None
    passage: Passage
    done: Callable[[Score | None], None]


def score_all(model: Any, wanted: Sequence[Scored], fitting: Fitting) -> None:
    """Score every passage, those of like length together.

    The base and LoRA adapters are mixed within a batch; a DoRA adapter, which PEFT cannot mix, has batches of its own.
    """
    configs = getattr(model, "peft_config", {})
    vocabulary = int(model.get_output_embeddings().weight.shape[0])

    def fits(batch: Sequence[Scored]) -> int:
        most = max(one.passage.logits for one in batch)
        return LOGITS_BYTES // (4 * vocabulary * max(1, most))

    for alone, group in _groups(configs, wanted):
        names = bool(configs) and alone is None
        if alone is not None:
            model.set_adapter(alone)

        def work(batch: Sequence[Scored], names: bool = names) -> None:
            adapters = [one.adapter or "__base__" for one in batch] if names else None
            found = score(model, [one.passage for one in batch], adapters)
            for one, its in zip(batch, found, strict=True):
                one.done(its)

        fitting.run(group, work, lambda one: one.done(None), fits=fits)


@torch.no_grad()
def score(model: Any, passages: Sequence[Passage], adapter_names: Sequence[str] | None = None) -> list[Score]:
    """The score of each passage, all in one batch. `adapter_names` are PEFT's, one a passage."""
    width = max(len(passage.ids) for passage in passages)
    keep = max(passage.logits for passage in passages)
    if not keep:
        return [Score(0.0, 0, 0) for _ in passages]
    # ids, mask: (passages, width), padded on the left: what is scored stands mostly at the end, and no more logits than
    # those are computed
    padding = [width - len(passage.ids) for passage in passages]
    ids = torch.tensor([[0] * pad + list(one.ids) for pad, one in zip(padding, passages, strict=True)])
    mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in padding])
    known = _forward_fields(model)
    fields: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if "position_ids" in known:
        fields["position_ids"] = (mask.cumsum(-1) - 1).clamp_min(0)
    fields = {name: value.to(model.device) for name, value in fields.items()} | {"use_cache": False}
    if "logits_to_keep" in known:
        fields["logits_to_keep"] = keep
    if adapter_names is not None:
        fields["adapter_names"] = list(adapter_names)
    logits = model(**fields).logits[:, -keep:]  # (passages, keep, vocabulary)
    return [_score(rows, passage) for rows, passage in zip(logits, passages, strict=True)]


def _score(logits: torch.Tensor, passage: Passage) -> Score:
    """`logits` (keep, vocabulary): the last of them is that after the last token."""
    if not passage.scored:
        return Score(0.0, 0, 0)
    first = len(logits) - len(passage.ids) - 1
    places = torch.tensor([first + place for place in passage.scored], device=logits.device)
    wanted = torch.tensor([passage.ids[place] for place in passage.scored], device=logits.device)
    predicted = logits[places].float()  # (scored, vocabulary)
    nll = functional.cross_entropy(predicted, wanted, reduction="none").double().sum()
    return Score(float(nll), len(wanted), int((predicted.argmax(-1) == wanted).sum()))


def _groups(configs: dict[str, Any], wanted: Sequence[Scored]) -> list[tuple[str | None, list[Scored]]]:
    """Passages that may share a batch, the longest first; the name is that of an adapter that cannot be mixed."""
    groups: dict[str | None, list[Scored]] = {}
    for one in sorted(wanted, key=lambda one: -len(one.passage.ids)):
        alone = one.adapter if one.adapter is not None and configs[one.adapter].use_dora else None
        groups.setdefault(alone, []).append(one)
    return list(groups.items())


def _forward_fields(model: Any) -> frozenset[str]:
    """What the model's own `forward` takes, beneath PEFT's."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return frozenset(inspect.signature(base.forward).parameters)
