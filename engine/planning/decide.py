"""Every `auto` of a recipe as a value, with one plain line that says why."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.planning.architecture import HEAD
from engine.planning.facts import Facts
from engine.planning.layout import Layout, Way, layouts
from engine.planning.memory import estimate_memory
from engine.planning.records import MemoryParts
from engine.recipe import Recipe, without_auto

LIGER_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2", "gemma3_text", "mixtral")
FEW_CUT = 0.05
"""Share of the rows that may be cut so that the longest fit into memory."""
CHUNKED = "TRL's loss goes over the vocabulary in tiles, so logits take no more memory for it"
WAY_FIELDS: dict[Way, dict[str, Any]] = {
    "packing": {"packing": True, "padding_free": False, "train_sampling_strategy": "random"},
    "padding_free": {"packing": False, "padding_free": True, "train_sampling_strategy": "random"},
    "group_by_length": {"packing": False, "padding_free": False, "train_sampling_strategy": "group_by_length"},
    "padding": {"packing": False, "padding_free": False, "train_sampling_strategy": "random"},
}


@dataclass(frozen=True)
class Decision:
    """A recipe without `auto` (but for the evaluation, and for a precision that is yet to be measured)."""

    recipe: Recipe
    reasons: dict[str, str]
    memory: MemoryParts | None
    layout: Layout | None
    """`None` where the model's config is not here."""
    rows_cut: int
    longest: int
    """Tokens of the longest row, before anything is cut off."""


def decide(facts: Facts) -> Decision:
    """Decide what `facts.asked` leaves open, for the least time that fits into memory.

    A model that fits onto none of several GPUs whole is shared out over them.
    """
    decision = _decide(facts)
    if not _could_share(facts) or decision.memory is None or decision.memory.total <= facts.budget_bytes:
        return decision
    shared = _decide(facts.asking({"distributed": "fsdp"}))
    why = (
        f"the model does not fit onto one {facts.device.title}, so each of {facts.asked.device_count} has a part of it"
    )
    return replace(shared, reasons=shared.reasons | {"distributed": why})


def _could_share(facts: Facts) -> bool:
    """Whether the planner may share the model out: the recipe leaves it open, and there are several GPUs."""
    asked = facts.asked
    left_open = asked.distributed == "auto" and asked.method != "lora8bit"
    return left_open and asked.device_count > 1 and facts.device.kind != "cpu"


def _decide(facts: Facts) -> Decision:
    reasons: dict[str, str] = {}
    recipe = facts.asked
    longest = int(facts.lengths.train.max()) if len(facts.lengths.train) else 0
    for settle in (_settle_devices, _settle_precision, _settle_attention, _settle_liger):
        changes, said = settle(facts, recipe)
        recipe = recipe.model_copy(update=changes)
        reasons |= said
    if facts.architecture is None or not longest:
        return _without_model(facts, recipe, reasons, longest)

    settled = facts.asking(recipe.model_dump())
    flash = "flash" in recipe.attn_implementation
    ways = _ways(facts)
    best: tuple[float, Layout, Recipe, MemoryParts] | None = None
    smallest: tuple[int, Layout, Recipe, MemoryParts] | None = None
    max_length, said_length = _max_length(facts, longest)
    for length, why in _lengths_to_try(facts, longest, max_length, said_length):
        for optim in ("adamw_torch", "adamw_8bit") if recipe.optim == "auto" and _has_8bit(facts) else (recipe.optim,):
            for layout, tried, memory, cost in _tried(settled, recipe, length, optim, ways, flash):
                if length == max_length and (smallest is None or memory.total < smallest[0]):
                    smallest = memory.total, layout, tried, memory
                if memory.total <= facts.budget_bytes and (best is None or cost < best[0]):
                    best = cost, layout, tried, memory
            if best is not None:
                break
        if best is not None:
            said_length = why
            break
    found = best or smallest
    if found is None:  # no layout keeps the batch: the one that was asked for stays as it is
        return _without_model(facts, recipe, reasons, longest)
    _, layout, resolved, memory = found
    limit = int(resolved.max_length)
    cut = int((facts.lengths.train > limit).sum())
    reasons |= _reasons(facts, resolved, layout, memory, said_length, cut, fits=best is not None)
    return Decision(resolved, reasons, memory, layout, cut, longest)


