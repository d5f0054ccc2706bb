"""The proof at a run's end: what was published says something else than its base."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.worker import train
from engine.worker.proof import same_weights, weights_change
from tests.worker.conftest import TinyModel
from tests.worker.runs import end, events, make_run

pytestmark = pytest.mark.train


def test_an_adapter_that_learnt_is_shown_to_have_an_effect(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", chat_model)
    assert train.main(str(run.path)) == 0
    summary = end(run)["summary"]
    effect = summary["adapter_effect"]
    assert effect["max_logit_change"] > effect["mean_logit_change"] > 0.01
    assert effect["mean_kl"] > 1e-4
    assert effect["probes"] == 3
    assert effect["is_best_checkpoint"] is True
    assert summary["template_kept"] is True
    assert not events(run, "alert")


def test_one_that_learnt_nothing_raises_an_alarm(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", chat_model, learning_rate=1e-12, max_steps=2, validation=0)
    assert train.main(str(run.path)) == 0
    alert = events(run, "alert")[-1]
    assert (alert["level"], alert["code"]) == ("error", "adapter_no_effect")
    assert end(run)["status"] == "succeeded"
    assert end(run)["summary"]["adapter_effect"]["mean_kl"] < 1e-8


def test_a_whole_model_is_compared_with_its_base(tiny_model: TinyModel, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    shutil.copytree(tiny_model.base, trained)
    unchanged = weights_change(trained, tiny_model.base, trained)
    assert unchanged is not None and unchanged.none
    weights = load_file(trained / "model.safetensors")
    save_file({name: weight * 1.5 for name, weight in weights.items()}, trained / "model.safetensors")
    changed = weights_change(trained, tiny_model.base, trained)
    assert changed is not None and not changed.none
    assert changed.relative_change == pytest.approx(0.5)
    (trained / "model.safetensors").unlink()
    assert weights_change(trained, tiny_model.base, trained) is None


def test_other_weights_than_the_checkpoints_are_noticed(tiny_model: TinyModel, tmp_path: Path) -> None:
    adapter = tiny_model.adapters["terse"]
    copy = tmp_path / "copy"
    shutil.copytree(adapter, copy)
    assert same_weights(copy, adapter)
    weights = load_file(copy / "adapter_model.safetensors")
    name = next(iter(weights))
    weights[name] = torch.nextafter(weights[name], torch.tensor(torch.inf))
    save_file(weights, copy / "adapter_model.safetensors")
    assert not same_weights(copy, adapter)
    del weights[name]
    save_file(weights, copy / "adapter_model.safetensors")
    assert not same_weights(copy, adapter)
