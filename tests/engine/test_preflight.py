"""What stands in the way of a launch: all of it is said at once, before any process starts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput
from engine.home import Home
from engine.planning import DeviceFacts
from engine.recipe import Recipe, make_recipe
from engine.runs import requirements
from engine.runs.manager import RunManager
from engine.runs.preflight import CannotLaunch, Preflight, preflight, require
from engine.runs.requirements import known_architectures
from engine.runs.rundir import RunDir, read_json, write_json
from store import Store, open_store
from store.records import NewRun
from tests.engine.models_made import CONFIG, make_model, make_starter
from tests.engine.runs_at_work import import_support, put_away, stand_in

GIB = 2**30


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    home = Home(tmp_path / "home").ensure()
    make_starter(home)
    with put_away(home.runs):
        yield home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.db)
    import_support(home, opened)
    yield opened
    opened.close()


def recipe(**fields: Any) -> Recipe:
    return make_recipe({"dataset": "support"} | fields)


def look(home: Home, store: Store, **fields: Any) -> Preflight:
    return preflight(home, store, recipe(**fields), count=False)


def gpu(total_gib: float) -> tuple[DeviceFacts, ...]:
    return (DeviceFacts("gpu0", "NVIDIA Tiny", "cuda", int(total_gib * GIB), int(total_gib * GIB), (8, 0), None),)


LARGE = CONFIG | {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "vocab_size": 32000,
}


def test_nothing_stands_in_the_way_of_a_plain_recipe(home: Home, store: Store) -> None:
    found = preflight(home, store, recipe())
    assert found.problems == {}
    assert found.gate is not None and found.gate.passed
    assert found.plan is not None and found.plan.recipe.max_length != "auto"
    require(found)


def test_everything_is_said_at_once(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "TORCH_SIDE", ("finetui_has_no_such_package",))
    found = look(home, store, model="no-such", nodes=3, continue_from="nobody", devices=[0, 7])
    assert found.problems.keys() == {"installation", "model", "nodes", "devices", "continue_from"}
    with pytest.raises(CannotLaunch, match="5 things") as refused:
        require(found)
    said = str(refused.value)
    assert all(f"  {name}: " in said for name in found.problems)
    assert "pip install 'finetui[train]'" in said and refused.value.problems == found.problems


def test_pickled_weights_are_refused(home: Home, store: Store) -> None:
    make_model(home.models / "pickled")
    (home.models / "pickled" / "model.safetensors").rename(home.models / "pickled" / "pytorch_model.bin")
    found = look(home, store, model="pickled")
    assert "pickled files" in found.problems["model"]
    with pytest.raises(BadInput, match="not a model that finetui can train"):
        require(found)


def test_code_of_the_models_own_is_refused_unless_allowed_and_recorded(home: Home, store: Store) -> None:
    config = CONFIG | {"auto_map": {"AutoModelForCausalLM": "modeling.Mine"}, "model_type": "mine"}
    make_model(home.models / "mine", config=config)
    with pytest.raises(BadInput, match="needs code that comes with the model") as refused:
        require(look(home, store, model="mine"))
    assert "trust_remote_code = true" in refused.value.fix
    assert "trust_remote_code" not in look(home, store, model="mine", trust_remote_code=True).problems
    make_model(home.models / "known", config=config | {"model_type": "qwen2"})
    assert look(home, store, model="known").problems == {}, "its own code is never run"
    assert {"llama", "gpt2", "phi3", "mistral"} <= known_architectures()


def test_a_run_that_may_use_the_models_code_says_so(home: Home, store: Store) -> None:
    from tests.engine.models_made import prepare_tokenizer

    config = CONFIG | {"auto_map": {"AutoModelForCausalLM": "modeling.Mine"}}
    make_model(home.models / "mine", config=config)
    prepare_tokenizer(home, "mine")
    manager = RunManager(home, store, worker=stand_in("--steps", "1"))
    recorded = []
    for trusted in (True, False):
        run = manager.launch(recipe(model="mine", trust_remote_code=trusted))
        inputs = read_json(RunDir(home.runs / run.id).inputs)
        assert inputs is not None
        recorded.append(inputs["model"]["own_code"])
    assert recorded == [True, False]
    manager.close()


def test_who_else_is_told_must_be_installed(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_missing", lambda names: [name for name in names if name == "wandb"])
    with pytest.raises(BadInput, match="report_to = wandb, tensorboard needs what is not installed") as refused:
        require(look(home, store, report_to=["wandb", "tensorboard"]))
    assert refused.value.fix == "Install it: pip install wandb"


def test_a_run_that_does_not_fit_is_refused_with_figures_and_what_helps(home: Home, store: Store) -> None:
    make_model(home.models / "large", config=LARGE)
    found = preflight(home, store, recipe(model="large", method="full"), count=False, devices=gpu(6))
    assert found.problems.keys() == {"memory"}
    with pytest.raises(CannotLaunch, match="does not fit") as refused:
        require(found)
    assert "NVIDIA Tiny has 6.0 GB" in refused.value.why
    assert "--set method=qlora" in refused.value.fix and "--force" in refused.value.fix
    assert refused.value.suggestions[0].changes == {"method": "qlora"} and refused.value.suggestions[0].fits
    require(found, force=True)
    mended = recipe(**{"model": "large", "method": "full"} | refused.value.suggestions[0].changes)
    require(preflight(home, store, mended, count=False, devices=gpu(6)))


def trained(home: Home, store: Store, **fields: Any) -> str:
    """A run that has ended, with its adapter."""
    rundir = RunDir(home.runs / "r1")
    rundir.adapter.mkdir(parents=True)
    (rundir.adapter / "adapter_model.safetensors").write_bytes(b"")
    made = recipe(**fields)
    rundir.recipe.write_text(made.to_toml())
    write_json(rundir.inputs, {"model": {"name": made.model, "path": str(home.starter)}})
    told = json.loads(made.model_dump_json())
    store.runs.add(NewRun("r1", "first", made.model, made.method, "support", "d", 1.0, told, str(rundir.path)))
    return "first"


def test_a_run_goes_on_from_anothers_adapter(home: Home, store: Store) -> None:
    name = trained(home, store, lora_r=64, lora_alpha=64)
    manager = RunManager(home, store, worker=stand_in("--steps", "1"))
    run = manager.launch(recipe(continue_from=name, learning_rate=1e-5))
    inputs = read_json(RunDir(home.runs / run.id).inputs)
    assert inputs is not None
    assert inputs["parent"] == {"id": "r1", "name": "first", "adapter": str(home.runs / "r1" / "adapter")}
    assert run.parent == "r1"
    assert (run.recipe["lora_r"], run.recipe["lora_alpha"], run.recipe["learning_rate"]) == (64, 64, 1e-5)
    assert inputs["asked"]["lora_r"] == 16
    manager.close()


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ({"method": "full"}, {}, "trained all weights"),
        ({}, {"method": "full"}, "All weights cannot be trained from the adapter"),
        ({"method": "dora"}, {}, "an adapter of the method dora"),
        ({"model": "other/model"}, {}, "was trained on other/model"),
    ],
)
def test_an_adapter_that_is_no_start(
    home: Home, store: Store, theirs: dict[str, Any], ours: dict[str, Any], said: str
) -> None:
    name = trained(home, store, **theirs)
    if "model" in theirs:
        write_json(RunDir(home.runs / "r1").inputs, {"model": {"name": "other/model", "path": "other/model"}})
    with pytest.raises(BadInput, match=said):
        require(look(home, store, continue_from=name, **ours))


def test_pickled_adapters_are_no_start(home: Home, store: Store) -> None:
    name = trained(home, store)
    folder = RunDir(home.runs / "r1").adapter
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(BadInput, match="has no adapter to go on from"):
        require(look(home, store, continue_from=name))


def test_rows_that_are_gone_are_refused(home: Home, store: Store) -> None:
    dataset = store.datasets.list()[0]
    (Path(dataset.dir) / "data.parquet").unlink()
    with pytest.raises(BadInput, match="rows of support v1 are gone"):
        require(look(home, store))
