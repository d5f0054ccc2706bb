"""What a run is built of: the adapter it goes on from, the template, the order of rows, who is told the metrics."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from engine.tokens import BUILT_IN
from engine.worker.loading import load_base
from engine.worker.refusal import Refusal
from engine.worker.reports import prepare_reports
from engine.worker.stages import POOL_GROUPS, LengthSampler, row_lengths
from engine.worker.templates import use_template
from tests.worker.architectures import architecture
from tests.worker.builds import built, eval_losses
from tests.worker.conftest import TinyModel
from tests.worker.runs import events, make_run

pytestmark = pytest.mark.train


# going on from another run's adapter


@pytest.fixture(scope="module")
def parent(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, dict[int, float]]:
    """A run of a few steps, and its validation losses by step."""
    run = make_run(tmp_path_factory.mktemp("parent"), chat_model, max_steps=4, eval_steps=2, save_total_limit=9)
    trainer = built(run).trainer
    trainer.train_from(None)
    return run, eval_losses(trainer)


def child_of(parent: RunDir, folder: Path, model: Path, step: int, **recipe: Any) -> RunDir:
    run = make_run(folder, model, **{"max_steps": 2, "eval_steps": 2} | recipe)
    inputs = json.loads(run.inputs.read_text())
    adapter = parent.checkpoints / f"step-{step:06d}"
    run.inputs.write_text(json.dumps(inputs | {"parent": {"id": "p", "name": "first", "adapter": str(adapter)}}))
    return run


def test_a_run_goes_on_where_its_parent_was_best(
    parent: tuple[RunDir, dict[int, float]], chat_model: Path, tmp_path: Path
) -> None:
    run, losses = parent
    best = min((step for step in losses if step), key=losses.__getitem__)
    trainer = built(child_of(run, tmp_path, chat_model, best, lora_dropout=0.3)).trainer
    trainer.train_from(None)
    assert eval_losses(trainer)[0] == losses[best]
    assert losses[0] > losses[best] > eval_losses(trainer)[2]
    assert trainer.model.peft_config["default"].lora_dropout == 0.3


@pytest.mark.parametrize(
    ("recipe", "reason", "fix"),
    [
        ({"lora_r": 8}, r"lora_r = 8 \(there 16\)", "Set lora_r = 16."),
        (
            {"lora_alpha": 64, "method": "dora"},
            r"lora_alpha = 64 \(there 32\), method = dora \(there lora\)",
            "Set lora_alpha = 32, method = lora.",
        ),
        ({"method": "full"}, "no adapter to go on from", "method with an adapter"),
    ],
)
def test_what_the_parent_is_it_stays(
    parent: tuple[RunDir, dict[int, float]],
    chat_model: Path,
    tmp_path: Path,
    recipe: dict[str, Any],
    reason: str,
    fix: str,
) -> None:
    with pytest.raises(Refusal, match=reason) as refused:
        built(child_of(parent[0], tmp_path, chat_model, 4, **recipe))
    assert fix in refused.value.fix


def test_an_adapter_of_another_model_is_refused(
    parent: tuple[RunDir, dict[int, float]], chat_model: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(chat_model, tmp_path / "other")
    with pytest.raises(Refusal, match="the base model here is another"):
        built(child_of(parent[0], tmp_path / "run", other, 4))


# pickles


class _Trap:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_pickled_weights_are_not_gone_on_from(
    parent: tuple[RunDir, dict[int, float]], chat_model: Path, tmp_path: Path
) -> None:
    checkpoint = shutil.copytree(parent[0].checkpoints / "step-000002", tmp_path / "step-000002")
    (checkpoint / "adapter_model.safetensors").unlink()
    (checkpoint / "adapter_model.bin").write_bytes(pickle.dumps(_Trap(tmp_path / "sprung")))
    resumed = make_run(tmp_path / "resumed", chat_model, max_steps=4, eval_steps=2)
    with pytest.raises(Refusal, match=r"pickled weights \(adapter_model\.bin\)"):
        built(resumed, resume=checkpoint).trainer.train_from(checkpoint)
    inputs = json.loads((continued := make_run(tmp_path / "continued", chat_model)).inputs.read_text())
    continued.inputs.write_text(json.dumps(inputs | {"parent": {"adapter": str(checkpoint)}}))
    with pytest.raises(Refusal, match=r"no adapter_model\.safetensors"):
        built(continued)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_no_code_of_a_checkpoint_is_run(
    parent: tuple[RunDir, dict[int, float]], chat_model: Path, tmp_path: Path, file: str
) -> None:
    checkpoint = shutil.copytree(parent[0].checkpoints / "step-000002", tmp_path / "step-000002")
    torch.save(_Trap(tmp_path / "sprung"), checkpoint / file)
    run = make_run(tmp_path / "run", chat_model, max_steps=4, eval_steps=2)
    with pytest.raises(pickle.UnpicklingError):
        built(run, resume=checkpoint).trainer.train_from(checkpoint)
    assert not (tmp_path / "sprung").exists()


# templates


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_model_without_a_template_learns_by_one_that_comes_along(name: str, tmp_path: Path) -> None:
    model = architecture("GPT2", tmp_path / "model", template=None)
    run = make_run(tmp_path / "run", model, chat_template=name, max_steps=1, eval_steps=1, max_length=256)
    trainer = built(run).trainer
    row = trainer.train_dataset[0]
    tokenizer = trainer.processing_class
    learnt = [token for token in row["labels"] if token != -100]
    assert tokenizer.decode(learnt) == "the answer is 0<|im_end|>"
    assert learnt[-1] == tokenizer.eos_token_id, "or it would not learn to stop"
    trainer.train_from(None)
    saved = AutoTokenizer.from_pretrained(run.checkpoints / "step-000001")
    assert saved.chat_template == tokenizer.chat_template
    assert not events(run, "alert")


def test_a_template_ends_turns_with_a_token_the_tokenizer_has(tiny_model: TinyModel, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model.base, eos_token="<|endoftext|>")
    tokenizer.chat_template = None
    writer = EventWriter(tmp_path / "events.jsonl", 1)
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    for name, last in (("chatml", "<|im_end|>"), ("llama-3", "<|endoftext|>")):
        tokenizer.chat_template = None
        use_template(tokenizer, name, "tiny", writer)
        written = tokenizer.apply_chat_template(talk, return_dict=True, return_assistant_tokens_mask=True)
        said = [token for token, mine in zip(written["input_ids"], written["assistant_masks"], strict=True) if mine]
        assert tokenizer.convert_ids_to_tokens(said)[-1] == last
        assert "begin_of_text" not in tokenizer.decode(written["input_ids"])


def test_a_template_of_the_recipe_replaces_the_models_own(chat_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}A {{ m.content }}<|im_end|>"
        "{% endgeneration %}{% else %}Q {{ m.content }}\n{% endif %}{% endfor %}"
    )
    run = make_run(tmp_path / "run", chat_model, chat_template=str(file), max_steps=1)
    trainer = built(run).trainer
    text = trainer.processing_class.decode(trainer.train_dataset[0]["input_ids"])
    assert text == "Q question 0 about the answer\nA the answer is 0<|im_end|>"
    alert = events(run, "alert")[0]
    assert alert["code"] == "template_replaced" and "mine.jinja" in alert["message"]


@pytest.mark.parametrize(
    ("chat_template", "reason"),
    [
        (None, "has no chat template"),
        ("no-such", "cannot be read"),
        ("broken.jinja", "no Jinja template"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat_template: str | None, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.jinja").write_text("{% if %}")
    model = architecture("GPT2", tmp_path / "model", template=None)
    values: dict[str, Any] = {} if chat_template is None else {"chat_template": chat_template}
    with pytest.raises(Refusal, match=reason) as refused:
        built(make_run(tmp_path / "run", model, **values))
    assert "chat_template" in refused.value.fix and "chatml" in refused.value.fix


# the order of rows


def test_rows_of_like_length_come_together_in_another_order_each_epoch() -> None:
    lengths = [(place * 37) % 1000 + 1 for place in range(1003)]
    sampler = LengthSampler(lengths, 4, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(1003))
    assert first != second
    again = LengthSampler(lengths, 4, seed=1)
    again.set_epoch(1)
    assert list(again) == second, "what is resumed must go on where it was"
    groups = [[lengths[row] for row in second[start : start + 4]] for start in range(0, 1000, 4)]
    padded = sum(4 * max(group) for group in groups)
    assert padded < 1.1 * sum(map(sum, groups))
    assert [max(group) for group in groups] != sorted((max(group) for group in groups), reverse=True)
    assert len(groups) > POOL_GROUPS, "all rows were in one pool, so that was not tested"


def test_a_run_takes_rows_by_length(chat_model: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, chat_model, rows=27, train_sampling_strategy="group_by_length")
    trainer = built(run).trainer
    lengths = row_lengths(trainer.train_dataset)
    assert lengths == [len(ids) for ids in trainer.train_dataset["input_ids"]]
    order = [lengths[row] for row in trainer._get_train_sampler()]
    pairs = list(zip(order[::2], order[1::2], strict=True))
    assert sum(abs(one - other) for one, other in pairs) < 0.3 * len(pairs) * (max(lengths) - min(lengths))


# telling others


def test_tensorboard_is_told_in_the_runs_folder(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    run = make_run(tmp_path, chat_model, max_steps=2, eval_steps=2, report_to=["tensorboard"])
    built(run).trainer.train_from(None)
    (written,) = (run.path / "reports" / "tensorboard").glob("events.out.*")
    assert b"train/loss" in written.read_bytes() and b"eval/loss" in written.read_bytes()
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR")


def test_a_reporter_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.worker.reports.find_spec", lambda _: None)
    with pytest.raises(Refusal, match="tensorboard and wandb are not installed") as refused:
        prepare_reports(["tensorboard", "wandb"], tmp_path)
    assert "pip install tensorboard wandb" in refused.value.fix
    assert not (tmp_path / "reports").exists()


def test_nothing_leaves_the_machine_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.worker.reports.find_spec", lambda _: True)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "TRACKIO_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    prepare_reports(["wandb", "trackio"], tmp_path)
    import os

    assert os.environ["WANDB_MODE"] == "offline"
    assert os.environ["WANDB_DIR"] == str(tmp_path / "reports" / "wandb")
    assert os.environ["TRACKIO_DIR"] == str(tmp_path / "reports" / "trackio")


def test_the_adapter_that_was_trained_is_what_chat_loads(
    parent: tuple[RunDir, dict[int, float]], chat_model: Path
) -> None:
    adapter = parent[0].checkpoints / "step-000004"
    ids = torch.arange(3, 35)[None]
    with torch.no_grad():
        base = load_base(chat_model, method="qlora", device="cpu")
        before = base(ids).logits
        after = PeftModel.from_pretrained(base, str(adapter))(ids).logits
    assert (before - after).abs().max() > 0.1
