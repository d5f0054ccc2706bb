"""Rows 14, 19 and 20: what is refused before any process starts."""

import json
from pathlib import Path

import pytest

from engine.datasets.library import DatasetLibrary
from engine.errors import BadInput
from engine.home import Home
from engine.models import resolve_model
from engine.runs.rundir import read_json
from engine.tokens.prepare import tokenizer_key
from store import Store
from tests.engine.test_manager import Managers, folder, recipe
from tests.engine.tokenizers_made import prepared


def refusal(home: Home, store: Store, managers: Managers, **fields: object) -> str:
    """What a launch is refused with. Nothing of it is left behind."""
    with pytest.raises(BadInput) as refused:
        managers().launch(recipe(**fields))
    assert store.runs.count() == 0
    assert not list(home.runs.iterdir())
    return str(refused.value)


@pytest.fixture
def model(home: Home, tmp_path: Path) -> Path:
    """A model folder that is whole as far as anybody looks before a launch; to be spoilt."""
    found = tmp_path / "model"
    found.mkdir()
    for file in home.starter.iterdir():
        (found / file.name).write_bytes(file.read_bytes())
    (found / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}", encoding="utf-8")
    return found


def prepare_tokenizer(home: Home, model: Path) -> None:
    """Leave the model's tokenizer where the training side does, so that nothing has to be started for it."""
    prepared(home.root / "cache" / "tokenizers" / tokenizer_key(resolve_model(str(model), home)))


def test_row_14_a_dataset_whose_every_answer_is_cut_off_is_refused_with_a_row(
    home: Home, store: Store, managers: Managers, model: Path, tmp_path: Path
) -> None:
    prepare_tokenizer(home, model)
    file = tmp_path / "long.jsonl"
    turns = [{"role": "user", "content": "word " * 200}, {"role": "assistant", "content": "an answer"}]
    file.write_text("\n".join(json.dumps({"messages": turns}) for _ in range(12)), encoding="utf-8")
    DatasetLibrary(home, store).import_file(file, name="long")
    words = refusal(home, store, managers, dataset="long", model=str(model), max_length=32)
    assert "Row 1: its answer begins beyond max_length (32)" in words
    assert "word word" in words, "the row itself is shown"


def test_row_19_pickled_weights_are_refused(home: Home, store: Store, managers: Managers, model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    words = refusal(home, store, managers, model=str(model))
    assert "pickled" in words and "safetensors" in words


def test_row_20_code_of_a_models_own_is_refused_unless_allowed_and_then_recorded(
    home: Home, store: Store, managers: Managers, model: Path
) -> None:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "modeling_mine.Mine"}}
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    prepare_tokenizer(home, model)
    words = refusal(home, store, managers, model=str(model))
    assert "trust_remote_code" in words
    allowed = managers("--steps", "1").launch(recipe(model=str(model), trust_remote_code=True))
    inputs = read_json(folder(home, allowed).inputs)
    assert inputs is not None
    assert inputs["model"]["own_code"] is True
    assert allowed.recipe["trust_remote_code"] is True
