"""Row 19: pickles that run code when they are read, in every place from which a run or a server reads.

Before a launch: `test_refused.py` and `tests/engine/test_preflight.py`; imported histories:
`tests/history/test_importing.py`; a registered adapter: `tests/engine/test_registry.py`. Here the worker itself is
given them, with the real libraries.
"""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.runs.rundir import RunDir
from engine.worker import train
from engine.worker.adapters import read_adapter
from engine.worker.loading import LoadError, load_base
from tests.worker.conftest import chat_model, tiny_model
from tests.worker.runs import end, make_run

__all__ = ["chat_model", "tiny_model"]

pytestmark = pytest.mark.train


class Bomb:
    """Makes a folder where it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> Any:
        return Path.mkdir, (self._witness,)


def put_bomb(file: Path, witness: Path) -> None:
    """A file as torch writes it, which is a pickle within an archive."""
    torch.save({"state": Bomb(witness)}, file)


@pytest.fixture(scope="module")
def stopped(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run that was trained for two steps of four."""
    run = make_run(
        tmp_path_factory.mktemp("stopped") / "run", chat_model, max_steps=2, validation=0, rehearse=False, eval_steps=2
    )
    assert train.main(str(run.path)) == 0
    return run


def test_the_bomb_goes_off_where_pickles_are_loaded(tmp_path: Path) -> None:
    put_bomb(tmp_path / "file.pt", tmp_path / "witness")
    torch.load(tmp_path / "file.pt", weights_only=False)
    assert (tmp_path / "witness").is_dir()


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_row_19_a_checkpoint_from_elsewhere_runs_nothing(
    stopped: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run = RunDir(tmp_path / "run")
    shutil.copytree(stopped.path, run.path)
    run.recipe.write_text(run.recipe.read_text().replace("max_steps = 2", "max_steps = 4"))
    [checkpoint] = run.committed_checkpoints()
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    (checkpoint / "trainer_state.json").write_text(json.dumps(state | {"max_steps": 4}))
    witness = tmp_path / "witness"
    assert name == "adapter_model.bin" or (checkpoint / name).exists()
    put_bomb(checkpoint / name, witness)
    put_bomb(checkpoint / "training_args.bin", witness)
    monkeypatch.setenv("FINETUI_ATTEMPT", "2")
    train.main(str(run.path))
    final = end(run)
    assert not witness.exists(), "nothing of it was run"
    assert final["status"] == "failed" and final["reason"] and final["fix"]
    if name == "adapter_model.bin":
        assert final["code"] == "pickled_weights" and "safetensors" in final["fix"]


def test_row_19_pickled_weights_are_refused_by_the_worker_too(chat_model: Path, tmp_path: Path) -> None:
    model, witness = tmp_path / "model", tmp_path / "witness"
    shutil.copytree(chat_model, model)
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    torch.save(weights | {"bomb": Bomb(witness)}, model / "pytorch_model.bin")
    with pytest.raises(LoadError, match="no safetensors weights"):
        load_base(model, method="lora", device="cpu")
    assert not witness.exists()


@pytest.mark.parametrize("armed", [True, False])
def test_row_19_pickled_weights_beside_a_decoy_are_not_read(chat_model: Path, tmp_path: Path, armed: bool) -> None:
    """A file whose name ends in .safetensors gets the folder past the look at its names, not past the loading."""
    model, witness = tmp_path / "model", tmp_path / "witness"
    shutil.copytree(chat_model, model)
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    torch.save(weights | ({"bomb": Bomb(witness)} if armed else {}), model / "pytorch_model.bin")
    save_file({"nothing": torch.zeros(1)}, model / "decoy.safetensors")
    with pytest.raises(LoadError):
        load_base(model, method="lora", device="cpu")
    assert not witness.exists()


def test_row_19_a_pickled_adapter_is_refused_by_the_model_server(tiny_model: Any, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(tiny_model.adapters["formal"], adapter)
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "witness")))
    with pytest.raises(LoadError, match="no adapter_model"):
        read_adapter(adapter)
    assert not (tmp_path / "witness").exists()
