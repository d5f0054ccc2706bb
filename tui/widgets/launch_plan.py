"""What is known before a launch: the model, the dataset, the plan of the run, and what stands in the way."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.datasets.rows import kind_of
from engine.insight.steps import planned_interval, planned_steps
from engine.recipe import Recipe
from tui.format import fmt_bytes, fmt_count
from tui.text import clean_line
from tui.widgets.recipe_draft import RecipeDraft
from tui.widgets.recipe_fields import field_specs, show_field

if TYPE_CHECKING:
    from engine.models import ModelInfo
    from engine.planning import RunPlan, Suggestion
    from engine.presets import Preset
    from engine.runs.preflight import Preflight
    from store.records import Dataset
    from tui.services import Services


@dataclass(frozen=True)
class Surroundings:
    """What the form chooses from, and what the machine is doing. Read off the loop."""

    models: "list[ModelInfo]" = field(default_factory=list)
    datasets: "list[Dataset]" = field(default_factory=list)
    presets: "list[Preset]" = field(default_factory=list)
    devices: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    """Names of the runs that are at work or queued."""
    last_model: str = ""
    """The base model of the newest run."""


@dataclass(frozen=True)
class Found:
    """What the draft's model and dataset turned out to be; else why they are nothing."""

    model: "ModelInfo | None" = None
    model_problem: str = ""
    dataset: "Dataset | None" = None
    dataset_problem: str = ""
    report: "dict[str, Any] | None" = None
    """What the dataset's report says, where it has one."""
    ahead: "Preflight | None" = None
    """The plan of the run; `None` while something is wrong with the recipe, the model or the dataset."""


@dataclass(frozen=True)
class Plan:
    """What a launch would do, what is wrong, and what to look at."""

    rows: list[tuple[str, str]]
    """A label and words each."""
    problems: dict[str, str]
    """By field: a launch is not possible."""
    looks: list[str]
    """Worth knowing; a launch is possible."""
    ahead: "Preflight | None" = None
    rows_seen: str = ""
    """What a look at the rows as the model sees them said, where nothing is wrong with them."""

    @property
    def suggestions(self) -> "tuple[Suggestion, ...]":
        """Changes that make it smaller, where it does not fit; each has a key."""
        return self.ahead.suggestions[: len(SUGGESTION_KEYS)] if self.ahead is not None else ()


SUGGESTION_KEYS = "abc"
"""The key of each suggestion, in their order."""


def read_surroundings(services: "Services") -> Surroundings:
    """Look at the files, the store and the devices. Slow: use it from a thread."""
    from engine.models import list_models
    from engine.presets import list_presets
    from engine.runs.backends.local import candidate_devices

    newest = services.store.runs.list(limit=1)
    return Surroundings(
        list_models(services.home),
        services.library.list(),
        list_presets(services.home),
        tuple(candidate_devices()),
        live_names(services),
        newest[0].model if newest else "",
    )


def live_names(services: "Services") -> tuple[str, ...]:
    """Names of the runs that are at work or queued. Reads the store."""
    return tuple(run.name for run in services.store.runs.live())


def look_up(
    services: "Services", values: dict[str, Any], recipe: Recipe | None, cancelled: Callable[[], bool]
) -> Found:
    """Find the draft's model and dataset, and plan its run by what is known already. Slow: use it from a thread."""
    from engine.errors import BadInput
    from engine.models import resolve_model
    from engine.runs.preflight import preflight

    info = data = report = None
    model_problem = dataset_problem = ""
    try:
        info = resolve_model(str(values["model"]), services.home)
        if info.problem:
            model_problem = f"it {info.problem}"
    except BadInput as error:
        model_problem = " ".join(part for part in (error.what, error.why) if part)
    dataset = str(values["dataset"])
    if dataset.strip():
        try:
            data = services.library.resolve(dataset)
            report = services.library.report(data.id)
        except BadInput as error:
            dataset_problem = " ".join(part for part in (error.what, error.why) if part)
    else:
        dataset_problem = "none yet: d picks one, i imports a file"
    found = Found(info, model_problem, data, dataset_problem, report)
    if recipe is None or model_problem or dataset_problem:
        return found
    return replace(found, ahead=preflight(services.home, services.store, recipe, count=False, cancelled=cancelled))


