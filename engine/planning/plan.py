"""The whole of a run before it starts: what the recipe leaves open is decided, and what it takes is worked out."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import kind_of
from engine.home import Home
from engine.models import ModelInfo, hub_cache, hub_is_off, list_models, resolve_model
from engine.planning.architecture import Architecture, read_architecture
from engine.planning.calibration import calibration
from engine.planning.combinations import doubtful_combinations, wrong_combinations
from engine.planning.decide import Decision, decide
from engine.planning.devices import list_devices
from engine.planning.facts import Facts
from engine.planning.lengths import measure_lengths
from engine.planning.records import DeviceFacts, Estimate, RunPlan
from engine.planning.speed import find_speed, run_time_s
from engine.planning.suggest import suggestions
from engine.prices import priced, read_prices
from engine.recipe import Recipe
from engine.runs.rundir import read_json
from store import Store
from store.records import Dataset, Run

RUNS_LOOKED_AT = 60
"""The newest runs, from which speed and memory are learnt."""
MARGIN = 0.95
"""Share of the free memory that is planned with."""
STARTER: dict[str, Any] = {
    "model_type": "qwen2",
    "vocab_size": 2048,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
"""The starter model's config, for before it is built."""


def plan_run(
    home: Home,
    store: Store,
    recipe: Recipe,
    *,
    dataset: Dataset | None = None,
    devices: Sequence[DeviceFacts] | None = None,
    count: bool = True,
    progress: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RunPlan:
    """The recipe with every decision made, and what the run takes.

    `dataset` is what `recipe.dataset` names where that is known already; `devices` are those of this machine unless
    given. `count` may spend seconds: the model's tokenizer is prepared and the rows' tokens are counted, and `progress`
    is told so in words; without it what was counted before is used, else an estimate from the text. Whatever keeps a
    launch from working is in the plan's `problems`; raises `BadInput` only for an unknown model or dataset, and
    `Cancelled`.
    """
    library = DatasetLibrary(home, store)
    try:
        dataset = dataset or library.resolve(recipe.dataset)
        model = resolve_model(recipe.model, home)
        found = tuple(devices) if devices is not None else list_devices(home)
        device = _chosen(found, recipe)
        recipe = priced(recipe, read_prices(home), device.title, device.kind)
        runs = store.runs.list(limit=RUNS_LOOKED_AT)
        calibrated = calibration(runs, device)
        architecture = find_architecture(home, model, recipe.revision)
        facts = Facts(
            asked=recipe,
            model=model,
            architecture=architecture,
            device=device,
            device_count=sum(one.kind == "cuda" for one in found),
            lengths=measure_lengths(
                home, library, dataset, model, recipe, count=count, progress=progress, cancelled=cancelled
            ),
            shape=kind_of(dataset.shape),
            staged=_is_staged(dataset),
            budget_bytes=int(device.free_bytes * MARGIN / calibrated),
        )
    finally:
        library.close()
    decision = decide(facts)
    problems = wrong_combinations(facts)
    if model.problem and (model.kind != "hub" or hub_is_off()):
        problems["model"] = f"it {model.problem}"
    estimate = _estimate(facts, decision, runs, calibrated, home)
    return _plan(facts, decision, estimate, problems)


def find_architecture(home: Home, model: ModelInfo, revision: str | None = None) -> Architecture | None:
    """The architecture of a model by its config.json; `None` where that is not on this machine."""
    if model.kind == "starter" and not model.ready:
        return read_architecture(STARTER)
    folder = _hub_folder(model.path, revision) if model.kind == "hub" else Path(model.path)
    if folder is None:
        return None
    file = folder / "config.json"
    try:
        changed = file.stat().st_mtime_ns
    except OSError:
        return None
    return _architecture(file, changed, model.parameters)


@lru_cache(maxsize=16)
def _architecture(file: Path, _changed_ns: int, parameters: int | None) -> Architecture | None:
    config = read_json(file)
    return read_architecture(config, parameters) if isinstance(config, dict) else None


def _hub_folder(name: str, revision: str | None) -> Path | None:
    """The snapshot of a hub model in the cache, whole or only its config."""
    repository = hub_cache() / f"models--{name.replace('/', '--')}"
    with suppress(OSError, ValueError):
        commit = (repository / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
        if (repository / "snapshots" / commit).is_dir():
            return repository / "snapshots" / commit
    snapshots = [path for path in (repository / "snapshots").glob(revision or "*") if path.is_dir()]
    return max(snapshots, key=lambda path: path.stat().st_mtime, default=None)


def _chosen(devices: Sequence[DeviceFacts], recipe: Recipe) -> DeviceFacts:
    """The device that is planned for: of those the recipe names or may take, the one with the most free memory.

    Of several that are used together, the one with the least.
    """
    named = recipe.devices
    if isinstance(named, tuple):
        mine = [one for one in devices if one.name in {f"gpu{index}" for index in named}]
        return min(mine or devices, key=lambda one: one.free_bytes)
    by_room = sorted(devices, key=lambda one: one.free_bytes, reverse=True)
    together = named if isinstance(named, int) else 1
    return by_room[min(together, len(by_room)) - 1]


def _is_staged(dataset: Dataset) -> bool:
    card = read_json(Path(dataset.dir) / "card.json")
    operation = card.get("operation") if isinstance(card, dict) else None
    return isinstance(operation, dict) and operation.get("kind") == "stage"


def _estimate(facts: Facts, decision: Decision, runs: Sequence[Run], calibrated: float, home: Home) -> Estimate:
    device = facts.device
    memory = decision.memory
    fits = None if memory is None else memory.total * calibrated <= device.free_bytes
    unknown = ""
    if memory is None:
        unknown = (
            "there is nothing to train on"
            if not decision.longest
            else f"the config of {facts.model.name} is not on this machine yet"
        )
    sizes = {}
    if any(run.model != facts.model.name for run in runs):
        sizes = _known_sizes(home, {run.model for run in runs})
    speed = find_speed(
        runs, decision.recipe, facts.model.name, facts.architecture, facts.model.parameters, device, sizes
    )
    steps = total_steps(facts, decision)
    seconds = spread = cost = None
    if speed is not None and steps:
        seconds, spread = run_time_s(speed, _tokens_a_step(facts, decision), steps, device.kind)
        if decision.recipe.cost_per_hour:
            cost = seconds / 3600 * decision.recipe.cost_per_hour * decision.recipe.device_count
    return Estimate(
        memory=memory,
        unknown=unknown,
        device=device,
        free_bytes=device.free_bytes,
        fits=fits,
        calibrated=calibrated,
        time_s=seconds,
        time_spread_s=spread,
        cost=cost,
        tokens_per_s=speed.tokens_per_s if speed else None,
        speed_source=speed.source if speed else "",
        suggestions=suggestions(facts, decision, calibrated, device.free_bytes) if fits is False else (),
    )


def _known_sizes(home: Home, names: set[str]) -> dict[str, int]:
    """Parameters of models that are here, by name."""
    return {one.name: one.parameters for one in list_models(home) if one.name in names and one.parameters}


def total_steps(facts: Facts, decision: Decision) -> int:
    """Optimiser steps, counted as the trainer does; 0 where there is nothing to train on."""
    recipe = decision.recipe
    if recipe.max_steps > 0:
        return recipe.max_steps
    sequences = _sequences(facts, decision)
    if not sequences:
        return 0
    batches = math.ceil(sequences / (int(recipe.per_device_train_batch_size) * recipe.device_count))
    a_pass = max(1, math.ceil(batches / int(recipe.gradient_accumulation_steps)))
    return math.ceil(recipe.num_train_epochs * a_pass)


def _sequences(facts: Facts, decision: Decision) -> int:
    return decision.layout.sequences if decision.layout else len(facts.lengths.train)


def _tokens_a_step(facts: Facts, decision: Decision) -> float:
    """Real tokens of one optimiser step, over all devices."""
    sequences = max(1, _sequences(facts, decision))
    tokens, _ = _tokens(facts, decision)
    recipe = decision.recipe
    step = int(recipe.per_device_train_batch_size) * int(recipe.gradient_accumulation_steps) * recipe.device_count
    return tokens / sequences * min(step, sequences)


def _tokens(facts: Facts, decision: Decision) -> tuple[int, int]:
    """Real tokens of one epoch after cutting, and those of them that carry loss."""
    import numpy as np

    limit = int(decision.recipe.max_length)
    lengths = facts.lengths
    kept = np.minimum(lengths.train, limit)
    # What is cut off is the end, where the answers are.
    trained = np.clip(np.minimum(lengths.trained, limit - lengths.prompt), 0, None)
    return int(kept.sum()), int(trained.sum())


def _plan(facts: Facts, decision: Decision, estimate: Estimate, problems: dict[str, str]) -> RunPlan:
    tokens, trained = _tokens(facts, decision)
    warnings = doubtful_combinations(facts)
    rows = len(facts.lengths.train)
    if decision.rows_cut:
        warnings.append(f"{decision.rows_cut:,} of {rows:,} rows are longer than max_length and cut")
    if facts.lengths.left_out:
        warnings.append(f"{facts.lengths.left_out:,} training rows have no wanted answer and are left out")
    if facts.architecture is not None and facts.architecture.note:
        warnings.append(facts.architecture.note)
    return RunPlan(
        recipe=decision.recipe,
        asked=facts.asked,
        reasons=decision.reasons,
        estimate=estimate,
        problems=problems,
        warnings=tuple(warnings),
        total_steps=total_steps(facts, decision),
        rows=rows,
        sequences=_sequences(facts, decision),
        tokens=tokens,
        trained_tokens=trained,
        longest_tokens=decision.longest,
        tokens_known=facts.lengths.known,
    )
