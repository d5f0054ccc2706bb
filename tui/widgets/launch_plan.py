"""What is known before a launch: the model, the dataset, the steps, the device, and what stands in the way."""

import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.content import Content

from engine.datasets.rows import kind_of
from engine.insight.steps import planned_interval, planned_steps
from tui.format import fmt_bytes, fmt_count
from tui.text import clean_line, shorten
from tui.widgets.recipe_draft import RecipeDraft
from tui.widgets.recipe_fields import field_specs

if TYPE_CHECKING:
    from engine.models import ModelInfo
    from engine.presets import Preset
    from store.records import Dataset
    from tui.services import Services

LABEL_WIDTH = 11


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
    default_name: str = ""
    report: "dict[str, Any] | None" = None
    """What the dataset's report says, where it has one."""


@dataclass(frozen=True)
class Plan:
    """What a launch would do: rows of a label and words, then what is wrong, then what to look at."""

    rows: list[tuple[str, str]]
    problems: dict[str, str]
    """By field: a launch is not possible."""
    looks: list[str]
    """Worth knowing; a launch is possible."""


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


def look_up(services: "Services", model: str, dataset: str) -> Found:
    """Find the draft's model and dataset. Slow: use it from a thread."""
    from engine.errors import BadInput
    from engine.models import resolve_model

    info = data = report = None
    model_problem = dataset_problem = ""
    try:
        info = resolve_model(model, services.home)
        if info.problem:
            model_problem = f"it {info.problem}"
    except BadInput as error:
        model_problem = " ".join(part for part in (error.what, error.why) if part)
    if dataset.strip():
        try:
            data = services.library.resolve(dataset)
            report = services.library.report(data.id)
        except BadInput as error:
            dataset_problem = " ".join(part for part in (error.what, error.why) if part)
    else:
        dataset_problem = "none yet: d picks one, i imports a file"
    return Found(info, model_problem, data, dataset_problem, report=report)


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
    recipe, dataset, model = draft.recipe(), found.dataset, found.model
    problems = {name: text for name, text in draft.problems.items() if name not in ("model", "dataset")}
    if draft.problems.get("model") or found.model_problem:
        problems["model"] = found.model_problem or draft.problems["model"]
    if found.dataset_problem or draft.problems.get("dataset"):
        problems["dataset"] = found.dataset_problem or draft.problems["dataset"]
    looks: list[str] = []
    rows: list[tuple[str, str]] = []
    if model is not None and not model.problem:
        rows.append(("model", f"{clean_line(model.name)}: {model_words(model)}"))
        if model.ready and not model.has_template:
            problems.setdefault("model", "it has no chat template; choose a chat model (often -Instruct or -Chat)")
    if dataset is not None:
        rows.append(("data", f"{clean_line(dataset.name)} v{dataset.version}"))
        rows.append(("rows", split_words(dataset)))
        if kind_of(dataset.shape) == "prompts":
            problems["dataset"] = "it is a prompt suite: prompts without answers to learn from"
        elif not dataset.splits.get("train"):
            problems["dataset"] = "it has no rows to train on"
        if found.report:
            grade, reasons = str(found.report.get("grade", "")), found.report.get("reasons") or []
            rows.append(("grade", f"{grade}: {clean_line(str(reasons[0]))}" if reasons else grade))
            looks += [clean_line(str(reason)) for reason in reasons[:3] if grade not in ("A", "B")]
        looks += [clean_line(warning) for warning in dataset.warnings]
    if recipe is not None:
        batch, times = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps
        product = f" ({batch} × {times})" if batch != "auto" and times not in (1, "auto") else ""
        rows.append(("batch", f"{recipe.batches_per_step:,} rows a step{product}"))
        if dataset is not None and dataset.splits.get("train"):
            rows += _length_rows(draft, dataset, looks)
        if isinstance(recipe.devices, int) and recipe.devices > 1:
            problems["devices"] = "a run trains on one device; set 1 or auto"
        if around.devices == ("cpu",) and recipe.optim.startswith("paged"):
            looks.append(f"{recipe.optim} is made for GPUs; adamw_torch works here")
    rows.append(("runs on", _device_words(around)))
    return Plan(rows, problems, looks)


def _length_rows(draft: RecipeDraft, dataset: "Dataset", looks: list[str]) -> list[tuple[str, str]]:
    recipe = draft.recipe()
    assert recipe is not None
    train, validation = dataset.splits["train"], dataset.splits.get("validation", 0)
    steps = planned_steps(recipe, train)
    epochs = steps * recipe.batches_per_step / train
    most = "at most " if recipe.packing and recipe.max_steps <= 0 else ""
    rows = [("steps", f"{most}{steps:,} · {epochs:.3g} passes over the data")]
    if not validation:
        looks.append("no rows to evaluate on: no evaluation loss, no early stopping, the last step is kept")
        return [*rows, ("evaluates", "never")]
    interval = planned_interval(recipe, steps)
    rows.append(("evaluates", f"{max(1, steps // interval):,} times, every {interval:,} steps"))
    if recipe.early_stopping_patience:
        rows.append(("stops", f"early, after {recipe.early_stopping_patience} without gain"))
    return rows


def _device_words(around: Surroundings) -> str:
    if not around.devices:
        return "…"
    device = " or ".join(around.devices)
    ahead = len(around.live) - len(around.devices) + 1
    if ahead <= 0:
        return f"{device}, free now"
    names = clean_line(around.live[0]) if len(around.live) == 1 else f"{len(around.live)} runs"
    return f"{device}, in turn after {names}"


def _figure(label: str, text: str, width: int) -> Content:
    """A label and its words, later lines of them below the first."""
    lines = textwrap.wrap(text, max(10, width - LABEL_WIDTH)) or [""]
    below = "".join(f"\n{' ' * LABEL_WIDTH}{line}" for line in lines[1:])
    return Content.assemble((label.ljust(LABEL_WIDTH), "$text-muted"), lines[0] + below)


def plan_content(plan: Plan, draft: RecipeDraft, *, compact: bool, width: int) -> Content:
    """The plan for the panel; `compact` puts the figures on one line."""
    if compact:
        figures = dict(plan.rows)
        short = [figures["batch"].partition(" (")[0]] if "batch" in figures else []
        short += [f"{figures['steps'].partition(' · ')[0]} steps"] if "steps" in figures else []
        short += [f"evaluates {figures['evaluates'].partition(',')[0]}"] if "evaluates" in figures else []
        parts = [Content(" · ".join([*short, figures["runs on"]])).stylize("$text-muted")]
    else:
        parts = [_figure(label, text, width) for label, text in plan.rows]
        parts.append(Content(""))
    if plan.problems:
        count = len(plan.problems)
        title = "1 thing stands in the way" if count == 1 else f"{count} things stand in the way"
        parts.append(Content.assemble((f"✗ {title}", "bold $text-error")))
        specs = field_specs()
        for name, text in plan.problems.items():
            label = name if name in specs else clean_line(name)[:40]
            parts.append(Content.assemble((f"  {label}: ", "$text-error"), clean_line(text)))
    else:
        changed = len(draft.changed)
        words = f" · {changed} changed" if changed else ""
        parts.append(Content.assemble(("✓ ready to launch", "bold $text-success"), (words, "$text-muted")))
    looks = [shorten(look, width - 2) for look in plan.looks[:1]] if compact else plan.looks
    parts += [Content.assemble(("⚠ ", "$text-warning"), look) for look in looks]
    return Content("\n").join(parts)
