"""What a trained model is checked for once it is loaded: that it is on, and stands on what it was trained on.

Nothing here changes a weight. What cannot be checked is `None`; what does not match is a warning that says what to do.
"""

import copy
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.func import functional_call

from engine.errors import BadInput
from engine.inference.trust import NO_EFFECT, Trust
from engine.runs.rundir import RunDir, read_json
from engine.tokens.template import ChatTemplate
from engine.worker.adapters import AdapterShelf, read_adapter, same_model
from engine.worker.proof import template_hash

log = logging.getLogger("finetui.serve")

QUESTIONS = ("Hello, who are you?", "How do I reset my password?", "Name three colours.")
PROBE_TOKENS = 64
AGREES = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
"""The largest relative difference between merged and unmerged, by the number format of the layer."""
_LOG_TAIL_BYTES = 1 << 18


def check_adapter(shelf: AdapterShelf, name: str, folder: Path, tokenizer: Any) -> Trust:
    """The checks of the adapter `name`, which was loaded from `folder`, in the model's thread. Never raises."""
    warnings: list[str] = []
    base = _base_matches(shelf, folder, warnings)
    template = _template_matches(shelf.template(name) or tokenizer.chat_template, folder, tokenizer, warnings)
    delta = merged = None
    try:
        delta = logit_change(shelf.model, name, probes(tokenizer, shelf.template(name)))
        merged = merged_agrees(shelf.model, name)
    except Exception as error:  # a check that fails takes nothing from the adapter
        log.warning("the adapter %s could not be tried", name, exc_info=True)
        warnings.append(f"Whether {name} has an effect could not be tried: {type(error).__name__}: {error}")
    if delta is not None and delta < NO_EFFECT:
        warnings.append(
            f"The adapter {name} changes nothing: the model says what its base says. It is off or untrained. "
            "Look whether the run's loss fell; train longer or with a higher learning rate."
        )
    if merged is False:
        warnings.append(
            f"The adapter {name} gives something else once it is merged into its base. Serve it unmerged, and try an "
            "exported model before using it."
        )
    return Trust(base, template, delta, merged, tuple(warnings))


def check_whole(folder: Path, tokenizer: Any) -> Trust | None:
    """The checks of a run's whole model in `folder`, of which there is no base to compare with; `None` for others."""
    if not RunDir(folder.parent).inputs.is_file():
        return None
    warnings: list[str] = []
    return Trust(
        None, _template_matches(tokenizer.chat_template, folder, tokenizer, warnings), None, None, tuple(warnings)
    )


def probes(tokenizer: Any, template: str | None) -> list[list[int]]:
    """Token ids of a few short questions, written as the adapter reads them."""
    found = []
    for question in QUESTIONS:
        text = question
        if template or tokenizer.chat_template:
            messages = [{"role": "user", "content": question}]
            text = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        found.append(tokenizer(text)["input_ids"][-PROBE_TOKENS:])
    return [ids for ids in found if ids]


@torch.no_grad()
def logit_change(model: Any, name: str, prompts: Sequence[list[int]]) -> float | None:
    """How far the adapter moves the logits, by the way in which answers are written.

    The norm: at each token of each prompt the largest absolute difference of a logit with and without the adapter (the
    maximum norm over the vocabulary), averaged over all tokens. In nats, as logits are.
    """
    total, tokens = 0.0, 0
    for ids in prompts:
        batch = torch.tensor([ids], device=model.device)
        if model.peft_config[name].use_dora:
            model.set_adapter(name)
            new = model(input_ids=batch, use_cache=False).logits[0]  # (tokens, vocabulary)
            with model.disable_adapter():
                old = model(input_ids=batch, use_cache=False).logits[0]
        else:
            both = batch.repeat(2, 1)
            new, old = model(input_ids=both, use_cache=False, adapter_names=[name, "__base__"]).logits
        total += float((new.float() - old.float()).abs().amax(-1).sum())
        tokens += len(ids)
    return total / tokens if tokens else None


