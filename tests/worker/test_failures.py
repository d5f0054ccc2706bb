"""Why a worker failed: one of a closed list, with a change that can be launched."""

import errno
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import BadInput
from engine.recipe import load_recipe_values, make_recipe
from engine.runs.failure_codes import FailureCode
from engine.runs.rundir import RunDir
from engine.worker import checkpoints, train
from engine.worker.failures import LONGEST_REASON, explain
from engine.worker.loading import LoadError
from engine.worker.refusal import Refusal
from tests.worker.runs import end, events, losses, make_run

pytestmark = pytest.mark.train

RECIPE = make_recipe({"dataset": "d", "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4})


class GatedRepoError(OSError):
    """As `huggingface_hub` names it."""


def raised(error: BaseException, cause: BaseException) -> BaseException:
    try:
        try:
            raise cause
        except BaseException as handled:
            raise error from handled
    except BaseException as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "cuda_out_of_memory"),
        (RuntimeError("CUDA error: out of memory"), "cuda_out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "cuda_out_of_memory"),
        (MemoryError(), "host_out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "host_out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "host_out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/3: file write failed"), "disk_full"),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "disk_full"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device_lost"),
        (RuntimeError("CUDA error: unspecified launch failure"), "device_lost"),
        (ModuleNotFoundError("No module named 'bitsandbytes'"), "library"),
        (ImportError("Using `bitsandbytes` 4-bit quantization requires the latest version"), "library"),
        (GatedRepoError("You are trying to access a gated repo."), "gated"),
        (LoadError("no", code=FailureCode.PICKLED_WEIGHTS), "pickled_weights"),
        (LoadError("no"), "model"),
        (BadInput("The recipe has a field that cannot work:", why="  lora_r: ..."), "recipe"),
        (Refusal("no", code="no_rows"), "no_rows"),
        (ValueError("something else"), "unknown"),
        (BrokenPipeError("pipe"), "unknown"),
        (KeyboardInterrupt(), "unknown"),
    ],
)
def test_every_exception_has_a_code_a_reason_and_a_fix(error: BaseException, code: str) -> None:
    failure = explain(error, RECIPE)
    assert failure.code == code
    assert failure.reason and "\n" not in failure.reason
    assert failure.fix
    make_recipe(RECIPE.model_dump(mode="json", exclude_none=True) | failure.changes)
    assert explain(error, None).code == code
    assert explain(error, None).changes == {}


def test_the_cause_counts_and_what_merely_was_handled_does_not() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert explain(raised(RuntimeError("saving failed"), full), RECIPE).code == "disk_full"
    assert explain(raised(ValueError("bad"), raised(TypeError(), ImportError("fast"))), RECIPE).code == "unknown"
    deep = raised(ValueError("bad"), raised(TypeError(), torch.OutOfMemoryError("CUDA out of memory")))
    assert explain(deep, RECIPE).code == "cuda_out_of_memory"


def test_what_a_library_says_is_told_on_one_bearable_line() -> None:
    reason = explain(RuntimeError("first\nline " + "x" * 1000 + "\n\nsecond paragraph"), RECIPE).reason
    assert "\n" not in reason and "second" not in reason
    assert len(reason) <= LONGEST_REASON + len("RuntimeError: ")


def test_a_refusal_keeps_its_own_words() -> None:
    failure = explain(Refusal("r", code="no_rows", fix="do this", changes={"max_length": 64}), RECIPE)
    assert (failure.reason, failure.fix, failure.changes) == ("r", "do this", {"max_length": 64})


def spoil_inputs(run: RunDir) -> None:
    run.inputs.write_text("{", encoding="utf-8")


def spoil_recipe(run: RunDir) -> None:
    run.recipe.write_text("lora_r = 0\n", encoding="utf-8")


def spoil_data(run: RunDir) -> None:
    (run.path / "dataset" / "data.parquet").write_bytes(b"PAR1 no more")


def remove_data(run: RunDir) -> None:
    (run.path / "dataset" / "data.parquet").unlink()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (spoil_inputs, "inputs"),
        (spoil_recipe, "recipe"),
        (spoil_data, "dataset_missing"),
        (remove_data, "dataset_missing"),
    ],
)
def test_a_run_that_cannot_begin_says_why(chat_model: Path, tmp_path: Path, spoil: Any, code: str) -> None:
    run = make_run(tmp_path / "run", chat_model)
    spoil(run)
    assert train.main(str(run.path)) == 1
    final, alert = end(run), events(run, "alert")[-1]
    assert (final["status"], final["code"], alert["code"]) == ("failed", code, code)
    assert final["reason"] and final["fix"] and alert["message"] and alert["fix"]


def test_a_loss_that_stays_broken_is_flagged_at_once_and_ends_the_run(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run",
        chat_model,
        method="full",
        learning_rate=100.0,
        weight_decay=10.0,
        max_steps=40,
        eval_steps=1,
        save_total_limit=40,
        validation=0,
    )
    assert train.main(str(run.path)) == 1
    broken = [step for step, loss in losses(run).items() if not math.isfinite(float(loss))]
    alert = next(event for event in events(run, "alert") if event["code"] == "loss_not_finite")
    assert alert["step"] == broken[0]
    assert broken == list(range(broken[0], broken[0] + 3)), "three in a row are the end"
    final = end(run)
    assert (final["code"], final["changes"]["learning_rate"] <= 1e-3) == ("loss_not_finite", True)
    make_recipe(load_recipe_values(run.recipe) | final["changes"])
    kept = run.committed_checkpoints()
    assert kept
    for folder in kept:
        assert all(weight.isfinite().all() for weight in load_file(folder / "model.safetensors").values())


def test_a_full_disk_leaves_the_checkpoint_before_it_whole(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", chat_model, eval_steps=1, validation=0, max_steps=3)
    commit = checkpoints.commit

    def full_at_two(run: RunDir, saved: Path, step: int) -> Path:
        if step == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return commit(run, saved, step)

    monkeypatch.setattr(checkpoints, "commit", full_at_two)
    assert train.main(str(run.path)) == 1
    assert end(run)["code"] == "disk_full"
    assert [folder.name for folder in run.committed_checkpoints()] == ["step-000001"]
    assert checkpoints.latest_whole(run)[0] == run.committed_checkpoints()[0]
    monkeypatch.setattr(checkpoints, "commit", commit)
    monkeypatch.setenv("FINETUI_ATTEMPT", "2")
    assert train.main(str(run.path)) == 0
    assert min(losses(run, 2)) == 2
