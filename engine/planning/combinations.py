"""Combinations that are known not to work, or to learn something else than they seem to; all that a recipe has."""

from engine.planning.architecture import HEAD
from engine.planning.facts import Facts

PAGED = ("paged_adamw_8bit", "paged_adamw_32bit")


def wrong_combinations(facts: Facts) -> dict[str, str]:
    """Field to why a run cannot work so; of what the recipe says itself, not of what the planner decides."""
    found: dict[str, str] = {}
    for check in (_data, _rows_together, _model, _adapter, _hardware):
        for name, why in check(facts).items():
            found.setdefault(name, why)
    return found


def doubtful_combinations(facts: Facts) -> list[str]:
    """What works, and is likely not what was meant."""
    recipe, said = facts.asked, []
    if recipe.optim in PAGED:
        said.append(f"{recipe.optim}: its paged states are not put back exactly when a run is resumed")
    given = "auto" not in (recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps)
    if not given and recipe.effective_batch_size % recipe.device_count:
        said.append(
            f"effective_batch_size = {recipe.effective_batch_size} is not a multiple of {recipe.device_count} devices"
        )
    capability = facts.device.capability
    if recipe.precision == "bf16" and capability is not None and capability < (8, 0):
        said.append(f"precision = bf16: {facts.device.title} has no bf16 and imitates it, slowly")
    if recipe.objective == "sft" and facts.shape == "preference":
        said.append("of each pair the chosen answer is learnt; objective = dpo learns from both")
    return said


def _data(facts: Facts) -> dict[str, str]:
    found, recipe, lengths = {}, facts.asked, facts.lengths
    if facts.shape == "prompts":
        found["dataset"] = "it is a prompt suite: its prompts have no answers to learn from"
    elif recipe.objective == "dpo" and facts.shape != "preference":
        found["objective"] = "dpo needs pairs of a chosen and a rejected answer, and the dataset has none"
    elif not len(lengths.train):
        found["dataset"] = "it has no training row with an answer to learn"
    elif lengths.exact and recipe.max_length != "auto" and not (lengths.prompt < recipe.max_length).any():
        found["max_length"] = "every answer begins beyond it, so nothing would be learnt"
    if lengths.problem:
        found["chat_template"] = lengths.problem
    elif lengths.refused:
        found["dataset"] = f"the model's chat template refuses {lengths.refused:,} of its training rows"
    return found


def _rows_together(facts: Facts) -> dict[str, str]:
    """Rows that share a sequence must not read one another."""
    found, recipe = {}, facts.asked
    asked = [name for name in ("packing", "padding_free") if getattr(recipe, name) is True]
    for name in asked:
        if recipe.objective == "dpo":
            found[name] = "DPO compares two answers in one batch of rows, so they cannot lie end to end"
        elif facts.architecture is not None and not facts.isolates:
            found[name] = "it is not known that this model keeps rows apart that lie end to end; they would read others"
    if facts.staged and recipe.packing is True:
        found["packing"] = "the dataset is staged, and packs would mix its stages"
    if recipe.train_sampling_strategy == "group_by_length":
        if facts.staged:
            found["train_sampling_strategy"] = "the dataset is staged: its stages decide the order of the rows"
        elif asked:
            found["train_sampling_strategy"] = f"there is no padding to save with {asked[0]}"
    return found


def _model(facts: Facts) -> dict[str, str]:
    found, recipe, architecture = {}, facts.asked, facts.architecture
    context = architecture.context if architecture else None
    if context and recipe.max_length != "auto" and recipe.max_length > context:
        found["max_length"] = f"the model was made for {context:,} tokens"
    if architecture is not None and not architecture.sdpa and recipe.attn_implementation == "sdpa":
        found["attn_implementation"] = f"{architecture.name} caps its attention, which sdpa does not do; set eager"
    if facts.model.quantised and recipe.method in ("full", "lora8bit"):
        found["method"] = f"the model is quantised already ({facts.model.quantised}), so it cannot be trained so"
    return found


def _adapter(facts: Facts) -> dict[str, str]:
    found: dict[str, str] = {}
    recipe, architecture = facts.asked, facts.architecture
    if recipe.method == "full" or architecture is None:
        return found
    targets = architecture.targets(recipe.target_modules)
    if any(name == HEAD for name, _ in targets):
        found["target_modules"] = (
            "the loss reads the output layer's own weights, so an adapter on lm_head would never be trained"
        )
    elif recipe.method == "dora" and any("experts" in name for name, _ in targets):
        found["method"] = "experts cannot be trained with magnitudes; take lora or qlora, or leave the experts out"
    elif not targets and architecture.known:
        found["target_modules"] = f"no layer is called so; this model has {', '.join(architecture.names())}"
    return found


def _hardware(facts: Facts) -> dict[str, str]:
    found: dict[str, str] = {}
    recipe, device = facts.asked, facts.device
    cpu = device.kind == "cpu"
    flash = "flash" in recipe.attn_implementation
    if recipe.precision == "fp16" and cpu:
        found["precision"] = "fp16 is not scaled on a CPU, so its gradients vanish; set auto, bf16 or fp32"
    if flash and cpu:
        found["attn_implementation"] = "flash attention needs a GPU"
    elif flash and recipe.precision == "fp32":
        found["attn_implementation"] = "flash attention computes in bf16 or fp16 only"
    if recipe.use_liger_kernel is True and cpu:
        found["use_liger_kernel"] = "Liger's kernels need a GPU"
    if recipe.distributed == "fsdp":
        if recipe.device_count == 1:
            found["distributed"] = "fsdp shares a model out over several devices, and there is one"
        elif cpu:
            found["distributed"] = "a model is shared out between GPUs only; set ddp"
        elif recipe.method == "lora8bit":
            found["distributed"] = "8-bit weights cannot be shared out; take qlora or lora"
    if recipe.backend == "local":
        found |= _local(facts)
    return found


def _local(facts: Facts) -> dict[str, str]:
    recipe = facts.asked
    if recipe.nodes > 1:
        return {"nodes": "several machines need backend = slurm"}
    if facts.device.kind == "cpu":
        named = isinstance(recipe.devices, tuple)
        return {"devices": "there is no GPU here to name"} if named else {}
    if isinstance(recipe.devices, int) and recipe.devices > facts.device_count:
        return {"devices": f"{recipe.devices} are asked for, and this machine has {facts.device_count}"}
    return {}
