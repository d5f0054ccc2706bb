"""Ways of sampling under names: some that everybody needs, and the user's own, kept in the home."""

import json
from dataclasses import asdict, fields
from math import isfinite
from typing import Any

from engine.errors import BadInput
from engine.home import Home
from engine.inference.client import Sampling
from engine.runs.rundir import write_json

FILE = "sampling.json"

BUILT_IN: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0, "top_p": 1.0, "top_k": 0},
    "balanced": {"temperature": 0.7, "top_p": 0.9, "top_k": 0},
    "creative": {"temperature": 1.1, "top_p": 0.95, "top_k": 0},
}
"""Fields of `Sampling`; those that are not named stay as they are."""

_TYPES: dict[str, tuple[type, ...]] = {
    "max_new_tokens": (int,),
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": (int,),
    "seed": (int, type(None)),
    "stop": (list,),
}


def presets(home: Home) -> dict[str, dict[str, Any]]:
    """All presets by name, the user's own last. Raises `BadInput` where their file is damaged."""
    return BUILT_IN | own_presets(home)


def own_presets(home: Home) -> dict[str, dict[str, Any]]:
    """The user's own. Raises `BadInput` where their file is damaged."""
    path = home.root / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read.", why=str(error), fix="Mend the file or delete it.") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no presets.", fix="Mend the file or delete it.")
    return {str(name): _known(values) for name, values in found.items() if isinstance(values, dict)}


def keep_preset(home: Home, name: str, sampling: Sampling) -> None:
    """Keep a way of sampling under a name; an own one of that name is replaced. Raises `BadInput`."""
    name = name.strip()
    if not name:
        raise BadInput("A preset needs a name.")
    if name in BUILT_IN:
        raise BadInput(f"{name} is one of finetui's own presets.", fix="Choose another name.")
    _write(home, own_presets(home) | {name: asdict(sampling)})


def forget_preset(home: Home, name: str) -> None:
    """Forget one of the user's own. Raises `BadInput` for a preset of finetui's own."""
    if name in BUILT_IN:
        raise BadInput(f"{name} is one of finetui's own presets.", why="It cannot be deleted.")
    _write(home, {own: values for own, values in own_presets(home).items() if own != name})


def sampling_of(values: dict[str, Any], sampling: Sampling | None = None) -> Sampling:
    """`sampling` with the fields in `values`, as they come from JSON; what is no field of it, or damaged, is left."""
    known = asdict(sampling or Sampling()) | _known(values)
    return Sampling(**(known | {"stop": tuple(str(text) for text in known["stop"])}))


def _known(values: dict[str, Any]) -> dict[str, Any]:
    names = [one.name for one in fields(Sampling)]
    return {name: value for name, value in values.items() if name in names and _fits(name, value)}


def _fits(name: str, value: Any) -> bool:
    """Whether a field may have that value: no truth for a number, and no number that JSON does not have."""
    if isinstance(value, bool) or (isinstance(value, float) and not isfinite(value)):
        return False
    return isinstance(value, _TYPES[name])


def _write(home: Home, own: dict[str, dict[str, Any]]) -> None:
    try:
        write_json(home.root / FILE, own)
    except OSError as error:
        raise BadInput(
            f"{home.root / FILE} cannot be written.",
            why=f"The system says: {error.strerror or error}.",
            fix="Free or unlock that folder.",
        ) from error
