"""`finetui train`: a recipe from a preset, a file and flags, checked whole, then launched."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.home import Home
from tui.cli.command import Session, command
from tui.cli.documents import dataset_document, model_document, run_document
from tui.cli.waiting import run_figures, wait_for
from tui.text import clean

if TYPE_CHECKING:
    from store.records import Run

Text = str | None
app = typer.Typer()


def recipe_values(
    home: Home, preset: str | None, file: Path | None, flags: dict[str, str | None], settings: list[str]
) -> dict[str, Any]:
    """The fields that were set, the later over the earlier: preset, recipe file, flags, `--set`.

    `flags` are recipe fields as typed; `None` where a flag was not given. Nothing is validated yet.
    """
    from engine.presets import get_preset
    from engine.recipe import load_recipe_values, parse_setting, parse_value

    values: dict[str, Any] = dict(get_preset(preset, home).values) if preset else {}
    if file is not None:
        values |= load_recipe_values(file)
    for name, text in flags.items():
        if text is not None:
            values[name] = text if name in _WORDS else parse_value(text)
    return values | dict(parse_setting(text) for text in settings)


_WORDS = frozenset({"model", "dataset", "method", "backend"})
"""Fields whose value is a word even where it reads as a number."""


@command(
    app,
    "train",
    example=[
        "train --preset quick-look --dataset support --wait",
        "train recipe.toml --epochs 5 --set lora_dropout=0.1 --name support-5",
        "train --dataset support --dry-run > recipe.toml",
    ],
)
def train(
    session: Session,
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE.toml", help="A recipe file.", show_default=False)
    ] = None,
    model: Annotated[
        Text, typer.Option(help="Base model: starter, a folder, or a hub name.", show_default=False)
    ] = None,
    dataset: Annotated[Text, typer.Option(help="Dataset to train on: its name or id.", show_default=False)] = None,
    preset: Annotated[Text, typer.Option(help="Preset to start from.", show_default=False)] = None,
    method: Annotated[Text, typer.Option(help="qlora, lora or full.", show_default=False)] = None,
    epochs: Annotated[
        Text, typer.Option(metavar="N", help="Passes over the training rows.", show_default=False)
    ] = None,
    batch_size: Annotated[Text, typer.Option(metavar="N", help="Rows at once on a device.", show_default=False)] = None,
    learning_rate: Annotated[Text, typer.Option(metavar="X", help="Peak learning rate.", show_default=False)] = None,
    lora_rank: Annotated[Text, typer.Option(metavar="N", help="Rank of the adapter.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any field of the recipe; repeat it.", show_default=False),
    ] = None,
    name: Annotated[Text, typer.Option(help="Name of the run; else one is made.", show_default=False)] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="T", help="Tag of the run; repeat it.", show_default=False)
    ] = None,
    backend: Annotated[Text, typer.Option(help="Where the run is started: local.", show_default=False)] = None,
    devices: Annotated[Text, typer.Option(help="How many GPUs, or auto.", show_default=False)] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the run has ended.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the whole recipe and launch nothing.")] = False,
) -> None:
    """Launch a run. It goes on when the terminal is closed.

    The later wins: defaults, --preset, RECIPE.toml, flags, --set.
    """
    from engine.models import resolve_model
    from engine.recipe import make_recipe

    flags = {
        "model": model,
        "dataset": dataset,
        "method": method,
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "learning_rate": learning_rate,
        "lora_r": lora_rank,
        "backend": backend,
        "devices": devices,
    }
    made = make_recipe(recipe_values(session.home, preset, recipe, flags, settings or []))
    if dry_run:
        base = resolve_model(made.model, session.home)
        data = session.library.resolve(made.dataset)
        document = {
            "recipe": made.model_dump(mode="json"),
            "model": model_document(base),
            "dataset": dataset_document(data),
        }
        session.answer(document, made.to_toml)
        return
    run = session.manager.launch(made, name=name, tags=tags or ())
    if wait:
        _wait(session, run)
        return
    session.answer(
        run_document(run),
        f"Launched {clean(run.name)} ({run.id}).\n"
        f"`finetui` shows it live; `finetui runs log {run.id} -f` follows its log.",
    )


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
