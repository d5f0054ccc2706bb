"""`finetui train`: a recipe from a preset, a file and flags, checked whole, then launched."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.documents import dataset_document, model_document, run_document
from tui.cli.output import say
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
    Priority,
    RecipeFile,
    RunName,
    Settings,
    Tags,
    asked_recipe,
    look_ahead,
)
from tui.cli.waiting import run_figures, wait_for
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.planning import RunPlan
    from engine.recipe import Recipe
    from store.records import Run

app = typer.Typer()


@command(
    app,
    "train",
    example=[
        "train --preset quick-look --dataset support --wait",
        "train recipe.toml --epochs 5 --set lora_dropout=0.1 --name support-5",
        "train --dataset support --dry-run > recipe.toml",
        "train recipe.toml --devices 0,1 --priority 5",
    ],
)
def train(
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
    name: RunName = None,
    tags: Tags = None,
    backend: Backend = None,
    devices: Devices = None,
    priority: Priority = 0,
    force: Annotated[bool, typer.Option("--force", help="Launch it even where it does not fit.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the run has ended.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the whole recipe and launch nothing.")] = False,
) -> None:
    """Launch a run. It goes on when the terminal is closed.

    The later wins: defaults, --preset, RECIPE.toml, flags, --set. What is `auto` then is decided by the planner;
    --dry-run shows what and why. A run that cannot work is refused with all reasons at once.
    """
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
    if dry_run:
        _show_plan(session, asked, force)
        return
    with session.progress() as progress:
        run = session.manager.launch(
            asked,
            name=name,
            tags=tags or (),
            priority=priority,
            force=force,
            progress=lambda words: progress.update(words),
        )
    if wait:
        _wait(session, run)
        return
    session.answer(
        run_document(run),
        f"Launched {clean(run.name)} ({run.id}).\n"
        f"`finetui` shows it live; `finetui runs log {run.id} -f` follows its log.",
    )


def _show_plan(session: Session, asked: "Recipe", force: bool) -> None:
    """The recipe with every decision made, and the reasons as comments. Raises `BadInput` as a launch would."""
    from engine.planning.document import plan_document
    from engine.runs.preflight import require

    found = look_ahead(session, asked)
    require(found, force=force)
    assert found.plan and found.model and found.dataset, "nothing is missing"
    for warning in found.warnings:
        say(f"⚠ {clean_line(warning)}")
    document = {
        "recipe": found.plan.recipe.model_dump(mode="json"),
        "asked": asked.model_dump(mode="json"),
        "model": model_document(found.model),
        "dataset": dataset_document(found.dataset),
        "warnings": list(found.warnings),
        **plan_document(found.plan),
    }
    plan = found.plan
    session.answer(document, lambda: commented_toml(plan))


def commented_toml(plan: "RunPlan") -> str:
    """The recipe of a plan as TOML, with the reason before each field that the planner decided."""
    lines = []
    for line in plan.recipe.to_toml().splitlines():
        reason = plan.reasons.get(line.partition(" = ")[0])
        if reason:
            lines.append(f"# {clean_line(reason)}")
        lines.append(line)
    return "\n".join(lines)


def _wait(session: Session, run: "Run") -> None:
    """Follow the run to its end. Exit status 0 where it succeeded, else 1."""
    from store.records import Status

    with session.progress() as progress:
        ended = wait_for(session, run, progress)
    session.answer(run_document(ended), ended_text(ended))
    if ended.status is not Status.SUCCEEDED:
        raise typer.Exit(1)


def ended_text(run: "Run") -> str:
    """How a run ended, in a line."""
    reason = f": {clean(run.reason)}" if run.reason else ""
    figures = run_figures(run)
    return f"{clean(run.name)} ({run.id}) {run.status}{reason}" + (f"\n{figures}" if figures else "")