def round_up(tokens: int) -> int:
    """A length that devices like: a multiple of 8, of 64 above 256."""
    step = 64 if tokens > 256 else 8
    return max(8, -(-tokens // step) * step)


def _tried(
    facts: Facts, recipe: Recipe, length: int, optim: str, ways: tuple[Way, ...], flash: bool
) -> Iterator[tuple[Layout, Recipe, MemoryParts, float]]:
    """Every layout with and without activation checkpointing: the recipe, its memory, its cost."""
    assert facts.architecture is not None, "it was asked for before"
    optim = "adamw_torch" if optim == "auto" else optim
    asked = recipe.gradient_checkpointing
    for layout in layouts(facts, length, flash=flash, ways=ways):
        for checkpointing in (False, True) if asked == "auto" else (asked,):
            changes = WAY_FIELDS[layout.way] | {
                "max_length": layout.max_length,
                "per_device_train_batch_size": layout.batch,
                "gradient_accumulation_steps": layout.accumulation,
                "gradient_checkpointing": checkpointing,
                "optim": optim,
            }
            tried = recipe.model_copy(update=changes)
            memory = estimate_memory(
                facts.architecture, tried, layout.largest, precision=facts.precision, kind=facts.device.kind
            )
            yield layout, tried, memory, layout.cost + (layout.again if checkpointing else 0.0)


def _ways(facts: Facts) -> tuple[Way, ...]:
    """Ways to make batches that the recipe allows and that are not known to be wrong."""
    asked = facts.asked
    if asked.packing is True:
        return ("packing",)
    if asked.padding_free is True:
        return ("padding_free",)
    grouped = asked.train_sampling_strategy
    ways: list[Way] = []
    apart = facts.isolates and not facts.staged and asked.objective == "sft"
    if grouped != "group_by_length":
        ways += ["packing"] if asked.packing == "auto" and apart else []
        ways += ["padding_free"] if asked.padding_free == "auto" and facts.isolates and asked.objective == "sft" else []
        ways.append("padding")
    if grouped != "random" and not facts.staged:
        ways.append("group_by_length")
    return tuple(ways)


def _max_length(facts: Facts, longest: int) -> tuple[int, str]:
    """The limit without a look at memory, and why."""
    asked = facts.asked.max_length
    context = facts.architecture.context if facts.architecture else None
    if asked != "auto":
        return int(asked), ""
    if context and longest > context:
        return context, f"the model was made for {context:,} tokens"
    rounded = round_up(longest)
    return min(rounded, context) if context else rounded, f"the longest row has {longest:,} tokens"


def _lengths_to_try(facts: Facts, longest: int, limit: int, why: str) -> Iterator[tuple[int, str]]:
    """The limit, and shorter ones that cut a few rows, for where the longest rows do not fit."""
    import numpy as np

    yield limit, why
    if facts.asked.max_length != "auto":
        return
    for share in (0.005, 0.02, FEW_CUT):
        shorter = round_up(int(np.quantile(facts.lengths.train, 1 - share)))
        if shorter < min(limit, longest):
            yield shorter, f"longer rows do not fit into the memory of {facts.device.title}"


def _settle_devices(facts: Facts, recipe: Recipe) -> tuple[dict[str, Any], dict[str, str]]:
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if recipe.devices == "auto":
        changes["devices"], reasons["devices"] = 1, "one device, unless the recipe asks for more"
    if recipe.distributed == "auto":
        alone = recipe.device_count == 1
        changes["distributed"] = "ddp"
        reasons["distributed"] = "there is one device" if alone else "each device has the whole model, which is fastest"
    return changes, reasons


def _settle_precision(facts: Facts, recipe: Recipe) -> tuple[dict[str, Any], dict[str, str]]:
    if recipe.precision != "auto":
        return {}, {}
    probe = facts.device.probe
    if probe is None:
        return {}, {"precision": f"{facts.device.title} is measured before the run; {facts.precision} is expected"}
    return {"precision": probe.best}, {"precision": _measured(probe.seconds, probe.best, facts.device.title)}


def _measured(seconds: dict[str, float], best: str, title: str) -> str:
    others = [
        f"{other} takes {seconds[other] / seconds[best]:.1f} times as long"
        for other in ("fp32", "fp16", "bf16")
        if other != best and seconds.get(other) and seconds.get(best)
    ]
    return f"measured on {title}: {' and '.join(others)}" if others else f"all that {title} can do"


def _settle_attention(facts: Facts, recipe: Recipe) -> tuple[dict[str, Any], dict[str, str]]:
    if recipe.attn_implementation != "auto":
        return {}, {}
    probe, architecture = facts.device.probe, facts.architecture
    if architecture is not None and not architecture.sdpa:
        return {"attn_implementation": "eager"}, {
            "attn_implementation": f"{architecture.name} caps its attention, which no fused kernel of torch does"
        }
    if probe is not None and probe.flash and facts.precision != "fp32":
        return {"attn_implementation": probe.flash}, {
            "attn_implementation": "flash attention runs here: its cost and memory do not grow with padding"
        }
    why = "flash attention needs a GPU" if facts.device.kind == "cpu" else "no flash attention runs here"
    return {"attn_implementation": "sdpa"}, {"attn_implementation": f"torch's own, fused; {why}"}


def _settle_liger(facts: Facts, recipe: Recipe) -> tuple[dict[str, Any], dict[str, str]]:
    if recipe.use_liger_kernel != "auto":
        return {}, {}
    probe, architecture = facts.device.probe, facts.architecture
    on = False
    if facts.device.kind == "cpu":
        why = "its kernels need a GPU"
    elif probe is None or not probe.liger:
        why = "liger-kernel is not installed" if probe else "not measured yet whether it runs here"
    elif recipe.objective == "dpo":
        why = "not with DPO"
    elif architecture is None or architecture.name not in LIGER_FAMILIES:
        why = "it has no kernels for this model"
    elif any(name == HEAD for name, _ in architecture.targets(recipe.target_modules)):
        why = "the output layer has an adapter, which fused kernels pass by"
    else:
        on, why = True, "fused norms and activations for this model: less memory, and faster"
    return {"use_liger_kernel": on}, {"use_liger_kernel": f"{why}; {CHUNKED}"}


def _has_8bit(facts: Facts) -> bool:
    return facts.device.kind == "cuda"


def _without_model(facts: Facts, recipe: Recipe, reasons: dict[str, str], longest: int) -> Decision:
    """Plain and safe choices, where the model's size is not known or there are no rows."""
    limit, _ = _max_length(facts, longest)
    changes = {"max_length": limit} if longest else {}
    before = recipe
    if recipe.max_length == "auto":
        recipe = recipe.model_copy(update=changes)
    recipe = without_auto(recipe)
    why = "the model's config is not here yet, so this is a plain choice" if longest else "there is nothing to measure"
    for name in Recipe.model_fields:
        if getattr(before, name) == "auto" and getattr(recipe, name) != "auto":
            reasons.setdefault(name, why)
    if before.max_length == "auto" and longest:
        reasons["max_length"] = f"the longest row has about {longest:,} tokens"
    cut = int((facts.lengths.train > recipe.max_length).sum()) if longest else 0
    return Decision(recipe, reasons, None, None, cut, longest)


def _reasons(
    facts: Facts, recipe: Recipe, layout: Layout, memory: MemoryParts, length: str, cut: int, *, fits: bool
) -> dict[str, str]:
    """Why, for each field that was left open and is decided together with the others."""
    asked = facts.asked
    rows = len(facts.lengths.train)
    said = {
        "max_length": _length_words(layout, length, cut, rows),
        "packing": _packing_words(facts, layout),
        "padding_free": _padding_free_words(facts, layout),
        "train_sampling_strategy": _order_words(facts, layout),
        "optim": _optim_words(recipe),
        "gradient_checkpointing": _checkpointing_words(facts, recipe, memory, fits),
        "per_device_train_batch_size": _batch_words(facts, layout, fits),
        "gradient_accumulation_steps": _accumulation_words(asked, layout),
    }
    return {name: text for name, text in said.items() if getattr(asked, name) == "auto"}


def _length_words(layout: Layout, length: str, cut: int, rows: int) -> str:
    words = f"{cut:,} of {rows:,} rows ({cut / max(1, rows):.1%}) are cut" if cut else "no row is cut"
    if layout.way == "packing" and not cut:
        return f"{length}; packs of {layout.max_length:,} leave little room; {words}"
    return f"{length}; {words}"


def _packing_words(facts: Facts, layout: Layout) -> str:
    if layout.way == "packing":
        return "several rows to a sequence, kept apart: no padding is computed, and it is the least work a token"
    if facts.staged:
        return "the dataset is staged, and a pack would mix stages"
    if facts.asked.objective == "dpo":
        return "DPO compares two answers in one batch of rows"
    if not facts.isolates:
        return "it is not known that this model keeps packed rows apart"
    if layout.way == "padding_free":
        return "rows end to end cost less here, and keep the effective batch exactly"
    return "other batches take less work a token here"


def _padding_free_words(facts: Facts, layout: Layout) -> str:
    if layout.way == "padding_free":
        return "rows of a batch lie end to end, kept apart: no padding is computed, and the effective batch is exact"
    if layout.way == "packing":
        return "packed sequences have no padding already"
    if not facts.isolates or facts.asked.objective == "dpo":
        return _packing_words(facts, layout)
    return "padding costs less here than attention over a whole batch"


def _order_words(facts: Facts, layout: Layout) -> str:
    if layout.way == "group_by_length":
        return "rows of like length together need little padding"
    if facts.staged:
        return "the stages decide the order; rows are shuffled within them"
    return "nothing is padded, so rows can come in any order" if layout.way != "padding" else "rows are of like length"


def _optim_words(recipe: Recipe) -> str:
    if recipe.optim == "adamw_8bit":
        return "states of 32 bits would not fit; paged ones are not taken, they cannot be resumed exactly"
    return "its states fit into memory, so there is no need to round them"


def _checkpointing_words(facts: Facts, recipe: Recipe, memory: MemoryParts, fits: bool) -> str:
    room = f"{memory.activations / 2**30:.1f} GB of activations"
    if recipe.gradient_checkpointing:
        return f"activations would not fit otherwise, or only in batches so small that they cost more; {room} now"
    return f"{room} fit, so nothing is computed twice" if fits else "it would not be enough"


def _batch_words(facts: Facts, layout: Layout, fits: bool) -> str:
    tokens = layout.largest.tokens
    what = "sequences" if layout.way == "packing" else "rows"
    if not fits:
        return f"the smallest there is: {tokens:,} tokens at once, which still do not fit"
    return f"{layout.batch} {what} at once, {tokens:,} tokens at most: least time a token of what fits"


def _accumulation_words(asked: Recipe, layout: Layout) -> str:
    wanted = asked.effective_batch_size
    rows = layout.rows_a_step * asked.device_count
    if layout.way == "packing":
        return f"about {rows:.0f} rows to a step in packs; {wanted} were asked for"
    return (
        f"{layout.batch} × {layout.accumulation}"
        + (f" × {asked.device_count} devices" if asked.device_count > 1 else "")
        + f" = {rows:.0f} rows to a step, {'as asked' if rows == wanted else f'{wanted} were asked for'}"
    )
