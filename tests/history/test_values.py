"""What is read back is what the real libraries were told."""

import math
from pathlib import Path
from typing import Any

import pytest

from store.records import Status
from tests.history.conftest import Here

TRAINER = {"loss": "train/loss", "grad_norm": "train/grad_norm", "learning_rate": "train/learning_rate"}
EVALUATION = {"eval_loss": "eval/loss", "eval_runtime": "eval/runtime"}


def same(found: dict[int, float], wanted: dict[int, Any], tolerance: float = 0.0) -> None:
    assert found.keys() == wanted.keys()
    for step, value in wanted.items():
        number = float(value)
        assert (math.isnan(number) and math.isnan(found[step])) or math.isclose(
            found[step], number, rel_tol=tolerance, abs_tol=0.0
        ), step


@pytest.mark.parametrize("source", ["trainer", "wandb", "trackio", "mlflow"])
def test_one_training_is_the_same_through_every_tracker(
    here: Here, files: Path, expected: dict[str, Any], source: str
) -> None:
    path = {"mlflow": files / "mlflow" / "mlflow.db", "trackio": files / "trackio" / "support.db"}.get(source)
    here.take(path or files / source)
    run = here.named("trainer" if source == "trainer" else "support-first")
    assert (run.source, run.status, run.total_steps, run.step) == (source, Status.SUCCEEDED, 12, 12)
    for name, here_name in {**TRAINER, **EVALUATION}.items():
        wanted = {row["step"]: row[name] for row in expected["trainer"] if name in row}
        same(here.points(run, here_name), wanted)
    assert (
        run.best_step
        == min((row for row in expected["trainer"] if "eval_loss" in row), key=lambda row: row["eval_loss"])["step"]
    )
    assert run.recipe["learning_rate"] == 5e-3
    assert "hub_token" not in run.recipe and "a1B2" not in str(run.recipe)


def test_event_files_of_the_trainer(here: Here, files: Path, expected: dict[str, Any]) -> None:
    run = here.only(files / "trainer" / "runs")
    assert run.source == "tensorboard" and (run.status, run.reason) == (Status.SUCCEEDED, "")
    assert run.model == "llama" or run.recipe["learning_rate"] == 5e-3
    for name, here_name in {**TRAINER, **EVALUATION}.items():
        wanted = {row["step"]: row[name] for row in expected["trainer"] if name in row}
        same(here.points(run, here_name), wanted, 1e-6)  # event files hold 32 bits


def test_a_trainer_gets_its_times_from_the_event_files_beside_it(here: Here, files: Path) -> None:
    by_state, by_events = here.only(files / "trainer"), here.only(files / "trainer" / "runs")
    one, other = (here.store.metrics.series(run.id, "train/loss") for run in (by_state, by_events))
    assert one is not None and other is not None
    assert one.times == pytest.approx(other.times, abs=0.002) and len(set(one.times)) > 1


def test_wandb_with_steps_of_its_own(here: Here, files: Path, expected: dict[str, Any]) -> None:
    here.take(files / "wandb")
    run = here.named("by hand")
    rows = expected["wandb"]["rows"]
    same(here.points(run, "train/loss"), {step: row["loss"] for step, row in enumerate(rows)})
    same(here.points(run, "eval/loss"), {step: row["eval_loss"] for step, row in enumerate(rows) if "eval_loss" in row})
    same(here.points(run, "own/speed"), {int(row["batch"]): row["own/speed"] for row in rows})
    assert here.points(run, "odd/inf") == {3: math.inf} and here.points(run, "odd/-inf") == {3: -math.inf}
    assert here.points(run, "nested.deep.value") == {4: 0.25}
    assert here.points(run, "yes") == {4: 1.0}
    assert not any(name.startswith(("spread", "picture", "words", "batch")) for name in run.metrics)
    assert (run.status, run.reason) == (Status.FAILED, "its program ended with exit code 3")
    assert (run.tags, run.notes, run.model, run.method) == (("emoji", "first"), "tried by hand", "tiny/llama", "lora")
    assert run.recipe["lora_r"] == 8 and run.recipe["betas"] == [0.9, 0.999]
    assert "api_key" not in run.recipe and "z9Y8" not in str(run.recipe)
    [alert] = here.store.runs.events(run.id, {"alert"})
    assert (alert.body["level"], alert.body["message"]) == ("warning", "slow: it is slow")
    assert "a line of the console" in Path(run.dir, "log.txt").read_text()


def test_what_has_no_place_is_counted(here: Here, files: Path) -> None:
    skipped = {run.name: run.skipped for run in here.take(files / "wandb").runs}
    assert skipped["by hand"] == {"histograms": 1, "images": 1, "texts": 1}
    assert here.take(files / "tensorboard").runs[0].skipped == {"histograms": 1, "images": 1, "texts": 1}


def test_trackio(here: Here, files: Path, expected: dict[str, Any]) -> None:
    here.take(files / "trackio" / "by-hand.db")
    for name in ("one", "two"):
        run = here.named(name)
        rows = [row for row in expected["trackio"]["rows"] if row["run"] == name]
        same(here.points(run, "train/loss"), {row["step"]: row["train/loss"] for row in rows})
        same(here.points(run, "eval/loss"), {row["step"]: row["val_loss"] for row in rows})
        assert here.points(run, "odd") == {10: math.inf}
        assert list(here.points(run, "gpu0/memory_used_bytes").values()) == [1.5 * (1 << 30)]
        assert run.peak_vram_bytes == 3 << 29
        assert list(here.points(run, "gpu0/power_w").values()) == [120.5]
        assert "hub_token" not in run.recipe and run.recipe["project"] == "by-hand"
    [alert] = here.store.runs.events(here.named("two").id, {"alert"})
    assert (alert.body["level"], alert.body["message"]) == ("error", "it diverges: loss went up")


@pytest.mark.parametrize("kind", ["mlflow.db", "mlruns"])
def test_mlflow(here: Here, files: Path, expected: dict[str, Any], kind: str) -> None:
    here.take(files / "mlflow" / kind)
    ends = {
        "FINISHED": Status.SUCCEEDED,
        "FAILED": Status.FAILED,
        "KILLED": Status.STOPPED,
        "RUNNING": Status.LOST,
    }
    rows = expected["mlflow"]["rows"]
    for status, ended in ends.items():
        run = here.named(f"it is {status.lower()}")
        assert run.status is ended
        logged = {row["step"]: row for row in rows if row["status"] == status}
        same(here.points(run, "train/loss"), {step: row["loss"] for step, row in logged.items()})
        same(here.points(run, "eval/loss"), {step: row["eval_loss"] for step, row in logged.items()})
        assert here.points(run, "odd") == {14: math.inf}
        assert here.points(run, "stepless") == {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75}
        assert run.recipe["learning_rate"] == 3e-4 and run.recipe["lora_r"] == 8
        assert run.tags == ("team=support",) and "hf_token" not in run.recipe


def test_tensors_hyperparameters_and_numbers_that_are_none(here: Here, files: Path, expected: dict[str, Any]) -> None:
    run = here.only(files / "tensorboard")
    for tag, name in (("train/loss", "train/loss"), ("val/loss", "eval/loss")):
        wanted = {row["step"]: row["value"] for row in expected["tensorboard"]["rows"] if row["tag"] == tag}
        same(here.points(run, name), wanted, 1e-6)
    assert run.recipe == {"learning_rate": 0.003, "batch": 8.0, "optim": "adam"}
