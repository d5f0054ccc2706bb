"""The spec of a sweep: a recipe, what is varied in it, and how the next trial is chosen. TOML on disk."""

import random
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine.errors import BadInput
from engine.home import Home
from engine.recipe import SHORT_NAMES, Recipe, load_recipe_values, make_recipe, recipe_problems
from engine.sweeps.space import Axis, axis_problem, grid_cells, grid_problem, grid_size
from engine.toml import read_toml

MOST_TRIALS = 1000
USUAL_TRIALS = 20


class SweepSpec(BaseModel):
    """Everything that decides what a sweep does. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="what the sweep is called; its runs are NAME-01, NAME-02…", min_length=1)
    method: Literal["grid", "tpe", "random"] = Field(
        "tpe",
        description="grid: every combination; tpe: learns from the trials before it where to look; random: chance",
    )
    trials: int | None = Field(
        None, description="runs in all; a grid has as many as combinations, the others 20", ge=1, le=MOST_TRIALS
    )
    metric: str = Field("eval/loss", description="what is made best, of the evaluations", pattern="^eval/.+")
    direction: Literal["minimize", "maximize"] = Field("minimize", description="which way is better")
    concurrency: int = Field(1, description="runs launched at a time; they queue for devices as all do", ge=1, le=64)
    prune: bool = Field(True, description="stop runs that do worse than others did at the same point")
    pruner: Literal["median", "hyperband"] = Field(
        "median",
        description="median: worse than half of the finished ones; hyperband: not in the best third of its bracket",
    )
    warmup_evaluations: int = Field(2, description="evaluations of a run before it may be pruned", ge=0, le=10_000)
    startup_trials: int = Field(4, description="runs that finish before any is pruned", ge=1, le=MOST_TRIALS)
    max_failures: int = Field(3, description="failures in a row that end the sweep", ge=1, le=MOST_TRIALS)
    seed: int = Field(42, description="same seed, same choices", ge=0, le=2**32 - 1)
    search: dict[str, Axis] = Field(description="the fields that are varied, with their values or ranges")
    recipe: dict[str, Any] = Field(description="the recipe that the trials share")

    @field_validator("search", mode="before")
    @classmethod
    def _full_names(cls, search: Any) -> Any:
        if not isinstance(search, dict):
            return search
        if not search:
            raise ValueError("varies nothing; name a field and its values")
        return {SHORT_NAMES.get(name, name): axis for name, axis in search.items()}

    @property
    def total(self) -> int:
        """How many trials it comes to."""
        if self.method == "grid":
            size = grid_size(self.search)
            return size if self.trials is None else min(size, self.trials)
        return self.trials or USUAL_TRIALS

    def cells(self) -> list[dict[str, Any]]:
        """What the trials of a grid set, in order; where fewer are asked for, so many of them by chance.

        Nothing for another method.
        """
        if self.method != "grid":
            return []
        cells = grid_cells(self.search)
        chosen = random.Random(self.seed).sample(range(len(cells)), self.total)
        return [cells[place] for place in sorted(chosen)]

    def recipe_of(self, params: dict[str, Any]) -> Recipe:
        """The recipe of a trial. Raises `BadInput`."""
        return make_recipe(self.recipe | params)

    def to_toml(self) -> str:
        """The spec as TOML, the recipe last."""
        head = self.model_dump(mode="json", exclude_none=True, exclude={"search", "recipe"})
        search = {name: axis.written() for name, axis in self.search.items()}
        recipe = {name: value for name, value in self.recipe.items() if value is not None}
        return tomli_w.dumps(head | {"search": search, "recipe": recipe})


def make_spec(values: dict[str, Any]) -> SweepSpec:
    """A validated spec. Raises `BadInput` that names everything wrong at once."""
    problems = spec_problems(values)
    if problems:
        lines = "\n".join(f"  {name}: {text}" for name, text in problems.items())
        raise BadInput(
            "The sweep cannot work:",
            why=lines,
            fix="Change that and try again; the manual's page on sweeps has examples.",
        )
    return SweepSpec.model_validate(values)


def load_spec(path: Path, home: Home | None = None) -> SweepSpec:
    """The spec in a file. `preset` and `base` (a recipe file, beside it) are laid under its `[recipe]`.

    Raises `BadInput`.
    """
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        raise BadInput(
            f"There is no sweep at {path}.", fix="A sweep is a TOML file; see `finetui sweep --help`."
        ) from (error)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as a sweep.", why=str(error), fix="A sweep is a TOML file.") from error
    return make_spec(_with_base({"name": path.stem} | values, path.parent, home))


def _with_base(values: dict[str, Any], folder: Path, home: Home | None) -> dict[str, Any]:
    from engine.presets import get_preset

    values = dict(values)
    preset, base, own = values.pop("preset", None), values.pop("base", None), values.get("recipe", {})
    for key, name in (("preset", preset), ("base", base)):
        if name is not None and not isinstance(name, str):
            raise BadInput(f"`{key}` of a sweep is a name in quotes, not {name!r}.")
    if not isinstance(own, dict):
        return values
    recipe = dict(get_preset(preset, home).values) if preset else {}
    if base:
        recipe |= load_recipe_values(folder / Path(base).expanduser())
    return values | {"recipe": recipe | {SHORT_NAMES.get(name, name): value for name, value in own.items()}}


def spec_problems(values: dict[str, Any]) -> dict[str, str]:
    """What is wrong with a spec, by its place: `method`, `search.lora_r`, `recipe.dataset`. Empty for a good one."""
    found: dict[str, str] = {}
    try:
        SweepSpec.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            found.setdefault(*_problem(item))
    name = values.get("name")
    if isinstance(name, str) and "name" not in found and (problem := _name_problem(name)):
        found["name"] = problem
    recipe, search = values.get("recipe"), values.get("search")
    if isinstance(recipe, dict) and isinstance(search, dict):
        known = {SHORT_NAMES.get(str(name), str(name)): _axis(raw) for name, raw in search.items()}
        axes = {name: axis for name, axis in known.items() if axis is not None}
        grid = values.get("method") == "grid"
        found |= {name: text for name, text in _recipe_problems(recipe, axes, grid).items() if name not in found}
        if grid and not found:
            found |= _grid_problems(recipe, axes)
    return found


def _problem(item: Any) -> tuple[str, str]:
    place = ".".join(str(part) for part in item["loc"])
    text = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        known = list(Axis.model_fields if place.startswith("search.") else (*SweepSpec.model_fields, "preset", "base"))
        near = get_close_matches(place.rpartition(".")[2], known, n=1)
        return place, "is not a key of a sweep" + (f"; did you mean {near[0]}?" if near else f" ({', '.join(known)})")
    if item["type"] == "missing":
        return place, "is missing"
    if place == "metric":
        return place, f"must be a figure of the evaluations, such as eval/loss (got {item['input']!r})"
    return place, text[:1].lower() + text[1:]


def _axis(raw: Any) -> Axis | None:
    try:
        return Axis.model_validate(raw)
    except ValidationError:
        return None


def _recipe_problems(recipe: dict[str, Any], axes: dict[str, Axis], grid: bool) -> dict[str, str]:
    """What is wrong with the recipe, and with each field's candidates in it, one field at a time."""
    found: dict[str, str] = {}
    middle = recipe | {name: axis.corners[0] for name, axis in axes.items()}
    shared = recipe_problems(middle)
    for name, text in shared.items():
        if name not in axes:
            found[f"recipe.{name}"] = text
    for name, axis in axes.items():
        problem = axis_problem(name, axis) or (grid_problem(name, axis) if grid else "")
        for corner in axis.corners:
            problem = problem or recipe_problems(middle | {name: corner}).get(name, "")
        if problem:
            found[f"search.{name}"] = problem
    return found


def _grid_problems(recipe: dict[str, Any], axes: dict[str, Axis]) -> dict[str, str]:
    """Combinations that cannot work although each value does."""
    found: dict[str, str] = {}
    size = grid_size(axes)
    if size > MOST_TRIALS:
        return {"search": f"has {size:,} combinations; {MOST_TRIALS:,} are the most. Take fewer values, or tpe"}
    for cell in grid_cells(axes):
        for name, text in recipe_problems(recipe | cell).items():
            found.setdefault(f"search.{name}" if name in axes else f"recipe.{name}", text)
    return found


def _name_problem(name: str) -> str:
    from engine.runs.launcher import clean_name

    try:
        clean_name(name)
    except BadInput as error:
        return error.what
    return "has more than 60 characters" if len(name) > 60 else ""
