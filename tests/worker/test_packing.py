"""Rows laid end to end stay strangers: each one's logits are those it has alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.worker.attention import check_isolation
from engine.worker.loading import load_base
from engine.worker.refusal import Refusal
from tests.worker.architectures import architecture
from tests.worker.builds import built, eval_losses, train_losses
from tests.worker.runs import make_run

pytestmark = pytest.mark.train

CLOSE = 1e-5
WAYS: dict[str, dict[str, Any]] = {"packing": {"packing": True}, "padding_free": {"padding_free": True}}


@pytest.fixture(scope="module", params=["Qwen2", "Llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architecture(request.param, tmp_path_factory.mktemp("model") / request.param)


def rows_of(batch: dict[str, Any]) -> list[slice]:
    """Where the rows of a batch that is laid end to end stand."""
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], batch["position_ids"].shape[1]], strict=True)]


def logits(model: Any, **inputs: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(**inputs).logits[0]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_logits_of_a_row_are_those_it_has_alone(model: Path, tmp_path: Path, way: str) -> None:
    settings = WAYS[way] | {"per_device_train_batch_size": 4 if way == "padding_free" else 1}
    trainer = built(make_run(tmp_path, model, method="lora", rows=16, **settings)).trainer
    seen: list[dict[str, Any]] = []
    watch = trainer.model.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(dict(kwargs)), with_kwargs=True
    )
    for loader, training in ((trainer.get_train_dataloader(), True), (trainer.get_eval_dataloader(), False)):
        trainer.model.train(training)
        for batch in loader:
            with torch.no_grad():
                trainer.compute_loss(trainer.model, dict(batch))
    watch.remove()
    trainer.model.eval()
    assert len(seen) >= 2
    several = 0
    for inputs in seen:  # what reached the model, as the trainer made it
        assert "attention_mask" not in inputs and inputs["use_cache"] is False
        given = {key: value for key, value in inputs.items() if key not in ("labels", "fused_lm_head")}
        together = logits(trainer.model, **given)
        rows = rows_of(given)
        several += len(rows) > 1
        for row in rows:
            alone = logits(trainer.model, input_ids=given["input_ids"][:, row])
            assert (together[row] - alone).abs().max() <= CLOSE
    assert several >= 2, "no batch held more than one row, so nothing was tested"


def test_a_mask_makes_rows_read_one_another(model: Path, tmp_path: Path) -> None:
    """What the other tests would find, were a mask or a cache given: they can fail."""
    trainer = built(make_run(tmp_path, model, method="lora", rows=16, packing=True)).trainer
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.base_model.model.set_attn_implementation("sdpa")
    trainer.model.eval()
    row = rows_of(batch)[1]
    alone = logits(trainer.model, input_ids=batch["input_ids"][:, row])
    given = {key: value for key, value in batch.items() if key != "labels"}
    masked = logits(trainer.model, attention_mask=torch.ones_like(batch["input_ids"]), use_cache=False, **given)
    cached = logits(trainer.model, use_cache=True, **given)
    assert (masked[row] - alone).abs().max() > 0.1
    assert (cached[row] - alone).abs().max() > 0.1


def test_a_model_that_lets_rows_read_one_another_is_refused(model: Path) -> None:
    base = load_base(model, method="lora", device="cpu")
    check_isolation(base, "fp32")

    def with_mask(_module: Any, _args: Any, kwargs: dict[str, Any]) -> Any:
        return (), kwargs | {"attention_mask": torch.ones_like(kwargs["input_ids"])}

    base.register_forward_pre_hook(with_mask, with_kwargs=True)
    with pytest.raises(Refusal, match="read one another") as refused:
        check_isolation(base, "fp32")
    assert "packing = false" in refused.value.fix


def test_however_rows_are_laid_out_they_teach_and_measure_the_same(model: Path, tmp_path: Path) -> None:
    losses = {}
    ways: dict[str, dict[str, Any]] = {"padded": {}, **WAYS}
    for way, settings in ways.items():
        run = make_run(
            tmp_path / way,
            model,
            method="lora",
            rows=15,
            lora_dropout=0.0,
            max_steps=1,
            eval_steps=1,
            # One step over all twelve rows: packed, they are fewer sequences.
            per_device_train_batch_size=12,
            per_device_eval_batch_size=2,
            **settings,
        )
        trainer = built(run).trainer
        trainer.train_from(None)
        losses[way] = [train_losses(trainer)[1], *eval_losses(trainer).values()]
    for way in WAYS:
        assert losses[way] == pytest.approx(losses["padded"], rel=1e-5)


def test_rows_laid_end_to_end_are_cut_where_padded_ones_are(model: Path, tmp_path: Path) -> None:
    prepared = []
    for free in (False, True):
        run = make_run(tmp_path / str(free), model, method="lora", validation=0, max_length=40, padding_free=free)
        rows = built(run).trainer.train_dataset
        prepared.append((rows["input_ids"][:], rows["labels"][:]))
    assert prepared[0] == prepared[1]
    assert max(map(len, prepared[0][0])) == 40
    assert 0 < len(prepared[0][0]) < 12, "no row lost its answer, so nothing was tested"
