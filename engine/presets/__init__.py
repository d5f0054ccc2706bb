"""Presets: recipes to start from. Some come with finetui; `<home>/presets/*.toml` holds the user's own."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from engine.errors import BadInput, NotFound
from engine.home import Home

_OWN = Path(__file__).parent
GENERAL = ("quick-look", "conservative", "aggressive")
"""They leave to the planner how a batch is made up."""
OTHERS = ("emogpt", "customer-support", "siya", "heysalad", "pride-and-prejudice")
"""What others have built, with their own settings."""


@dataclass(frozen=True)
class Preset:
    """Fields of a recipe under a name. `problem` says what is wrong with one that cannot be used."""

    name: str
    description: str
    values: dict[str, Any]
    problem: str = ""


def list_presets(home: Home | None = None) -> list[Preset]:
    """Those of finetui, then the user's by name. A preset of the user's replaces one of the same name."""
    own = {name: _OWN / f"{name}.toml" for name in (*GENERAL, *OTHERS)}
    users = {path.stem: path for path in sorted((home.root / "presets").glob("*.toml"))} if home else {}
    return [_load(name, path) for name, path in (own | users).items()]


def get_preset(name: str, home: Home | None = None) -> Preset:
    """The preset `name`. Raises `NotFound`, and `BadInput` for one that cannot be used."""
    presets = {preset.name: preset for preset in list_presets(home)}
    preset = presets.get(name)
    if preset is None:
        near = get_close_matches(name, presets, n=1)
        raise NotFound(
            f"There is no preset {name!r}.",
            why=f"Did you mean {near[0]}?" if near else "",
            fix=f"The presets are {', '.join(presets)}.",
        )
    if preset.problem:
        raise BadInput(f"The preset {name!r} cannot be used.", why=preset.problem, fix="Mend or remove its file.")
    return preset


def save_preset(home: Home, name: str, values: dict[str, Any], description: str = "") -> Path:
    """Keep fields of a recipe as a preset of the user's; one of the same name is replaced. Raises `BadInput`."""
    import tomli_w

    if not re.fullmatch(r"\w[\w.-]{0,59}", name):
        raise BadInput(
            f"A preset cannot be called {name[:80]!r}.", fix="Take letters, digits, dots, - and _, at most 60."
        )
    path = home.root / "presets" / f"{name}.toml"
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        draft.write_text(tomli_w.dumps({"description": description, "recipe": values}), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise BadInput(f"The preset cannot be kept at {path}.", why=f"The system says: {error.strerror}.") from error
    return path


def _load(name: str, path: Path) -> Preset:
    from engine.recipe import load_recipe_values, recipe_problems

    try:
        content = load_recipe_values(path)
    except BadInput as error:
        return Preset(name, "", {}, str(error))
    values = content.get("recipe")
    if not isinstance(values, dict):
        return Preset(name, "", {}, f"{path} has no [recipe] table")
    problems = recipe_problems({"dataset": "any"} | values)
    return Preset(
        name,
        str(content.get("description", "")),
        values,
        "\n".join(f"{field}: {text}" for field, text in problems.items()),
    )