@torch.no_grad()
def merged_agrees(model: Any, name: str) -> bool | None:
    """Whether a few layers with the adapter added to their weights give what they give with it beside them.

    Relative to the norm of the outputs, on random inputs. `None` for a quantised base and for DoRA, where merging is
    another computation, and where there is no such layer. The weights are copied, not changed.
    """
    from peft.tuners.lora.layer import Linear

    config = model.peft_config[name]
    if config.use_dora or getattr(config, "lora_bias", False):
        return None
    layers = [module for module in model.modules() if type(module) is Linear and name in module.lora_A]
    layers = [layer for layer in layers if layer.get_base_layer().weight.is_floating_point()]
    if not layers:
        return None
    worst = 0.0
    random = torch.Generator().manual_seed(0)
    for layer in (layers[0], layers[len(layers) // 2], layers[-1]):
        base = layer.get_base_layer()
        weight = base.weight
        inputs = torch.randn(4, layer.in_features, generator=random).to(weight.device, weight.dtype)
        beside = layer(inputs, adapter_names=[name] * len(inputs)).float()
        merged = weight + layer.get_delta_weight(name).to(weight.dtype)
        within = functional_call(base, {"weight": merged}, (inputs,)).float()
        difference = float((beside - within).norm() / beside.norm().clamp_min(1e-12))
        worst = max(worst, difference / AGREES.get(weight.dtype, AGREES[torch.float16]))
    return worst <= 1


def _base_matches(shelf: AdapterShelf, folder: Path, warnings: list[str]) -> bool | None:
    config = read_adapter(folder)
    recorded = _inputs(RunDir(folder.parent)).get("model")
    recorded = recorded if isinstance(recorded, dict) else {}
    trained_on = str(recorded.get("path") or config.get("base_model_name_or_path") or "")
    if not trained_on:
        return None
    if not same_model(trained_on, shelf.base_name):
        warnings.append(
            f"The adapter was trained on {trained_on}, and this base model is {shelf.base_name}. Its answers are not "
            "what was trained: load it on its own base model."
        )
        return False
    revision = recorded.get("revision") or config.get("revision")
    loaded = {shelf.revision or "main", getattr(shelf.model.config, "_commit_hash", None)}
    if Path(trained_on).exists() or (revision or "main") in loaded:
        return True
    warnings.append(
        f"The adapter was trained on revision {revision or 'main'} of {trained_on}, and {shelf.revision or 'main'} is "
        "loaded. Load the base model at the revision that it was trained on."
    )
    return False


def _template_matches(template: Any, folder: Path, tokenizer: Any, warnings: list[str]) -> bool | None:
    """Whether `template` is the one recorded at training: by the run's launch or by its end, which say the same."""
    run = RunDir(folder.parent)
    recorded = {_hash_at_launch(run), _hash_at_end(run)} - {None}
    if not recorded or not template:
        return None
    if recorded & {template_hash(template), *_launch_hashes(template, tokenizer)}:
        return True
    warnings.append(
        "The chat template in use is not the one that was trained with. Put the run's chat_template.jinja back beside "
        "the weights, or resume the run: it publishes them again."
    )
    return False


def _hash_at_launch(run: RunDir) -> str | None:
    recorded = _inputs(run).get("template_hash")
    return recorded if isinstance(recorded, str) and recorded else None


def _inputs(run: RunDir) -> dict[str, Any]:
    """What the run's folder says it was made of; empty where the adapter does not lie in one."""
    inputs = read_json(run.inputs)
    return inputs if isinstance(inputs, dict) else {}


def _hash_at_end(run: RunDir) -> str | None:
    """The `template_hash` of the last `end` event, which stands among the last lines of the log."""
    try:
        with run.events.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LOG_TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if b'"template_hash"' in line:
            try:
                return str(json.loads(line)["summary"]["template_hash"] or "") or None
            except (ValueError, KeyError, TypeError):
                continue
    return None


def _launch_hashes(template: Any, tokenizer: Any) -> set[str]:
    """How a launch names `template`: as it is, and as TRL writes it where the loss is on answers only."""
    from trl.chat_template_utils import get_training_chat_template

    template = template["default"] if isinstance(template, dict) else template
    sources, found = {template}, set()
    try:
        other = copy.copy(tokenizer)  # other threads write prompts with this one
        other.chat_template = template
        sources.add(get_training_chat_template(other) or template)
    except Exception:  # it renders the template, and knows few
        log.debug("no training template", exc_info=True)
    for source in sources:
        try:
            found.add(ChatTemplate(source, tokenizer.special_tokens_map).hash)
        except BadInput:
            continue
    return found
