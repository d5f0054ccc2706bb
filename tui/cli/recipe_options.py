"""The arguments that say what to train: shared by `finetui train` and `finetui estimate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.home import Home
from tui.cli.command import Session

if TYPE_CHECKING:
    from engine.recipe import Recipe
    from engine.runs.preflight import Preflight

Text = str | None

RecipeFile = Annotated[Path | None, typer.Argument(metavar="RECIPE.toml", help="A recipe file.", show_default=False)]
Model = Annotated[Text, typer.Option(help="Base model: starter, a folder, or a hub name.", show_default=False)]
DatasetName = Annotated[Text, typer.Option(help="Dataset to train on: its name or id.", show_default=False)]
PresetName = Annotated[Text, typer.Option(help="Preset to start from.", show_default=False)]
Method = Annotated[Text, typer.Option(help="qlora, lora, lora8bit, dora or full.", show_default=False)]
Epochs = Annotated[Text, typer.Option(metavar="N", help="Passes over the training rows.", show_default=False)]
BatchSize = Annotated[Text, typer.Option(metavar="N", help="Rows at once on a device.", show_default=False)]
LearningRate = Annotated[Text, typer.Option(metavar="X", help="Peak learning rate.", show_default=False)]
LoraRank = Annotated[Text, typer.Option(metavar="N", help="Rank of the adapter.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any field of the recipe; repeat it.", show_default=False),
]
RunName = Annotated[Text, typer.Option(help="Name of the run; else one is made.", show_default=False)]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="T", help="Tag of the run; repeat it.", show_default=False)
]
Backend = Annotated[Text, typer.Option(help="Where the run is started: local or slurm.", show_default=False)]
Devices = Annotated[Text, typer.Option(help="Which GPUs (0,1), how many (2), or auto.", show_default=False)]
Priority = Annotated[int, typer.Option(metavar="N", help="Higher goes first in the queue.")]

_WORDS = frozenset({"model", "dataset", "method", "backend"})
"""Fields whose value is a word even where it reads as a number."""


FLAGS = {
    "epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "lora_rank": "lora_r",
}
"""Flags that are called otherwise than the recipe's field."""


def asked_recipe(
    home: Home, file: Path | None, preset: str | None, settings: list[str] | None, **flags: str | None
) -> "Recipe":
    """The recipe that a command line asks for. Raises `BadInput` that names every wrong field."""
    from engine.recipe import make_recipe

    fields = {FLAGS.get(name, name): text for name, text in flags.items()}
    return make_recipe(recipe_values(home, preset, file, fields, settings or []))


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
            values[name] = text if name in _WORDS else _numbers(text) if name == "devices" else parse_value(text)
    return values | dict(parse_setting(text) for text in settings)


def _numbers(text: str) -> Any:
    """`0,1` as the numbers of devices, `2` as how many, `auto` as it is."""
    from engine.recipe import parse_value

    if "," not in text:
        return parse_value(text)
    return [parse_value(part.strip()) for part in text.split(",") if part.strip()]


def look_ahead(session: Session, recipe: "Recipe") -> "Preflight":
    """Plan the run, with what takes long on the progress line."""
    from engine.runs.preflight import preflight

    with session.progress() as progress:
        return preflight(session.home, session.store, recipe, progress=lambda words: progress.update(words))
