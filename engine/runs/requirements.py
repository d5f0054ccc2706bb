"""What a run needs of this installation and this machine: packages, devices, a cluster, code it may run."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import util
from pathlib import Path

from engine.errors import BadInput
from engine.models import ModelInfo, hub_is_off
from engine.recipe import Recipe
from engine.runs.backends import slurm
from engine.runs.backends.local import candidate_devices

TORCH_SIDE = ("torch", "transformers", "trl", "peft", "datasets")
"""Packages that the extra `train` brings and a worker cannot do without."""

INSTALLATION = "installation"
"""Stands for the training side itself, which is no field of the recipe."""

Lack = tuple[str, BadInput]
"""The recipe's field, and what is missing for it."""


def require_torch_side() -> None:
    """Raises `BadInput` where the extra `train` is not installed."""
    for _, error in _lacks_torch_side():
        raise error


def lacks(recipe: Recipe, model: ModelInfo | None) -> Iterator[Lack]:
    """All that is missing for a run of `recipe` on `model`, where that is known. Looks at files only."""
    yield from _lacks_torch_side()
    if model is not None:
        yield from _lacks_trust(recipe, model)
    yield from _lacks_packages(recipe)
    if recipe.backend == "slurm":
        for name, text in slurm.problems(recipe.model_dump()).items():
            yield name, BadInput(f"{name}: {text}.")
        return
    if recipe.nodes > 1:
        yield "nodes", BadInput(f"nodes = {recipe.nodes} is for Slurm.", fix="Set nodes = 1, or backend = slurm.")
    yield from _lacks_devices(recipe)


@cache
def known_architectures() -> frozenset[str]:
    """Names of the architectures that Transformers has itself, read from its files without importing it."""
    spec = util.find_spec("transformers")
    if spec is None or spec.origin is None:
        return frozenset()
    folder = Path(spec.origin).parent / "models" / "auto"
    files = [folder / name for name in ("auto_mappings.py", "configuration_auto.py")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return frozenset(re.findall(r'\(\s*"([\w.-]+)",\s*"\w+Config"', "\n".join(texts)))


def _missing(names: Sequence[str]) -> list[str]:
    return [name for name in names if util.find_spec(name) is None]


def _lacks_torch_side() -> Iterator[Lack]:
    missing = _missing(TORCH_SIDE)
    if missing:
        yield (
            INSTALLATION,
            BadInput(
                "This installation can review runs, but not train.",
                why=f"Not installed here: {', '.join(missing)}.",
                fix="Install the training side: pip install 'finetui[train]'",
            ),
        )


def _lacks_trust(recipe: Recipe, model: ModelInfo) -> Iterator[Lack]:
    if model.problem and (model.kind != "hub" or hub_is_off()):
        yield "model", BadInput(f"The model {model.name} cannot be trained.", why=f"It {model.problem}.")
    elif model.own_code and not recipe.trust_remote_code and model.model_type not in known_architectures():
        yield (
            "trust_remote_code",
            BadInput(
                f"{model.name} needs code that comes with the model.",
                why=f"Its config.json has an auto_map, and Transformers does not know {model.model_type!r}; "
                "nothing of it was run.",
                fix="Read that code, then set trust_remote_code = true in the recipe if you trust it.",
            ),
        )


def _lacks_packages(recipe: Recipe) -> Iterator[Lack]:
    """Packages that a recipe asks for, beside those that every run needs."""
    wanted: list[tuple[str, str, Sequence[str]]] = [("report_to", ", ".join(recipe.report_to), recipe.report_to)]
    if recipe.method in ("qlora", "lora8bit"):
        wanted.append(("method", recipe.method, ("bitsandbytes",)))
    elif recipe.optim not in ("auto", "adamw_torch"):
        wanted.append(("optim", recipe.optim, ("bitsandbytes",)))
    for name, value, packages in wanted:
        missing = _missing(packages)
        if missing:
            what = f"{name} = {value} needs what is not installed here: {', '.join(missing)}."
            yield name, BadInput(what, fix=f"Install it: pip install {' '.join(missing)}")


def _lacks_devices(recipe: Recipe) -> Iterator[Lack]:
    there = [*candidate_devices()]
    why = f"There are: {', '.join(there)}."
    if there == ["cpu"]:
        if isinstance(recipe.devices, tuple):
            fix = "Set devices = auto, or a number of processes."
            yield "devices", BadInput("The recipe names GPUs, and there is none here.", fix=fix)
    elif isinstance(recipe.devices, tuple):
        unknown = [f"gpu{index}" for index in recipe.devices if f"gpu{index}" not in there]
        if unknown:
            yield "devices", BadInput(f"There is no {' and no '.join(unknown)} here.", why=why, fix="Name others.")
    elif isinstance(recipe.devices, int) and recipe.devices > len(there):
        fix = f"Set devices to {len(there)} or less."
        yield "devices", BadInput(f"The recipe asks for {recipe.devices} devices.", why=why, fix=fix)
