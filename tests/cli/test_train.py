"""`finetui train`: layers, checks, and what is launched."""

import tomllib
from pathlib import Path

import pytest

from engine.home import Home
from tests.cli.conftest import Cli
from tui.cli.recipe_options import recipe_values


def test_the_later_layer_wins(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('lora_r = 5\nlora_alpha = 6\nlearning_rate = 1e-3\nseed = 7\nmodel = "1234"\n')
    flags = {"lora_r": "8", "learning_rate": "2e-3", "num_train_epochs": None, "dataset": "42"}
    values = recipe_values(home, "quick-look", file, flags, ["lr=3e-3", "tags_of_mine=x"])
    assert values["max_steps"] == 40, "from the preset"
    assert values["lora_alpha"] == 6 and values["seed"] == 7, "from the file"
    assert values["lora_r"] == 8, "from the flag"
    assert values["learning_rate"] == 3e-3, "from --set, by its short name"
    assert values["dataset"] == "42" and values["model"] == "1234"
    assert values["tags_of_mine"] == "x" and "num_train_epochs" not in values


def test_dry_run_prints_a_recipe_that_can_be_used(cli: Cli, chats: Path, tmp_path: Path, home: Home) -> None:
    cli("datasets", "import", str(chats), "--name", "small")
    shown = cli("train", "--preset", "quick-look", "--dataset", "small", "--lora-rank", "4", "--dry-run")
    assert shown.status == 0
    values = tomllib.loads(shown.stdout)
    assert values["lora_r"] == 4 and values["max_steps"] == 40 and values["dataset"] == "small"
    file = tmp_path / "again.toml"
    file.write_text(shown.stdout)
    again = cli("train", str(file), "--dry-run", "--json").json
    assert {key: value for key, value in again["recipe"].items() if value is not None} == values
    assert again["dataset"]["name"] == "small" and again["model"]["name"] == "starter"
    assert list(home.runs.iterdir()) == [], "nothing was launched"


def test_every_wrong_field_is_said_at_once(cli: Cli) -> None:
    failed = cli(
        "train", "--epochs", "abc", "--lora-rank", "0", "--method", "magic", "--set", "lerning_rate=1", "--dry-run"
    )
    assert failed.status == 2
    for name in ("num_train_epochs", "lora_r", "method", "lerning_rate", "dataset"):
        assert name in failed.stderr
    assert "did you mean learning_rate" in failed.stderr


@pytest.mark.parametrize("content", ["not toml at all", "\x00", "lora_r = "])
def test_a_file_that_is_no_recipe(cli: Cli, tmp_path: Path, content: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(content)
    failed = cli("train", str(file))
    assert failed.status == 2 and "recipe" in failed.stderr
