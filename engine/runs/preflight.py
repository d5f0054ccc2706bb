"""Whether a recipe can be launched: everything that stands in the way, at once, before any process starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.datasets.library import DatasetLibrary
from engine.datasets.versions import DATA
from engine.errors import BadInput
from engine.home import Home
from engine.models import ModelInfo, resolve_model
from engine.planning.gate import Gate, check_supervision
from engine.planning.lengths import COUNTED
from engine.planning.plan import plan_run
from engine.planning.records import DeviceFacts, Estimate, RunPlan, Suggestion
from engine.recipe import Recipe
from engine.runs.parents import Parent, find_parent
from engine.runs.requirements import lacks
from store import Store
from store.records import Dataset

Found = TypeVar("Found")

MEMORY = "memory"
"""Stands for a run that can never fit, which is no field of the recipe."""


@dataclass(frozen=True)
class Preflight:
    """What is known of a run before it starts. It can be launched where `problems` is empty."""

    asked: Recipe
    problems: dict[str, str] = field(default_factory=dict)
    """By the field of the recipe, or `MEMORY`, or `requirements.INSTALLATION`."""
    warnings: tuple[str, ...] = ()
    model: ModelInfo | None = None
    dataset: Dataset | None = None
    parent: Parent | None = None
    plan: RunPlan | None = None
    """`None` where the model or the dataset is not known."""
    gate: Gate | None = None
    errors: tuple[BadInput, ...] = ()
    """Where a problem was an error, that error, with its way out."""

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """Changes that make the run smaller, where it is too large for what is free."""
        estimate = self.plan.estimate if self.plan else None
        return estimate.suggestions if estimate is not None and estimate.fits is False else ()


class CannotLaunch(BadInput):
    """A launch that cannot work. `problems` are by field; `suggestions` would make it fit."""

    def __init__(self, what: str, *, why: str, fix: str, found: Preflight) -> None:
        super().__init__(what, why=why, fix=fix)
        self.problems = found.problems
        self.suggestions = found.suggestions


def preflight(
    home: Home,
    store: Store,
    recipe: Recipe,
    *,
    count: bool = True,
    devices: Sequence[DeviceFacts] | None = None,
    progress: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Preflight:
    """Check the whole of `recipe` and plan its run.

    `count` may spend seconds on the model's tokenizer and on counting the rows' tokens; without it what was counted
    before is used. `devices` are those of this machine unless given. Raises `Cancelled`.
    """
    problems: dict[str, str] = {}
    errors: list[BadInput] = []

    def note(name: str, error: BadInput) -> None:
        if name not in problems:
            problems[name] = " ".join(part for part in (error.what, error.why) if part)
            errors.append(error)

    dataset = _attempt(lambda: DatasetLibrary(home, store).resolve(recipe.dataset), note, "dataset")
    model = _attempt(lambda: resolve_model(recipe.model, home), note, "model")
    for name, error in lacks(recipe, model):
        note(name, error)
    parent = None
    if recipe.continue_from:
        parent = _attempt(lambda: find_parent(home, store, recipe, model), note, "continue_from")
    taken_over = parent.taken_over if parent else {}
    plan = gate = None
    warnings: list[str] = []
    if dataset is not None and not (Path(dataset.dir) / DATA).is_file():
        note("dataset", _rows_gone(dataset))
        dataset = None
    if model is not None and dataset is not None:
        changed = recipe.model_copy(update=taken_over)
        plan = plan_run(
            home, store, changed, dataset=dataset, devices=devices, count=count, progress=progress, cancelled=cancelled
        )
        looked_at = plan.recipe
        if recipe.max_length == "auto" and plan.tokens_known != COUNTED:
            # By a guess at the rows' lengths nothing is said to be cut off.
            looked_at = looked_at.model_copy(update={"max_length": "auto"})
        gate = check_supervision(home, looked_at, model, dataset, prepare=count, progress=progress, cancelled=cancelled)
        if gate.problem:
            problems.setdefault(gate.field, gate.problem)
        for name, text in plan.problems.items():
            problems.setdefault(name, text)
        warnings += [*plan.warnings, *gate.warnings]
        short = shortage(plan.estimate)
        if short:
            problems[MEMORY] = short
        elif plan.estimate.fits is False:
            warnings.append(_waits(plan.estimate))
    if parent is not None and taken_over:
        shape = ", ".join(f"{name} = {value}" for name, value in taken_over.items())
        warnings.append(f"{shape}: the adapter of {parent.name} has it so")
    return Preflight(
        recipe, problems, tuple(dict.fromkeys(warnings)), model, dataset, parent, plan, gate, tuple(errors)
    )


def require(found: Preflight, *, force: bool = False) -> None:
    """Raise what stands in the way of a launch, all of it. `force` lets a run through that does not fit."""
    problems = {name: text for name, text in found.problems.items() if not (force and name == MEMORY)}
    if not problems:
        return
    if len(problems) == 1 and len(found.errors) == 1:
        raise found.errors[0]
    if [*problems] == [MEMORY]:
        raise CannotLaunch("The run does not fit.", why=problems[MEMORY], fix=_fixes(found), found=found)
    if len(problems) == 1:
        name, text = next(iter(problems.items()))
        shown = found.gate.shown if found.gate is not None and found.gate.problem == text else ""
        why = f"{name}: {text}" + (f"\n{shown}" if shown else "")
        raise CannotLaunch("The run cannot be launched.", why=why, fix=_fixes(found), found=found)
    lines = "\n".join(f"  {name}: {text}" for name, text in problems.items())
    fixes = [error.fix for error in found.errors if error.fix]
    raise CannotLaunch(
        f"The run cannot be launched: {len(problems)} things stand in the way.",
        why=lines,
        fix="\n".join([*fixes, _fixes(found)]).strip(),
        found=found,
    )


def shortage(estimate: Estimate) -> str:
    """Why the run can never fit on its device, in figures; empty where it can, or where that is not known."""
    total = estimate.device.total_bytes
    if estimate.fits is not False or estimate.needs_bytes <= total:
        return ""
    return f"it needs {gigabytes(estimate.needs_bytes)}, and {estimate.device.title} has {gigabytes(total)}"


def gigabytes(count: float) -> str:
    """Memory as people say it, in units of 1,024: `9.1 GB`, `340 MB`."""
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


def _attempt(find: Callable[[], Found], note: Callable[[str, BadInput], None], name: str) -> Found | None:
    try:
        return find()
    except BadInput as error:
        note(name, error)
        return None


def _rows_gone(dataset: Dataset) -> BadInput:
    return BadInput(
        f"The rows of {dataset.name} v{dataset.version} are gone.",
        why=f"They belong at {Path(dataset.dir) / DATA}.",
        fix="Import the dataset again.",
    )


def _waits(estimate: Estimate) -> str:
    return (
        f"it waits until {gigabytes(estimate.needs_bytes)} of {estimate.device.title} are free "
        f"(now {gigabytes(estimate.free_bytes)})"
    )


def _fixes(found: Preflight) -> str:
    """What would make a run fit, as it is typed."""
    if MEMORY not in found.problems:
        return ""
    lines = []
    for one in found.suggestions:
        settings = " ".join(f"--set {name}={_typed(value)}" for name, value in one.changes.items())
        lines.append(f"  {one.label}  ({settings})" + ("" if one.fits else ", which is not enough by itself"))
    if not lines:
        return "Take a smaller model or a larger device; --force launches it anyway."
    return "\n".join(["What would help:", *lines, "--force launches it anyway."])


def _typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
