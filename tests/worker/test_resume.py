"""Stop, kill, resume: what a run that was interrupted goes on with is what it would have done, to the last bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import transformers

from engine.runs.rundir import COMMITTED, RunDir, checkpoint_step, write_json
from engine.worker import checkpoints, train
from tests.worker.runs import end, events, losses, make_run

pytestmark = pytest.mark.train

STEPS = 10
BATCH = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, "max_steps": STEPS}
"""Twelve rows are six steps an epoch: step 6 is the end of one, 4 and 8 are within."""

VARIANTS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "plain": ({}, (4, 6)),
    "packed": ({"packing": True, "gradient_accumulation_steps": 1}, (4,)),
    "padding-free": ({"padding_free": True, "per_device_train_batch_size": 2}, (4,)),
    "by length": ({"train_sampling_strategy": "group_by_length", "per_device_train_batch_size": 2}, (4,)),
    "staged": ({}, (8,)),
    "full": ({"method": "full", "learning_rate": 1e-3}, (4,)),
}
"""Fields of a recipe, and the steps at which it is cut."""


def run_of(folder: Path, model: Path, name: str, **recipe: Any) -> RunDir:
    settings = BATCH | {"eval_steps": 1, "save_total_limit": 20} | VARIANTS[name][0]
    run = make_run(folder, model, rows=12, validation=0, **settings | recipe)
    if name == "staged":
        stage_rows(run)
    return run


def stage_rows(run: RunDir) -> None:
    """Give the rows three stages."""
    data = run.path / "dataset" / "data.parquet"
    table = pq.read_table(data)
    stages = [json.dumps({"stage": index % 3}) for index in range(len(table))]
    pq.write_table(table.append_column("metadata", pa.array(stages, pa.string())), data)
    write_json(data.with_name("card.json"), {"operation": {"kind": "stage"}})


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The token ids of every batch that is trained on, in order."""
    found: list[Any] = []
    original = transformers.Trainer.training_step

    def step(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(inputs["input_ids"].tolist())
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(transformers.Trainer, "training_step", step)
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_a_resumed_run_repeats_the_losses_and_the_order_of_an_uninterrupted_one(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Any], name: str
) -> None:
    whole = run_of(tmp_path / "whole", chat_model, name, rehearse=False)
    assert train.main(str(whole.path)) == 0
    order = seen.copy()
    assert len(set(map(str, order))) > 3, "rows that are all alike would show nothing"
    each = len(order) // STEPS
    monkeypatch.setenv("FINETUI_ATTEMPT", "2")
    for step in VARIANTS[name][1]:
        cut = run_of(tmp_path / f"cut{step}", chat_model, name)
        shutil.copytree(whole.checkpoints / f"step-{step:06d}", cut.checkpoints / f"step-{step:06d}")
        seen.clear()
        assert train.main(str(cut.path)) == 0
        assert losses(cut) == {at: loss for at, loss in losses(whole).items() if at > step}
        assert events(cut, "state")[1]["from_step"] == step
        _rehearsed, *after = seen
        assert after == order[step * each :]
        assert tokens_seen(cut) == {at: tokens for at, tokens in tokens_seen(whole).items() if at > step}


def tokens_seen(run: RunDir) -> dict[int, float]:
    return {event["step"]: event["values"]["train/num_tokens"] for event in events(run, "metrics")}


def test_checkpoints_are_marked_and_rotated_around_the_best(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", chat_model, eval_steps=1, save_total_limit=1, early_stopping_patience=0)
    assert train.main(str(run.path)) == 0
    kept = {checkpoint_step(folder) for folder in run.committed_checkpoints()}
    assert kept == {6, end(run)["best_step"]}
    assert {folder.name for folder in run.checkpoints.iterdir()} == {f"step-{step:06d}" for step in kept}


def test_a_checkpoint_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path / "run")
    draft = run.checkpoints / "checkpoint-3"
    (draft / "state").mkdir(parents=True)
    for name in ("adapter_model.safetensors", "state/rng.pth"):
        (draft / name).write_text(name)
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        synced.append((str(path.relative_to(run.path)), any(run.checkpoints.glob(f"*/{COMMITTED}"))))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    checkpoints.commit(run, draft, 3)
    saved = {"adapter_model.safetensors", "state", "state/rng.pth"}
    before = {path for path, counts in synced if not counts}
    assert before == {f"checkpoints/checkpoint-3/{name}" for name in saved} | {"checkpoints/checkpoint-3"}
    after = [path for path, counts in synced if counts]
    assert after == [f"checkpoints/step-000003/{COMMITTED}", "checkpoints/step-000003", "checkpoints"]


