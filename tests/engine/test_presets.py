"""The presets that come with finetui work as they are; the user's own join them."""

from pathlib import Path

import pytest

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.presets import GENERAL, OTHERS, get_preset, list_presets, save_preset
from engine.recipe import make_recipe


def test_the_presets_make_recipes() -> None:
    presets = list_presets()
    assert [preset.name for preset in presets] == [*GENERAL, *OTHERS]
    for preset in presets:
        assert preset.problem == ""
        assert preset.description
        assert not {"model", "dataset"} & preset.values.keys(), "these are for the person who trains"
        make_recipe({"dataset": "any"} | preset.values)


@pytest.mark.parametrize(
    ("name", "epochs", "rate", "decay", "rank", "alpha", "dropout"),
    [("conservative", 3, 1e-4, 0.01, 8, 16, 0.1), ("aggressive", 5, 2e-4, 0.0, 16, 32, 0.05)],
)
def test_they_have_the_settings_they_are_named_for(
    name: str, epochs: int, rate: float, decay: float, rank: int, alpha: int, dropout: float
) -> None:
    recipe = make_recipe({"dataset": "any"} | get_preset(name).values)
    assert (recipe.num_train_epochs, recipe.learning_rate, recipe.weight_decay) == (epochs, rate, decay)
    assert (recipe.lora_r, recipe.lora_alpha, recipe.lora_dropout) == (rank, alpha, dropout)
    assert (recipe.warmup_ratio, recipe.effective_batch_size, recipe.save_total_limit) == (0.1, 16, 2)


DECIDED = ("per_device_train_batch_size", "gradient_accumulation_steps", "max_length", "packing", "optim")
"""What a planner could decide."""


def test_general_presets_leave_to_the_planner_how_a_batch_is_made_up() -> None:
    for name in GENERAL:
        recipe = make_recipe({"dataset": "any"} | get_preset(name).values)
        assert {getattr(recipe, field) for field in DECIDED} == {"auto"}, name


@pytest.mark.parametrize(
    ("name", "method", "rows_a_step", "rate", "targets"),
    [
        ("emogpt", "qlora", 16, 2e-4, 7),
        ("customer-support", "lora", 8, 3e-5, "all-linear"),
        ("siya", "lora", 16, 2e-4, 4),
        ("heysalad", "lora8bit", 16, 2e-4, 2),
        ("pride-and-prejudice", "lora", 8, 5e-5, 2),
    ],
)
def test_what_others_built_has_their_own_settings(
    name: str, method: str, rows_a_step: int, rate: float, targets: object
) -> None:
    recipe = make_recipe({"dataset": "any"} | get_preset(name).values)
    assert (recipe.method, recipe.batches_per_step, recipe.learning_rate) == (method, rows_a_step, rate)
    assert (recipe.target_modules if targets == "all-linear" else len(recipe.target_modules)) == targets
    assert (recipe.packing, recipe.padding_free, recipe.assistant_only_loss) == (False, False, False)


def test_a_quick_look_is_one_short_pass() -> None:
    recipe = make_recipe({"dataset": "any"} | get_preset("quick-look").values)
    assert (recipe.max_steps, recipe.effective_batch_size, recipe.eval_steps) == (40, 4, 10)
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
    assert [preset.name for preset in list_presets(home)] == [*GENERAL, *OTHERS, "mine"]
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


@pytest.mark.parametrize("name", ["", "..", "../../x", "a/b", "/tmp/x", ".a", "a b", "a\0b", "a\nb", "a\n", "x" * 300])
def test_a_name_that_would_be_a_path_is_refused(home: Home, name: str) -> None:
    home.ensure()
    before = sorted(home.root.parent.rglob("*"))
    with pytest.raises(BadInput, match="cannot be called"):
        save_preset(home, name, {"lora_r": 8})
    assert sorted(home.root.parent.rglob("*")) == before
    assert save_preset(home, "a.b-c", {"lora_r": 8}) == home.root / "presets" / "a.b-c.toml"
