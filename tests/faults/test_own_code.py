"""Row 20: code that comes with a model is run for a run that allows it, for no other; what was allowed is on record.

Refused before the launch: `test_refused.py`. Here the libraries themselves are given such a folder.
"""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home
from engine.runs.rundir import read_json
from engine.worker.loading import LoadError, load_base, load_tokenizer
from store import Store
from tests.engine.test_manager import Managers, folder, recipe
from tests.worker.conftest import chat_model, tiny_model

__all__ = ["chat_model", "tiny_model"]

pytestmark = pytest.mark.train

CODE = """
from pathlib import Path
Path({witness!r}).mkdir(exist_ok=True)
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

class Config(LlamaConfig):
    model_type = "mine"

class Model(LlamaForCausalLM):
    config_class = Config

class Tokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def own(chat_model: Path, tmp_path: Path) -> Path:
    """A model folder with code of its own for everything, which leaves a folder `witness` where it is run."""
    model = tmp_path / "own"
    shutil.copytree(chat_model, model)
    (model / "mine.py").write_text(CODE.format(witness=str(tmp_path / "witness")))
    classes = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    changes: dict[str, dict[str, Any]] = {
        "config.json": {"model_type": "mine", "auto_map": classes},
        "tokenizer_config.json": {
            "tokenizer_class": "Tokenizer",
            "auto_map": {"AutoTokenizer": [None, "mine.Tokenizer"]},
        },
    }
    for name, change in changes.items():
        told = json.loads((model / name).read_text())
        (model / name).write_text(json.dumps(told | change))
    return model


def ways(own: Path) -> list[Callable[[], Any]]:
    return [partial(load_tokenizer, own), partial(load_base, own, method="lora", device="cpu")]


def test_row_20_nothing_of_a_models_own_is_run_unless_allowed(own: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    for load in ways(own):
        with pytest.raises(LoadError, match="needs code that comes with the model") as refused:
            load()
        assert "trust_remote_code" in refused.value.fix
    assert not witness.exists()


def test_row_20_a_tokenizer_or_a_known_architecture_smuggles_no_code_in(own: Path, tmp_path: Path) -> None:
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    for load in ways(own):
        try:
            load()  # by the libraries' own classes, or not at all
        except LoadError as refused:
            assert refused.what
        assert not (tmp_path / "witness").exists()


def test_row_20_where_it_is_allowed_it_is_run(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    try:
        load_base(own, method="lora", device="cpu", trust_remote_code=True)
    except LoadError as error:  # what it does then is its own affair
        assert "trust_remote_code" not in error.fix
    assert (tmp_path / "witness").is_dir(), "else the tests above show nothing"


def test_row_20_what_was_allowed_for_one_run_is_on_record_and_holds_for_that_run_alone(
    home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--steps", "1")
    runs = [manager.launch(recipe(trust_remote_code=allowed)) for allowed in (False, True)]
    for run, allowed in zip(runs, (False, True), strict=True):
        inputs = read_json(folder(home, run).inputs)
        assert inputs is not None and inputs["asked"]["trust_remote_code"] is allowed
        assert f"trust_remote_code = {str(allowed).lower()}" in folder(home, run).recipe.read_text()
        assert run.recipe["trust_remote_code"] is allowed