def next_name(services: "Services", name: str) -> str:
    """A name for a variant of the run `name`: the first of `name-2`, `name-3`… that no run has. Reads the store."""
    stem = re.sub(r"-\d{1,3}$", "", name)[:70]
    number = 2
    while any(run.name == f"{stem}-{number}" for run in services.store.runs.find(f"{stem}-{number}")):
        number += 1
    return f"{stem}-{number}"


def dataset_reference(dataset: "Dataset", datasets: "list[Dataset]") -> str:
    """How a recipe names this version: by name where it is the newest of that name, else `name@version`."""
    newest = max((one.version for one in datasets if one.name == dataset.name), default=dataset.version)
    return dataset.name if dataset.version == newest else f"{dataset.name}@{dataset.version}"


def model_words(info: "ModelInfo | None") -> str:
    """A model in a few words: `4.1 M parameters · 16 MB · chat template`."""
    if info is None:
        return ""
    if info.problem:
        return f"cannot be trained: {info.problem}"
    if not info.ready:
        return "is built first, about a minute" if info.kind == "starter" else "is downloaded first"
    parts = [fmt_count(info.parameters), fmt_bytes(info.size_bytes)]
    parts.append("chat template" if info.has_template else "no chat template")
    return " · ".join([*parts, *([info.quantised] if info.quantised else [])])


def dataset_words(dataset: "Dataset | None") -> str:
    """A dataset in a few words: `v2 · 162 train, 18 validation`."""
    if dataset is None:
        return ""
    return f"v{dataset.version} · {split_words(dataset)}"


def split_words(dataset: "Dataset") -> str:
    """Rows by what they are for: `162 train, 18 validation`."""
    train, rest = dataset.splits.get("train", 0), dataset.splits.get("validation", 0)
    words = f"{train:,} train, " + (f"{rest:,} validation" if rest else "no validation")
    return words + (f", {dataset.splits['test']:,} test" if dataset.splits.get("test") else "")


def make_plan(draft: RecipeDraft, around: Surroundings, found: Found) -> Plan:
    """What a launch of the draft would do."""
    recipe, dataset, ahead = draft.recipe(), found.dataset, found.ahead
    problems = {name: text for name, text in draft.problems.items() if name not in ("model", "dataset")}
    if draft.problems.get("model") or found.model_problem:
        problems["model"] = found.model_problem or draft.problems["model"]
    if found.dataset_problem or draft.problems.get("dataset"):
        problems["dataset"] = found.dataset_problem or draft.problems["dataset"]
    looks: list[str] = []
    rows: list[tuple[str, str]] = []
    if dataset is not None:
        if kind_of(dataset.shape) == "prompts":
            problems["dataset"] = "it is a prompt suite: prompts without answers to learn from"
        elif not dataset.splits.get("train"):
            problems["dataset"] = "it has no rows to train on"
        if found.report:
            grade, reasons = str(found.report.get("grade", "")), found.report.get("reasons") or []
            rows.append(("grade", f"{grade}: {clean_line(str(reasons[0]))}" if reasons else grade))
            looks += [clean_line(str(reason)) for reason in reasons[:3] if grade not in ("A", "B")]
        looks += [clean_line(warning) for warning in dataset.warnings]
    rows_seen = ""
    if recipe is not None and ahead is not None:
        for name, text in ahead.problems.items():
            problems.setdefault(name, clean_line(text))
        looks = [*(clean_line(warning) for warning in ahead.warnings), *looks]
        rows_seen = _rows_seen(ahead)
    if recipe is not None and dataset is not None and dataset.splits.get("train"):
        rows += _length_rows(recipe, ahead.plan if ahead else None, dataset, looks)
    rows.append(("runs on", _device_words(around, recipe)))
    return Plan(rows, problems, looks, ahead if recipe is not None else None, rows_seen)


def _rows_seen(ahead: "Preflight") -> str:
    gate = ahead.gate
    if gate is None or gate.problem:
        return ""
    if gate.later:
        return clean_line(gate.later)
    share = f"{gate.trained_share:.0%} of the tokens are learnt" if gate.trained_share is not None else ""
    template = f"template {clean_line(gate.template)}" if gate.template else "plain text"
    return " · ".join(part for part in (template, share) if part)


