"""The spec of a sweep: what is refused, what a grid comes to, how it is typed and written."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput
from engine.home import Home
from engine.sweeps.folder import SweepDir
from engine.sweeps.lines import parse_search, search_words
from engine.sweeps.space import Axis
from engine.sweeps.spec import load_spec, make_spec, spec_problems
from engine.sweeps.study import Study


def values(**changes: Any) -> dict[str, Any]:
    return {"name": "rates", "search": {"lora_r": [8, 16]}, "recipe": {"dataset": "support"}} | changes


def test_everything_wrong_is_said_at_once() -> None:
    problems = spec_problems(
        {
            "method": "gird",
            "trials": 0,
            "prun": True,
            "metric": "train/loss",
            "search": {
                "lerning_rate": [1e-4],
                "lora_r": [8, 0],
                "lora_alpha": {"low": 1.5, "high": 3},
                "optim": {"low": 1, "high": 2},
                "warmup_ratio": {"low": 0.1, "hihg": 0.2},
                "seed": [1, 1],
                "weight_decay": {"low": 0, "high": 1, "log": True},
            },
            "recipe": {"lora_dropout": 3},
        }
    )
    words = {
        "name": "is missing",
        "method": "'grid', 'tpe' or 'random'",
        "trials": "greater than or equal to 1",
        "prun": "did you mean prune?",
        "metric": "such as eval/loss",
        "search.lerning_rate": "did you mean learning_rate?",
        "search.lora_r": "got 0",
        "search.lora_alpha": "takes whole numbers",
        "search.optim": "give a list of values",
        "search.warmup_ratio.hihg": "did you mean high?",
        "search.seed": "has 1 twice",
        "search.weight_decay": "low must be above 0",
        "recipe.dataset": "is missing",
        "recipe.lora_dropout": "less than 1",
    }
    assert problems.keys() == words.keys()
    assert all(text in problems[place] for place, text in words.items()), problems


@pytest.mark.parametrize(
    ("search", "place", "text"),
    [
        ({}, "search", "varies nothing"),
        ({"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}, "search.learning_rate", "a list of values"),
        ({"seed": {"low": 1, "high": 2000}}, "search", "2,000 combinations"),
        ({"devices": [2, (0, 0)]}, "search.devices", "once"),
    ],
)
def test_grids_that_cannot_be_laid_out(search: Any, place: str, text: str) -> None:
    assert text in spec_problems(values(method="grid", search=search)).get(place, "")


def test_a_grid_has_every_combination_once() -> None:
    search = {
        "lr": [1e-4, 1e-3],
        "lora_r": {"low": 8, "high": 16, "step": 4},
        "num_train_epochs": {"low": 0.5, "high": 1.5, "step": 0.5},
    }
    spec = make_spec(values(method="grid", search=search))
    cells = spec.cells()
    assert spec.total == len(cells) == 18
    assert cells[:4] == [
        {"learning_rate": 1e-4, "lora_r": rank, "num_train_epochs": epochs}
        for rank, epochs in ((8, 0.5), (8, 1.0), (8, 1.5), (12, 0.5))
    ]
    some = make_spec(values(method="grid", search=search, trials=5)).cells()
    places = [cells.index(cell) for cell in some]
    assert len(places) == 5 and places == sorted(set(places)), "five of them, in order"
    assert make_spec(values(search=search)).total == 20
    assert make_spec(tomllib.loads(spec.to_toml())) == spec
    assert spec.recipe_of(cells[0]).lora_r == 8


def test_a_file_starts_from_a_preset_and_a_recipe(home: Home, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('dataset = "support"\nlora_r = 5\nseed = 7\n')
    file = tmp_path / "ranks.toml"
    file.write_text('preset = "quick-look"\nbase = "recipe.toml"\n[recipe]\nseed = 8\n[search]\nlr = [1e-4, 2e-4]\n')
    spec = load_spec(file, home)
    recipe = spec.recipe_of({"learning_rate": 2e-4})
    assert (spec.name, recipe.max_steps, recipe.lora_r, recipe.seed) == ("ranks", 40, 5, 8)
    assert recipe.learning_rate == 2e-4
    file.write_text("base = 3")
    with pytest.raises(BadInput, match="base"):
        load_spec(file, home)
    with pytest.raises(BadInput, match="no sweep at"):
        load_spec(tmp_path / "nothing.toml", home)


def test_lines() -> None:
    typed = "lr = 1e-5..1e-3 log\n\nlora_r = 8, 16\nlora_alpha=16..64 step 16\nmethod = qlora, lora\n"
    typed += 'packing = true, auto\ntarget_modules = "all-linear", ["q_proj"]'
    found = parse_search(typed)
    assert found == {
        "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
        "lora_r": [8, 16],
        "lora_alpha": {"low": 16, "high": 64, "step": 16},
        "method": ["qlora", "lora"],
        "packing": [True, "auto"],
        "target_modules": ["all-linear", ["q_proj"]],
    }
    words = [search_words(Axis.model_validate(axis)) for axis in found.values()]
    assert words[:3] == ["1e-5..1e-3 log", "8, 16", "16..64 step 16"]
    with pytest.raises(BadInput) as error:
        parse_search("lora_r\nseed = \nlora_alpha = 1..x\nlr = 1..2 lgo\nlr=1\nlr=2")
    assert error.value.why.count("\n") == 4


def test_choices_do_not_depend_on_restarts(tmp_path: Path) -> None:
    """A study that is opened anew asks for the same as one that stays open."""
    search = {"lora_alpha": {"low": 1, "high": 1000, "log": True}, "packing": [True, "auto"]}
    spec = make_spec(values(search=search, trials=6))
    asked: list[list[dict[str, Any]]] = []
    for name, restart in (("one", None), ("two", 4)):
        folder = SweepDir(tmp_path / name)
        folder.path.mkdir()
        study = Study(folder, spec)
        for place in range(6):
            if place == restart:
                study = Study(folder, spec)
            number = study.ask()
            assert number == place == study.asked - 1
            value = float(study.params(number)["lora_alpha"])
            study.report(number, [(10, value + 1), (20, value)])
            study.complete(number, value, 20)
        asked.append([trial.params for trial in study.trials()])
    assert asked[0] == asked[1]


def test_the_app_does_not_import_optuna() -> None:
    """It takes as long as the app's first frame, and only the driver and the larger analyses need it."""
    asked = "import sys, engine.sweeps.manager, engine.sweeps.analysis; print('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "False\n"
