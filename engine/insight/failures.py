"""Why a run ended other than well: what happened, the evidence, and what to do about it with one key.

For every code of the closed list (`engine.runs.failure_codes`), whoever named it: the worker in its last event, or the
exit record and the log it left behind. `docs/failures.md` lists them.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.insight.failure_words import EDIT, RESUME, TITLES, change_words
from engine.recipe import Recipe, load_recipe_values, make_recipe, recipe_problems
from engine.runs.failure_codes import MEMORY, FailureCode, remedy
from engine.runs.recognise import code_in, last_words
from engine.runs.reconcile import offset_of
from engine.runs.rundir import RunDir, checkpoint_step, read_json, read_table
from store import Store
from store.records import EventRow, Run, Status

EVIDENCE = ("alert", "end")
"""Kinds of events that `explain` looks at."""


class Action(StrEnum):
    """What the one key does."""

    LAUNCH = "launch"
    """A new run, with a recipe that is changed."""
    RESUME = "resume"
    """The same run goes on from its last checkpoint."""
    EDIT = "edit"
    """Nothing can be changed for the user: the form opens with the recipe in it."""


@dataclass(frozen=True)
class Failure:
    """How a run ended, and a way on."""

    code: FailureCode
    title: str
    """What happened, in one line: `CUDA out of memory at step 212`."""
    why: str
    """The evidence, a sentence or figure a line: what it said itself, what was measured."""
    suggestion: str
    """What to do, in whole sentences."""
    action: Action
    changes: dict[str, Any] = field(default_factory=dict)
    """Recipe fields of the run to launch, over the recipe that was asked for."""
    question: str = ""
    """What has to be answered with yes before that; empty where nothing has."""

    @property
    def offer(self) -> str:
        """What the key does, in a few words: `launch with batch 2 × 8 and checkpointing`."""
        if self.action is Action.RESUME:
            return "resume"
        if self.action is Action.EDIT:
            return "change the recipe"
        return f"launch with {change_words(self.changes)}" if self.changes else "launch anew"


_AT_A_STEP = RESUME | {
    FailureCode.CUDA_OUT_OF_MEMORY,
    FailureCode.HOST_OUT_OF_MEMORY,
    FailureCode.LOSS_NOT_FINITE,
}
"""The others come before the first step of an attempt."""

_MEMORY_PINS = ("per_device_train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing")
"""What a run that was too large was planned with: left to `auto`, the next plan could be as large in another way."""

_NEARLY_FULL = 95.0
"""Percent of the machine's memory in use, from which a kill without a word looks like one for want of memory."""


def explain(run: Run, events: Sequence[EventRow], rundir: RunDir) -> Failure | None:
    """Why `run` ended and what to do; `None` for one that lives or succeeded, and for one of another tracker.

    `events` are the run's events of the kinds `EVIDENCE`, newest last. Reads the run's folder: call it in a thread.
    """
    if run.status.live or run.status is Status.SUCCEEDED or run.source:
        return None
    code = failure_code(run)
    told = next((event.body for event in reversed(events) if event.kind == "end"), {})
    if told.get("code") != code:
        told = {}
    recipe, asked = _recipes(run, rundir)
    usual = remedy(code, recipe)
    why = "\n".join(_evidence(run, code, events, None if told else rundir.log, rundir))
    title = TITLES[code] + (f" at step {run.step:,}" if run.step and code in _AT_A_STEP else "")
    if code in RESUME:
        return Failure(code, title, why, f"{_text(told.get('fix')) or usual.fix} {_from_where(rundir)}", Action.RESUME)
    changes = _changes(code, recipe, asked, told.get("changes") or usual.changes)
    suggestion = _text(told.get("fix")) or usual.fix
    if code in EDIT or (not changes and code is not FailureCode.INPUTS):
        return Failure(code, title, why, suggestion, Action.EDIT)
    question = ""
    if code is FailureCode.NEEDS_REMOTE_CODE:
        question = f"{run.model} brings Python code that would run with your rights. Have you read it, and trust it?"
    return Failure(code, title, why, suggestion, Action.LAUNCH, changes, question)


def failure_of(store: Store, run: Run) -> Failure | None:
    """The same for a run of the store. Call it in a thread."""
    return explain(run, store.runs.events(run.id, EVIDENCE), RunDir(Path(run.dir)))


def failure_code(run: Run) -> FailureCode:
    """Which of the closed list it was; of runs that older versions recorded, what their reason says."""
    if run.status is Status.STOPPED:
        return FailureCode.STOPPED
    try:
        return FailureCode(run.failure)
    except ValueError:
        usual = FailureCode.VANISHED if run.status is Status.LOST else FailureCode.UNKNOWN
        return code_in(run.reason) or usual


