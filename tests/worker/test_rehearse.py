"""The rehearsal: it tries the longest batch, leaves no trace, and refuses what does not fit."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from engine.runs.rundir import RunDir, read_json, write_json
from engine.worker import memory_meter, train
from engine.worker.memory_meter import MemoryMeter
from engine.worker.rehearse import check_saved, longest_batch
from tests.worker.builds import built
from tests.worker.runs import end, events, losses, make_run

pytestmark = pytest.mark.train

GIB = 1 << 30


@pytest.fixture(scope="module", params=["qlora", "full"])
def pair(request: pytest.FixtureRequest, chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunDir]:
    """The same run with a rehearsal and without."""
    folder = tmp_path_factory.mktemp("pair")
    runs = [
        make_run(folder / str(tried), chat_model, method=request.param, weight_decay=0.1, rehearse=tried)
        for tried in (True, False)
    ]
    for run in runs:
        assert train.main(str(run.path)) == 0
    return runs


def test_it_leaves_no_trace(pair: list[RunDir]) -> None:
    tried, plain = pair
    assert len(events(tried, "rehearsal")) == 1
    assert not events(plain, "rehearsal")
    assert losses(tried) == losses(plain)
    assert [event["values"] for event in events(tried, "evaluation")] == [
        event["values"] for event in events(plain, "evaluation")
    ]
    figures = ("train/num_tokens", "train/mean_token_accuracy", "train/grad_norm", "train/learning_rate")
    for one, other in zip(events(tried, "metrics"), events(plain, "metrics"), strict=True):
        assert [one["values"][name] for name in figures] == [other["values"][name] for name in figures]
    assert_same_checkpoint(tried.committed_checkpoints()[-1], plain.committed_checkpoints()[-1])
    assert not (tried.path / ".rehearsal").exists()


def assert_same_checkpoint(one: Path, other: Path) -> None:
    for file in one.glob("*.safetensors"):
        assert file.read_bytes() == (other / file.name).read_bytes()
    for name in ("optimizer.pt", "rng_state.pth"):
        first, second = (torch.load(folder / name, weights_only=False) for folder in (one, other))
        assert str(first) == str(second)


def test_it_says_what_it_measured(pair: list[RunDir]) -> None:
    run = pair[0]
    found = events(run, "rehearsal")[0]
    assert found["ok"] is True
    assert set(found["parts"]) == {"forward_backward_s", "optimizer_s", "evaluation_s", "save_s", "load_s"}
    assert all(seconds > 0 for seconds in found["parts"].values())
    assert 0 < found["step_s"] < found["seconds"]
    assert sum(found["parts"].values()) <= found["seconds"] * 1.01
    assert 0 < found["trained_tokens"] < found["longest_tokens"]
    assert found["free_bytes"] > 0
    states = [event["status"] for event in events(run, "state")]
    assert (
        states.index("rehearsing") < states.index("evaluating") < states.index("training", states.index("evaluating"))
    )


@pytest.mark.parametrize(
    "recipe",
    [{}, {"packing": True, "max_length": 64}, {"padding_free": True}],
    ids=["padded", "packed", "padding-free"],
)
def test_no_batch_is_longer_than_the_one_it_tries(chat_model: Path, tmp_path: Path, recipe: dict[str, Any]) -> None:
    trainer = built(make_run(tmp_path / "run", chat_model, rows=20, **recipe)).trainer
    batch = longest_batch(trainer, trainer.train_dataset, 2)
    tried = batch["input_ids"].numel()
    loader = trainer.get_train_dataloader()
    sizes = [other["input_ids"].numel() for _ in range(4) for other in loader]
    assert max(sizes) <= tried
    assert sorted(batch) == sorted(next(iter(loader)))


def out_of_gpu_memory(*_: Any, **__: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB")


def out_of_host_memory(*_: Any, **__: Any) -> Any:
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: 9 bytes")


@pytest.mark.parametrize(
    ("place", "fault"), [("training_step", out_of_gpu_memory), ("_save_optimizer_and_scheduler", out_of_host_memory)]
)
def test_a_batch_that_does_not_fit_is_refused_with_a_change_that_helps(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, fault: Callable[..., Any]
) -> None:
    monkeypatch.setattr(transformers.Trainer, place, fault)
    run = make_run(tmp_path / "run", chat_model, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    assert train.main(str(run.path)) == 1
    final = end(run)
    assert (final["status"], final["code"]) == ("failed", "rehearsal_memory")
    assert final["changes"] == {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    assert "longest batch" in final["reason"]
    assert events(run, "rehearsal")[0]["ok"] is False
    assert events(run, "alert")[-1]["code"] == "rehearsal_memory"
    assert not losses(run)
    assert not (run.path / ".rehearsal").exists()


def test_a_peak_beyond_what_is_free_is_refused_with_the_figures(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_meter, "_resident_bytes", lambda: GIB)
    monkeypatch.setattr(memory_meter, "_largest_bytes", lambda: 4 * GIB)
    monkeypatch.setattr(memory_meter, "_host_bytes", lambda: (16 * GIB, 2 * GIB))
    run = make_run(tmp_path / "run", chat_model)
    assert train.main(str(run.path)) == 1
    final = end(run)
    assert final["code"] == "rehearsal_memory"
    assert "3.22 GB" in final["reason"] and "1.07 GB more" in final["reason"]
    found = events(run, "rehearsal")[0]
    assert (found["ok"], found["peak_bytes"], found["free_bytes"]) == (False, 3 * GIB, -GIB)


def test_an_estimate_that_is_far_off_is_said(chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_meter, "_resident_bytes", lambda: GIB)
    monkeypatch.setattr(memory_meter, "_largest_bytes", lambda: 4 * GIB)
    run = make_run(tmp_path / "run", chat_model, max_steps=1, validation=0)
    inputs: dict[str, Any] = read_json(run.inputs) or {}
    write_json(run.inputs, inputs | {"needs_bytes": 8 * GIB})
    assert train.main(str(run.path)) == 0
    assert events(run, "rehearsal")[0]["estimated_bytes"] == 8 * GIB
    assert "estimate_off" in [event["code"] for event in events(run, "alert")]


def test_what_is_no_want_of_memory_is_no_refusal(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any, **__: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(transformers.Trainer, "training_step", fault)
    run = make_run(tmp_path / "run", chat_model)
    assert train.main(str(run.path)) == 1
    assert end(run)["code"] == "unknown"
    assert "mat1 and mat2" in end(run)["reason"]


def test_a_save_that_is_not_what_the_model_has_is_found(chat_model: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(chat_model)
    saved = tmp_path / "saved"
    shutil.copytree(chat_model, saved)
    check_saved(saved, model)
    weights = load_file(saved / "model.safetensors")
    weights["lm_head.weight"][0, 0] += 1
    save_file(weights, saved / "model.safetensors")
    with pytest.raises(OSError, match="lm_head"):
        check_saved(saved, model)
    (saved / "model.safetensors").unlink()
    with pytest.raises(OSError, match="no weights"):
        check_saved(saved, model)


def test_the_meter_sees_what_is_gone_again() -> None:
    meter = MemoryMeter("cpu")
    meter.restart()
    free = meter.free_bytes_at_peak()
    block = torch.ones(64 << 20, dtype=torch.uint8)
    del block
    assert 60 << 20 <= meter.peak_bytes() < 96 << 20  # the kernel counts in batches
    assert meter.free_bytes_at_peak() < free
    meter.restart()
    assert meter.peak_bytes() < 32 << 20