@pytest.fixture(scope="module")
def saved(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of four steps with a checkpoint of each; the last is the end."""
    run = make_run(tmp_path_factory.mktemp("saved") / "run", chat_model, max_steps=4, eval_steps=1, save_total_limit=9)
    assert train.main(str(run.path)) == 0
    return run


@pytest.fixture
def interrupted(saved: RunDir, tmp_path: Path) -> RunDir:
    """The same as it was when step 3 had been saved."""
    run = RunDir(tmp_path / "interrupted")
    shutil.copytree(saved.path, run.path)
    shutil.rmtree(run.adapter)
    shutil.rmtree(run.checkpoints / "step-000004")
    run.events.unlink()
    return run


def test_a_run_killed_after_its_last_step_only_publishes(saved: RunDir, interrupted: RunDir) -> None:
    shutil.copytree(saved.checkpoints / "step-000004", interrupted.checkpoints / "step-000004")
    assert train.main(str(interrupted.path)) == 0
    assert losses(interrupted) == {}
    assert not events(interrupted, "rehearsal")
    assert (interrupted.adapter / "adapter_model.safetensors").is_file()
    assert end(interrupted)["status"] == "succeeded"


def test_an_adapter_is_on_the_disk_before_it_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, saved = RunDir(tmp_path / "run"), tmp_path / "saved"
    for folder, weights in ((saved, "new"), (run.adapter, "old")):
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_text(weights)
    synced: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def killed(path: Path, target: Path) -> Path:
        assert {"adapter_model.safetensors", "README.md"} <= {*synced}
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", watched)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        checkpoints.publish(run, saved, "card")
    checkpoints.drop_unfinished(run)
    assert (run.adapter / "adapter_model.safetensors").read_text() == "old"
    checkpoints.publish(run, saved, "card")
    assert (run.adapter / "adapter_model.safetensors").read_text() == "new"
    assert {path.name for path in run.path.iterdir()} == {"adapter"}


def in_the_middle_of_writing(checkpoint: Path) -> None:
    (checkpoint / COMMITTED).unlink()
    (checkpoint / "optimizer.pt").unlink()
    checkpoint.rename(checkpoint.with_name("checkpoint-3"))


def before_the_marker(checkpoint: Path) -> None:
    (checkpoint / COMMITTED).unlink()


def in_the_middle_of_deleting(checkpoint: Path) -> None:
    (checkpoint / COMMITTED).unlink()
    (checkpoint / "adapter_model.safetensors").unlink()


def torn_weights(checkpoint: Path) -> None:
    weights = checkpoint / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def torn_optimizer(checkpoint: Path) -> None:
    state = checkpoint / "optimizer.pt"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [in_the_middle_of_writing, before_the_marker, in_the_middle_of_deleting, torn_weights, torn_optimizer],
)
def test_what_is_not_whole_is_not_resumed_from(
    saved: RunDir, interrupted: RunDir, damage: Callable[[Path], None]
) -> None:
    damage(interrupted.checkpoints / "step-000003")
    (interrupted.path / ".adapter.123").mkdir()
    checkpoints.drop_unfinished(interrupted)
    whole, damaged = checkpoints.latest_whole(interrupted)
    assert whole == interrupted.checkpoints / "step-000002"
    assert [folder.name for folder in damaged] == (["step-000003"] if damage.__name__.startswith("torn") else [])
    assert not (interrupted.path / ".adapter.123").exists()
    assert all(checkpoints.latest_whole(saved)[0] == folder for folder in saved.committed_checkpoints()[-1:])


def test_a_damaged_checkpoint_is_said_and_the_one_before_taken(saved: RunDir, interrupted: RunDir) -> None:
    torn_weights(interrupted.checkpoints / "step-000003")
    assert train.main(str(interrupted.path)) == 0
    assert losses(interrupted) == {step: loss for step, loss in losses(saved).items() if step > 2}
    assert [event["code"] for event in events(interrupted, "alert")] == ["checkpoint_damaged"]


# Real processes

LONG: dict[str, Any] = {
    "max_steps": 100_000,
    "eval_steps": 20,
    "save_total_limit": 1_000,
    "lr_scheduler_type": "constant",
    "learning_rate": 1e-4,
    "gradient_accumulation_steps": 2,
    "per_device_train_batch_size": 1,
}


class Process:
    """A worker at work on a run of its own."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "engine.worker.train", str(run.path)],
            stdout=run.log.open("ab"),
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )

    def wait_for_step(self, step: int) -> None:
        wanted = f'"step":{step},'.encode()
        deadline = time.monotonic() + 240
        while not (self.run.events.exists() and wanted in self.run.events.read_bytes()):
            assert self.popen.poll() is None, self.run.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def resume(self, steps: int) -> None:
        """The next attempt, in this process; it ends `steps` after the last one that was logged."""
        text = self.run.recipe.read_text(encoding="utf-8")
        last = max(losses(self.run)) + steps
        self.run.recipe.write_text(text.replace("max_steps = 100000", f"max_steps = {last}"), encoding="utf-8")
        os.environ["FINETUI_ATTEMPT"] = "2"
        try:
            assert train.main(str(self.run.path)) == 0
        finally:
            del os.environ["FINETUI_ATTEMPT"]


