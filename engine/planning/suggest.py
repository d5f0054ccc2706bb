"""What would make a run smaller: changes to the recipe, with what each comes to."""

from collections.abc import Callable, Iterator
from typing import Any

from engine.planning.decide import Decision, decide, round_up
from engine.planning.facts import Facts
from engine.planning.records import Suggestion

MOST = 5
LOWER_RANK = 8


def suggestions(facts: Facts, decision: Decision, calibrated: float, free_bytes: int) -> tuple[Suggestion, ...]:
    """At most five changes that make the run smaller, those that make it fit first; none where its size is unknown."""
    if decision.memory is None:
        return ()
    now = decision.memory.total * calibrated
    found: list[Suggestion] = []
    for label, changes in _changes(facts, decision):
        made = decide(facts.asking(changes))
        if made.memory is None:
            continue
        total = int(made.memory.total * calibrated)
        if total >= now * 0.98:  # no gain to speak of
            continue
        words = f"{label}: {_size(total)} instead of {_size(now)}"
        found.append(Suggestion(words, changes, total, total <= free_bytes))
    fitting = [one for one in found if one.fits]
    return (*fitting, *(one for one in found if not one.fits))[:MOST]


def _changes(facts: Facts, decision: Decision) -> Iterator[tuple[str, dict[str, Any]]]:
    """Changes in the order of how little they change what is learnt."""
    asked, recipe = facts.asked, decision.recipe
    if asked.per_device_train_batch_size != "auto" and int(asked.per_device_train_batch_size) > 1:
        yield from _smaller_batch(facts, decision)
    if asked.gradient_checkpointing is False:
        yield "gradient_checkpointing = true", {"gradient_checkpointing": True}
    if asked.optim in ("adamw_torch", "paged_adamw_32bit") and facts.device.kind == "cuda":
        yield "optim = adamw_8bit", {"optim": "adamw_8bit"}
    if recipe.method in ("lora", "dora", "lora8bit") and not facts.model.quantised:
        yield "method = qlora", {"method": "qlora"}
    if recipe.method == "full":
        yield "method = qlora", {"method": "qlora"}
        yield "method = lora", {"method": "lora"}
    yield from _shorter(facts, decision)
    if recipe.method != "full" and recipe.lora_r > LOWER_RANK:
        yield f"lora_r = {LOWER_RANK}", {"lora_r": LOWER_RANK, "lora_alpha": 2 * LOWER_RANK}


def _smaller_batch(facts: Facts, decision: Decision) -> Iterator[tuple[str, dict[str, Any]]]:
    """Half of the batch again and again, with twice the accumulation: the first that fits, else one row."""
    batch, times = int(decision.recipe.per_device_train_batch_size), int(decision.recipe.gradient_accumulation_steps)
    while batch > 1:
        half = batch // 2
        times, batch = round(times * batch / half), half
        changes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": times}
        made = decide(facts.asking(changes))
        if batch == 1 or (made.memory is not None and made.memory.total <= facts.budget_bytes):
            yield f"batch {batch} × {times} accumulated", changes
            return


def _shorter(facts: Facts, decision: Decision) -> Iterator[tuple[str, dict[str, Any]]]:
    """A shorter limit, with what it cuts: the longest that fits of those tried, else the shortest."""
    import numpy as np

    lengths = facts.lengths.train
    if not len(lengths):
        return
    limit = int(decision.recipe.max_length)
    tried = [round_up(int(np.quantile(lengths, share))) for share in (0.99, 0.95, 0.9, 0.75)]
    shorter = sorted({one for one in tried if one < min(limit, int(lengths.max()))}, reverse=True)
    fits: Callable[[int], bool] = lambda length: _fits(facts, length)  # noqa: E731
    chosen = next((one for one in shorter if fits(one)), shorter[-1] if shorter else None)
    if chosen is not None:
        cut = float((lengths > chosen).mean())
        yield f"max_length = {chosen} (cuts {cut:.0%} of the rows)", {"max_length": chosen}


def _fits(facts: Facts, max_length: int) -> bool:
    made = decide(facts.asking({"max_length": max_length}))
    return made.memory is not None and made.memory.total <= facts.budget_bytes


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"
