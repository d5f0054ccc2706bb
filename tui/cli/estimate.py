"""`finetui estimate`: what a run would take, and what would make it fit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.cli.command import Session, command
from tui.cli.output import fields, table
from tui.cli.recipe_options import (
    Backend,
    BatchSize,
    DatasetName,
    Devices,
    Epochs,
    LearningRate,
    LoraRank,
    Method,
    Model,
    PresetName,
    RecipeFile,
    Settings,
    asked_recipe,
    look_ahead,
)
from tui.format import fmt_bytes, fmt_duration, fmt_rate
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.planning import Estimate, RunPlan
    from engine.runs.preflight import Preflight

app = typer.Typer()

# Taken and not used, so that `train` can be changed to `estimate` in any command line.
_Unused = Annotated[str | None, typer.Option(hidden=True)]
_UnusedTags = Annotated[list[str] | None, typer.Option("--tag", hidden=True)]
_UnusedFlag = Annotated[bool, typer.Option(hidden=True)]


@command(
    app,
    "estimate",
    example=[
        "estimate --model Qwen/Qwen2.5-1.5B-Instruct --dataset support",
        "estimate recipe.toml --method lora --json",
    ],
)
def estimate(
    session: Session,
    recipe: RecipeFile = None,
    model: Model = None,
    dataset: DatasetName = None,
    preset: PresetName = None,
    method: Method = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    lora_rank: LoraRank = None,
    settings: Settings = None,
    backend: Backend = None,
    devices: Devices = None,
    name: _Unused = None,
    tags: _UnusedTags = None,
    priority: _Unused = None,
    force: _UnusedFlag = False,
    wait: _UnusedFlag = False,
    dry_run: _UnusedFlag = False,
) -> None:
    """Say what a run would take: memory by part, time, cost, whether it fits, and what would make it.

    Takes the arguments of `finetui train`. Nothing is launched and no weights are loaded.
    """
    from engine.runs.preflight import require

    asked = asked_recipe(
        session.home,
        recipe,
        preset,
        settings,
        model=model,
        dataset=dataset,
        method=method,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        lora_rank=lora_rank,
        backend=backend,
        devices=devices,
    )
    found = look_ahead(session, asked)
    if found.plan is None:
        require(found)
    session.answer(estimate_document(found), lambda: estimate_text(found))


def estimate_document(found: "Preflight") -> dict[str, Any]:
    """The estimate with what stands in the way of a launch. `problems` are by field."""
    from engine.planning.document import plan_document

    assert found.plan is not None, "model and dataset are known"
    return plan_document(found.plan) | {"problems": found.problems, "warnings": list(found.warnings)}


def estimate_text(found: "Preflight") -> str:
    """The estimate as a person reads it, the answer first."""
    plan = found.plan
    assert plan is not None, "model and dataset are known"
    parts = [verdict(plan.estimate), fields(_figures(plan))]
    if plan.estimate.memory is not None:
        parts.append(_memory_table(plan.estimate))
    if found.suggestions:
        rows = [(one.label, _settings(one.changes), "fits" if one.fits else "not enough") for one in found.suggestions]
        parts.append(table(("WHAT WOULD HELP", "AS AN ARGUMENT", ""), rows))
    if plan.reasons:
        decided = [(name, _word(getattr(plan.recipe, name, "")), why) for name, why in plan.reasons.items()]
        parts.append(table(("AUTO", "IS", "WHY"), decided))
    parts += [f"⚠ {clean_line(warning)}" for warning in found.warnings]
    parts += [f"✗ {name}: {clean(text)}" for name, text in found.problems.items()]
    return "\n\n".join(part for part in parts if part)


def verdict(estimate: "Estimate") -> str:
    """Whether it fits, in a line."""
    if estimate.memory is None:
        return f"How much memory it takes is not known: {clean_line(estimate.unknown)}"
    needs, free = fmt_bytes(estimate.needs_bytes), fmt_bytes(estimate.free_bytes)
    total = fmt_bytes(estimate.device.total_bytes)
    where = f"{clean_line(estimate.device.title)} ({estimate.device.name})"
    if estimate.fits is None:
        return f"It needs {needs} on {where}."
    return f"It {'fits' if estimate.fits else 'does not fit'}: {needs} of {free} free, {total} in all, on {where}."


def _figures(plan: "RunPlan") -> Iterator[tuple[str, object]]:
    estimate = plan.estimate
    yield "steps", f"{plan.total_steps:,}" if plan.total_steps else ""
    yield "rows", f"{plan.rows:,} in {plan.sequences:,} sequences" if plan.sequences != plan.rows else f"{plan.rows:,}"
    known = f" ({plan.tokens_known})" if plan.tokens_known else ""
    yield "tokens", f"{plan.tokens:,} an epoch, {plan.trained_tokens:,} of them trained{known}" if plan.tokens else ""
    if estimate.time_s is not None:
        spread = f" ± {fmt_duration(estimate.time_spread_s)}" if estimate.time_spread_s else ""
        yield "time", f"{fmt_duration(estimate.time_s)}{spread}"
    if estimate.tokens_per_s is not None:
        yield "speed", f"{fmt_rate(estimate.tokens_per_s)} tokens/s, {estimate.speed_source}"
    yield "cost", f"{estimate.cost:.2f}" if estimate.cost else ""


def _memory_table(estimate: "Estimate") -> str:
    from engine.planning.document import PARTS

    memory = estimate.memory
    assert memory is not None
    rows = [(name, fmt_bytes(getattr(memory, name))) for name in PARTS]
    rows.append(("total", fmt_bytes(memory.total)))
    if estimate.calibrated != 1.0:
        rows.append((f"as measured here (× {estimate.calibrated:.2f})", fmt_bytes(estimate.needs_bytes)))
    return table(("MEMORY", "BYTES"), rows, right=("BYTES",))


def _settings(changes: dict[str, Any]) -> str:
    return " ".join(f"--set {name}={_word(value)}" for name, value in changes.items())


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
