"""Preference pairs: TRL's DPO trainer on the tiny model, resumed, continued, refused."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.parquet import RowWriter
from engine.datasets.rows import Row, Turn
from engine.runs.rundir import RunDir
from engine.worker import train
from engine.worker.data import sample_conversations
from engine.worker.refusal import Refusal
from tests.worker.builds import built, eval_losses, train_losses
from tests.worker.runs import events, make_run

pytestmark = pytest.mark.train

PAIRS: dict[str, Any] = {
    "objective": "dpo",
    "beta": 0.5,
    "lora_dropout": 0.0,
    "max_steps": 4,
    "eval_steps": 2,
    "learning_rate": 1e-2,
    "gradient_accumulation_steps": 2,
}


def pair(index: int, split: str = "train") -> Row:
    question = Turn("user", f"question {index} about the answer" + " and more" * (index % 5))
    chosen, rejected = Turn("assistant", f"the answer is {index}"), Turn("assistant", "on its way")
    return Row(index, split, (question,), {}, (chosen,), (rejected,))


def pairs_run(folder: Path, model: Path, *, rows: list[Row] | None = None, **recipe: Any) -> RunDir:
    """A run on ten pairs, two of them held out."""
    run = make_run(folder, model, **PAIRS | recipe)
    data = folder / "dataset" / "data.parquet"
    data.unlink()
    with RowWriter(data) as writer:
        for row in rows or [pair(index, "train" if index < 8 else "validation") for index in range(10)]:
            writer.write_row(row)
    return run


def trained(run: RunDir, resume: Path | None = None) -> Any:
    trainer = built(run, resume=resume).trainer
    trainer.train_from(resume)
    return trainer


@pytest.mark.parametrize("method", ["qlora", "full"])
def test_the_loss_starts_at_ln_2_and_falls(method: str, chat_model: Path, tmp_path: Path) -> None:
    rate = 1e-3 if method == "full" else 1e-2
    run = pairs_run(tmp_path, chat_model, method=method, learning_rate=rate)
    trainer = trained(run)
    losses = train_losses(trainer)
    assert losses[1] == pytest.approx(math.log(2), abs=1e-6)
    assert losses[4] < losses[1]
    measured = eval_losses(trainer)
    assert measured[0] == pytest.approx(math.log(2), abs=1e-6) and measured[4] < measured[0]
    last = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
    assert last["rewards/margins"] > 0 and last["rewards/accuracies"] > 0.5
    assert (trainer.ref_model is not None) == (method == "full")


def test_a_resumed_run_repeats_an_uninterrupted_one(chat_model: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "train_sampling_strategy": "group_by_length",
        "gradient_accumulation_steps": 1,
        "max_steps": 6,
    }
    whole = trained(pairs_run(tmp_path / "whole", chat_model, eval_steps=3, save_total_limit=9, **settings))
    cut = pairs_run(tmp_path / "cut", chat_model, eval_steps=3, **settings)
    checkpoint = cut.checkpoints / "step-000003"
    shutil.copytree(tmp_path / "whole" / "checkpoints" / checkpoint.name, checkpoint)
    resumed = trained(cut, checkpoint)
    expected = train_losses(whole)
    assert {step: loss for step, loss in train_losses(resumed).items() if step > 3} == {
        step: expected[step] for step in (4, 5, 6)
    }
    assert eval_losses(resumed)[6] == eval_losses(whole)[6]


def test_the_worker_tells_of_rewards_and_answers_the_prompts(chat_model: Path, tmp_path: Path) -> None:
    run = pairs_run(tmp_path, chat_model, sample_max_new_tokens=4)
    assert train.main(str(run.path)) == 0
    told = events(run, "metrics")[-1]["values"]
    assert told["train/rewards_margin"] > 0 and 0 <= told["train/rewards_accuracy"] <= 1
    assert told["train/rewards_chosen"] > told["train/rewards_rejected"]
    measured = events(run, "evaluation")[-1]["values"]
    assert {"eval/rewards_margin", "eval/rewards_accuracy", "eval/loss"} <= measured.keys()
    assert "eval/perplexity" not in measured
    sample = events(run, "sample")[0]["samples"][0]
    assert (sample["prompt"], sample["reference"]) == (
        "question 8 about the answer and more and more and more",
        "the answer is 8",
    )
    assert events(run, "rehearsal")[0]["ok"]
    assert (run.adapter / "adapter_model.safetensors").is_file()


def test_an_adapter_that_goes_on_is_held_to_what_it_was(chat_model: Path, tmp_path: Path) -> None:
    parent = make_run(tmp_path / "parent", chat_model, max_steps=3, method="lora", lora_dropout=0.0)
    trained(parent)
    run = pairs_run(tmp_path / "child", chat_model, method="lora")
    inputs = json.loads(run.inputs.read_text())
    adapter = parent.checkpoints / "step-000003"
    run.inputs.write_text(json.dumps(inputs | {"parent": {"id": "p", "name": "parent", "adapter": str(adapter)}}))
    trainer = trained(run)
    assert train_losses(trainer)[1] == pytest.approx(math.log(2), abs=1e-6)
    assert train_losses(trainer)[4] < math.log(2)
    saved = run.checkpoints / "step-000004"
    assert not (saved / "ref").exists() and (saved / "adapter_model.safetensors").is_file()


def test_rows_without_a_pair_are_left_out_and_said(chat_model: Path, tmp_path: Path) -> None:
    plain = Row(9, "train", (Turn("user", "q"), Turn("assistant", "a")), {})
    found = built(run := pairs_run(tmp_path, chat_model, rows=[pair(0), pair(1), plain]))
    assert (len(found.data.train), found.data.left_out, found.data.validation) == (2, 1, None)
    assert found.tokens.trained < found.tokens.total
    assert "1 training rows are no pair" in events(run, "alert")[0]["message"]
    (asked, answer), _ = sample_conversations((), None, found.data.train)
    assert asked == [{"role": "user", "content": "question 0 about the answer"}]
    assert answer == "the answer is 0"


@pytest.mark.parametrize(
    ("rows", "recipe", "reason", "fix"),
    [
        (
            [Row(0, "train", (Turn("user", "q"), Turn("assistant", "a")), {})],
            {},
            "pairs of a wanted",
            "objective = sft",
        ),
        (None, {"packing": True}, "packing cannot be had", "packing = false"),
        (None, {"max_length": 8}, "every prompt alone is longer", "Raise max_length"),
    ],
)
def test_what_pairs_cannot_be_learnt_from_is_refused(
    chat_model: Path, tmp_path: Path, rows: list[Row] | None, recipe: dict[str, Any], reason: str, fix: str
) -> None:
    with pytest.raises(Refusal, match=reason) as refused:
        built(pairs_run(tmp_path, chat_model, rows=rows, **recipe))
    assert fix in refused.value.fix