def _length_rows(recipe: Recipe, plan: "RunPlan | None", dataset: "Dataset", looks: list[str]) -> list[tuple[str, str]]:
    """Steps, evaluations and tokens of the run."""
    train, validation = dataset.splits["train"], dataset.splits.get("validation", 0)
    planned = plan is not None and plan.total_steps > 0
    if plan is not None and planned:
        steps, recipe = plan.total_steps, plan.recipe
        epochs = steps * recipe.batches_per_step / max(1, plan.sequences or train)
    else:
        steps = planned_steps(recipe, train)
        epochs = steps * recipe.batches_per_step / train
    batch, times = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps
    product = f" ({batch} × {times})" if batch != "auto" and times not in (1, "auto") else ""
    what = "sequences" if recipe.packing is True else "rows"
    rows = [("batch", f"{recipe.batches_per_step:,} {what} a step{product}")]
    rows.append(("steps", f"{steps:,} · {epochs:.3g} passes over the data"))
    if plan is not None and plan.tokens:
        cut = f" · longest {plan.longest_tokens:,}" if plan.longest_tokens else ""
        rows.append(("tokens", f"{fmt_count(plan.tokens)} a pass{cut}"))
    if not validation:
        looks.append("no rows to evaluate on: no evaluation loss, no early stopping, the last step is kept")
        return [*rows, ("evaluates", "never")]
    interval = planned_interval(recipe, steps)
    rows.append(("evaluates", f"{max(1, steps // interval):,} times, every {interval:,} steps"))
    if recipe.early_stopping_patience:
        rows.append(("stops", f"early, after {recipe.early_stopping_patience} without gain"))
    return rows


def decisions(plan: "RunPlan | None", draft: RecipeDraft) -> dict[str, str]:
    """What became of each field that is `auto`, as the form shows values. Empty while nothing is planned."""
    if plan is None:
        return {}
    found = {}
    for name, spec in field_specs().items():
        value = getattr(plan.recipe, name)
        if draft.values[name] == "auto" and value != "auto":
            found[name] = show_field(spec, value)
    return found


def plan_words(plan: "RunPlan") -> str:
    """What the planner decided, in a line: `packed (0.93 full) · micro-batch 8 · no checkpointing · bf16 · sdpa`."""
    recipe = plan.recipe
    words = []
    if recipe.packing is True:
        room = plan.sequences * int(recipe.max_length) if recipe.max_length != "auto" else 0
        words.append(f"packed ({plan.tokens / room:.2f} full)" if room else "packed")
    elif recipe.padding_free is True:
        words.append("padding-free")
    elif recipe.train_sampling_strategy == "group_by_length":
        words.append("by length")
    else:
        words.append("padded")
    words.append(f"length {recipe.max_length:,}" if recipe.max_length != "auto" else "")
    words.append(f"micro-batch {recipe.per_device_train_batch_size}")
    words.append("checkpointing" if recipe.gradient_checkpointing is True else "no checkpointing")
    words.append(recipe.precision if recipe.precision != "auto" else "format measured first")
    words.append(recipe.attn_implementation)
    words.append("liger" if recipe.use_liger_kernel is True else "")
    return " · ".join(word for word in words if word)


def _device_words(around: Surroundings, recipe: Recipe | None) -> str:
    if recipe is not None and recipe.backend == "slurm":
        nodes = f"{recipe.nodes} nodes" if recipe.nodes > 1 else "one node"
        return f"Slurm, {nodes}, {recipe.device_count // recipe.nodes} a node"
    if not around.devices:
        return "…"
    names: tuple[str, ...] = around.devices
    if recipe is not None and isinstance(recipe.devices, tuple):
        names = tuple(f"gpu{index}" for index in recipe.devices)
    device = " or ".join(names)
    if recipe is not None and recipe.device_count > 1:
        device = f"{recipe.device_count} processes on {' '.join(names)}"
    ahead = len(around.live) - len(around.devices) + 1
    if ahead <= 0:
        return f"{device}, free now"
    ahead_of_it = clean_line(around.live[0]) if len(around.live) == 1 else f"{len(around.live)} runs"
    return f"{device}, in turn after {ahead_of_it}"