def fixed_recipe(run: Run, failure: Failure) -> Recipe:
    """The recipe that was asked for, with the failure's changes. Raises `BadInput` where that is no recipe."""
    return changed_recipe(run, failure.changes)


def changed_recipe(run: Run, changes: Mapping[str, Any]) -> Recipe:
    """The recipe that was asked for, with these changes. Raises `BadInput` where that is no recipe."""
    return make_recipe(_asked(run, RunDir(Path(run.dir))) | dict(changes))


def _changes(
    code: FailureCode, recipe: Recipe | None, asked: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields that differ from what was asked for, and that a recipe can have."""
    changes = dict(told)
    if recipe is not None and code is FailureCode.NEEDS_REMOTE_CODE:
        changes["trust_remote_code"] = True
    if recipe is not None and code is FailureCode.NOTHING_TO_LEARN and asked.get("max_length", "auto") == "auto":
        # The plan chose it, so leaving it to the plan again would change nothing.
        changes = {"max_length": 2 * recipe.max_length} if isinstance(recipe.max_length, int) else {}
    if recipe is not None and code in MEMORY and changes:
        pins = {name: getattr(recipe, name) for name in _MEMORY_PINS}
        changes = {name: value for name, value in pins.items() if value not in ("auto", False)} | changes
    changes = {name: value for name, value in changes.items() if asked.get(name) != value}
    return {} if recipe_problems({**asked, **changes}) else changes


def _recipes(run: Run, rundir: RunDir) -> tuple[Recipe | None, dict[str, Any]]:
    """The recipe the run was trained with, `None` where it cannot be read, and the fields that were asked for."""
    try:
        values = load_recipe_values(rundir.recipe)
    except BadInput:
        values = run.recipe
    return None if recipe_problems(values) else make_recipe(values), _asked(run, rundir)


def _asked(run: Run, rundir: RunDir) -> dict[str, Any]:
    inputs = read_json(rundir.inputs)
    asked = inputs.get("asked") if isinstance(inputs, dict) else None
    return dict(asked) if isinstance(asked, dict) else dict(run.recipe)


def _from_where(rundir: RunDir) -> str:
    committed = rundir.committed_checkpoints()
    if not committed:
        return "No checkpoint was saved: it starts again from step 0."
    return f"The last checkpoint is of step {checkpoint_step(committed[-1]):,}."


def _evidence(run: Run, code: FailureCode, events: Sequence[EventRow], log: Path | None, rundir: RunDir) -> list[str]:
    """What it said itself, then what was measured, a line each. `log`: that of a worker that did not say why."""
    lines = [run.reason] if run.reason else []
    if code in MEMORY:
        lines += _memory_evidence(run, rundir)
    if code is FailureCode.LOSS_NOT_FINITE:
        lines += [
            f"{name} was {latest.last:.4g} at step {latest.step:,}, at most {latest.max:.4g} before."
            for name in ("train/loss", "train/grad_norm")
            if (latest := run.metrics.get(name)) is not None and latest.max is not None
        ]
    if code is FailureCode.DISK_FULL:
        lines += _disk_evidence(rundir)
    if code is FailureCode.KILLED and (used := _last(run, "system/host_memory_percent")) >= _NEARLY_FULL:
        lines.append(f"The machine's memory was {used:.0f} % full: it may have been killed for that.")
    if log is not None and run.status is Status.FAILED:
        said = last_words(log, offset_of(read_table(rundir.exit))).line
        if said and said not in run.reason:
            lines.append(f"The log ends with: {said}")
    alerts = [_text(event.body.get("message")) for event in events if event.kind == "alert"]
    return lines + [text for text in dict.fromkeys(alerts[-3:]) if text and text not in run.reason]


def _memory_evidence(run: Run, rundir: RunDir) -> list[str]:
    lines = []
    inputs = read_json(rundir.inputs)
    plan = inputs.get("plan") if isinstance(inputs, dict) else None
    if (
        isinstance(plan, dict)
        and isinstance(plan.get("needs_bytes"), int)
        and isinstance(plan.get("device_bytes"), int)
    ):
        lines.append(f"Planned were {_gb(plan['needs_bytes'])} of {_gb(plan['device_bytes'])}.")
    if run.peak_vram_bytes:
        lines.append(f"The GPU's memory in use was {_gb(run.peak_vram_bytes)} at most.")
    used = _last(run, "system/host_memory_percent")
    if isfinite(used):
        lines.append(f"The machine's memory was {used:.0f} % full when it was last looked at.")
    return lines


def _disk_evidence(rundir: RunDir) -> list[str]:
    try:
        free = shutil.disk_usage(rundir.path).free
    except OSError:
        return []
    return [f"{_gb(free)} are free now at {rundir.path}."]


def _last(run: Run, metric: str) -> float:
    latest = run.metrics.get(metric)
    return latest.last if latest else float("nan")


def _gb(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
