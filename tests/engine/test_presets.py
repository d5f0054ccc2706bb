"""The presets that come with finetui work as they are; the user's own join them."""

from pathlib import Path

import pytest

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.presets import get_preset, list_presets
from engine.recipe import make_recipe


def test_the_three_presets_make_recipes() -> None:
    presets = list_presets()
    assert [preset.name for preset in presets] == ["quick-look", "conservative", "aggressive"]
    for preset in presets:
        assert preset.problem == ""
        assert preset.description
        make_recipe({"dataset": "any"} | preset.values)


@pytest.mark.parametrize(
    ("name", "epochs", "rate", "decay", "batch", "accumulation", "rank", "alpha", "dropout"),
    [("conservative", 3, 1e-4, 0.01, 2, 8, 8, 16, 0.1), ("aggressive", 5, 2e-4, 0.0, 4, 4, 16, 32, 0.05)],
)
def test_they_have_the_settings_they_are_named_for(
    name: str,
    epochs: int,
    rate: float,
    decay: float,
    batch: int,
    accumulation: int,
    rank: int,
    alpha: int,
    dropout: float,
) -> None:
    recipe = make_recipe({"dataset": "any"} | get_preset(name).values)
    assert (recipe.num_train_epochs, recipe.learning_rate, recipe.weight_decay) == (epochs, rate, decay)
    assert (recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps) == (batch, accumulation)
    assert (recipe.lora_r, recipe.lora_alpha, recipe.lora_dropout) == (rank, alpha, dropout)
    assert (recipe.warmup_ratio, recipe.max_length, recipe.eval_steps, recipe.save_total_limit) == (0.1, 1024, 50, 2)
    assert recipe.batches_per_step == 16


def test_a_quick_look_is_one_short_pass() -> None:
    recipe = make_recipe({"dataset": "any"} | get_preset("quick-look").values)
    assert (recipe.max_steps, recipe.max_length, recipe.batches_per_step) == (40, 512, 4)
    assert recipe.early_stopping_patience == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "presets"
    folder.mkdir(parents=True)
    return folder


def test_the_users_presets_follow_and_may_replace(folder: Path) -> None:
    home = Home(folder.parent)
    (folder / "mine.toml").write_text('description = "Mine"\n[recipe]\nlora_r = 64\n')
    (folder / "aggressive.toml").write_text('description = "My way"\n[recipe]\nlora_r = 128\n')
    assert [preset.name for preset in list_presets(home)] == ["quick-look", "conservative", "aggressive", "mine"]
    assert get_preset("mine", home).values == {"lora_r": 64}
    assert get_preset("aggressive", home).description == "My way"
    with pytest.raises(NotFound):
        get_preset("mine")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[recipe]\nlora_rank = 0\nlora_r = 0\n", "lora_r: "),
        (b"[recipe]\nlora_rang = 4\n", "did you mean lora_r"),
        (b"lora_r = 4\n", "has no [recipe] table"),
        (b"recipe = 4\n", "has no [recipe] table"),
        (b"lora_r = \n", "cannot be read as a recipe"),
        (b"\xff\xfe", "cannot be read as a recipe"),
    ],
)
def test_a_broken_preset_is_listed_with_its_problem_and_refused(folder: Path, content: bytes, problem: str) -> None:
    home = Home(folder.parent)
    (folder / "broken.toml").write_bytes(content)
    preset = list_presets(home)[-1]
    assert preset.name == "broken"
    assert problem in preset.problem
    with pytest.raises(BadInput, match="cannot be used"):
        get_preset("broken", home)


def test_an_unknown_preset_names_the_near_one() -> None:
    with pytest.raises(NotFound, match="no preset 'agressive'") as error:
        get_preset("agressive")
    assert "aggressive" in error.value.why
    assert "quick-look" in error.value.fix