@pytest.fixture(scope="module")
def processes(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    """Two workers on equal runs: one to stop early, and one to kill later, which shows how it would have gone on."""
    folder = tmp_path_factory.mktemp("processes")
    pair = [
        Process(make_run(folder / name, chat_model, rows=13, validation=0, **LONG)) for name in ("stopped", "killed")
    ]
    yield pair[0], pair[1]
    for process in pair:
        process.popen.kill()
        process.popen.wait()


def test_a_stop_saves_and_a_resume_goes_on_exactly(processes: tuple[Process, Process]) -> None:
    stopped, killed = processes
    stopped.wait_for_step(5)
    stopped.popen.send_signal(signal.SIGTERM)
    assert stopped.popen.wait(120) == 0
    run, last = stopped.run, max(losses(stopped.run))
    assert end(run)["status"] == "stopped"
    assert checkpoint_step(run.committed_checkpoints()[-1]) == last
    assert (run.adapter / "adapter_model.safetensors").is_file()
    assert "stopping" in [event["status"] for event in events(run, "state")]

    killed.wait_for_step(last + 3)
    stopped.resume(3)
    shown = losses(killed.run)
    assert losses(run, 2) == {step: shown[step] for step in range(last + 1, last + 4)}


def test_a_killed_run_resumes_from_its_last_checkpoint_exactly(processes: tuple[Process, Process]) -> None:
    _, killed = processes
    killed.wait_for_step(max(25, max(losses(killed.run)) // 20 * 20 + 25))
    killed.popen.kill()
    killed.popen.wait()
    reached = max(losses(killed.run))
    killed.resume(1)
    first, again = losses(killed.run, 1), losses(killed.run, 2)
    assert min(again) % 20 == 1 and min(again) <= reached + 1, "what was saved may not be told yet"
    assert {step: loss for step, loss in again.items() if step <= reached} == {
        step: loss for step, loss in first.items() if step >= min(again)
    }
    assert max(again) == reached + 1


def test_a_file_asks_for_a_stop_where_no_signal_reaches(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", chat_model, validation=0, **LONG | {"sample_prompts": ["the answer is"]})
    run.stop.touch()
    assert train.main(str(run.path)) == 0
    assert (end(run)["status"], end(run)["reason"]) == ("stopped", "stopped before training began")
