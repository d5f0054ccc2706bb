"""The worker on the tiny model: real TRL, PEFT and bitsandbytes, from a run's folder to its adapter."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.runs.rundir import COMMITTED, RunDir
from engine.worker import train
from tests.worker.conftest import TinyModel
from tests.worker.runs import end, events, losses, make_run

pytestmark = pytest.mark.train


@pytest.fixture(scope="session")
def finished(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A QLoRA run that has come to its end."""
    run = make_run(tmp_path_factory.mktemp("runs") / "finished", chat_model)
    assert train.main(str(run.path)) == 0
    return run


def test_qlora_trains_four_bit_layers(finished: RunDir) -> None:
    plan = events(finished, "plan")[0]
    assert plan["linear4bit"] == 14  # two layers of seven projections
    assert 0 < plan["trainable_parameters"] < plan["total_parameters"]
    assert 0 < plan["trained_tokens"] < plan["train_tokens"]
    assert (plan["train_rows"], plan["eval_rows"], plan["total_steps"]) == (9, 3, 6)
    assert plan["precision"] == "fp32"


def test_every_step_is_logged_and_the_loss_falls(finished: RunDir) -> None:
    loss = losses(finished)
    assert list(loss) == [1, 2, 3, 4, 5, 6]
    assert loss[6] < loss[1]
    told = events(finished, "metrics")
    assert all(event["eta_s"] > 0 for event in told)
    assert all(event["eta_error_s"] >= 0 for event in told[2:])
    values = told[-1]["values"]
    assert values["train/tokens_per_s"] > 0
    assert {"train/learning_rate", "train/grad_norm", "train/mean_token_accuracy"} <= values.keys()


def test_it_evaluates_before_training_and_at_each_interval(finished: RunDir) -> None:
    found = events(finished, "evaluation")
    assert [event["step"] for event in found] == [0, 3, 6]
    assert not found[0]["best"]
    assert found[-1]["best_step"] in (3, 6)
    assert math.isclose(found[1]["values"]["eval/perplexity"], math.exp(found[1]["values"]["eval/loss"]))


def test_samples_hold_the_answer_that_the_data_has(finished: RunDir) -> None:
    samples = events(finished, "sample")
    assert [event["step"] for event in samples] == [0, 3, 6]
    assert all(entry["reference"].startswith("the answer is") for entry in samples[0]["samples"])


def test_the_states_follow_one_another(finished: RunDir) -> None:
    states = [event["status"] for event in events(finished, "state")]
    assert states[0] == "starting"
    assert states[-1] == "training"
    assert set(states) == {"starting", "rehearsing", "training", "evaluating"}
    assert [event["seq"] for event in map(json.loads, finished.events.read_text().splitlines())] == list(
        range(len(finished.events.read_text().splitlines()))
    )


def test_the_adapter_is_safetensors_with_a_card_and_nothing_to_resume_from(finished: RunDir) -> None:
    names = {path.name for path in finished.adapter.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= names
    assert not names & {"optimizer.pt", "rng_state.pth", "training_args.bin", COMMITTED}
    card = (finished.adapter / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert front["base_model"] == "tiny"
    assert front["library_name"] == "peft"
    assert end(finished)["status"] == "succeeded"


@pytest.mark.parametrize(("epochs", "accumulation"), [(1.0, 1), (1.5, 2), (0.3, 1)])
def test_the_steps_said_before_are_those_the_trainer_counts(
    chat_model: Path, tmp_path: Path, epochs: float, accumulation: int
) -> None:
    run = make_run(
        tmp_path / "run",
        chat_model,
        max_steps=-1,
        num_train_epochs=epochs,
        gradient_accumulation_steps=accumulation,
        eval_steps="auto",
        early_stopping_patience=0,
    )
    assert train.main(str(run.path)) == 0
    assert events(run, "plan")[0]["total_steps"] == events(run, "metrics")[-1]["total_steps"] == max(losses(run))


def test_full_training_leaves_a_whole_model(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", chat_model, method="full", learning_rate=1e-3)
    assert train.main(str(run.path)) == 0
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in run.adapter.iterdir()}
    plan = events(run, "plan")[0]
    assert plan["linear4bit"] == 0
    assert plan["trainable_parameters"] == plan["total_parameters"]


def test_early_stopping_keeps_the_best(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run",
        chat_model,
        max_steps=60,
        eval_steps=1,
        early_stopping_patience=2,
        early_stopping_threshold=9.0,
    )
    assert train.main(str(run.path)) == 0
    final = end(run)
    assert final["status"] == "succeeded"
    assert "early stop" in final["reason"]
    assert max(losses(run)) < 60


def test_a_resume_goes_on_counting_towards_an_early_stop(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: dict[str, Any] = {
        "max_steps": 60,
        "eval_steps": 1,
        "early_stopping_patience": 3,
        "early_stopping_threshold": 9.0,
    }
    stops |= {"save_total_limit": 9, "rehearse": False}
    whole = make_run(tmp_path / "whole", chat_model, **stops)
    assert train.main(str(whole.path)) == 0
    last = max(losses(whole))
    monkeypatch.setenv("FINETUI_ATTEMPT", "2")
    for step in (last - 1, last):  # killed before the last evaluation, and after it
        cut = make_run(tmp_path / f"cut{step}", chat_model, **stops)
        name = f"step-{step:06d}"
        shutil.copytree(whole.checkpoints / name, cut.checkpoints / name)
        assert train.main(str(cut.path)) == 0
        assert max(losses(cut), default=last) == last
        assert (end(cut)["status"], end(cut)["reason"]) == ("succeeded", end(whole)["reason"])


def test_a_template_that_cannot_mark_answers_is_refused(tiny_model: TinyModel, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny_model.base)
    assert train.main(str(run.path)) == 1
    final = end(run)
    assert final["status"] == "failed"
    assert "generation block" in final["reason"]
    assert "assistant_only_loss" in final["fix"]

    whole = make_run(tmp_path / "whole", tiny_model.base, assistant_only_loss=False, max_steps=2)
    assert train.main(str(whole.path)) == 0


def test_a_dataset_whose_answers_are_all_cut_off_is_refused(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", chat_model, max_length=8)
    assert train.main(str(run.path)) == 1
    assert "max_length" in end(run)["fix"]


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = make_run(tmp_path / "run", tmp_path / "empty")
    assert train.main(str(run.path)) == 1
    assert "not a model folder" in end(run)["reason"]
