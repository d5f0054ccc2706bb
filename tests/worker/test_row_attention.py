"""Attention row by row gives what torch's own attention gives with a mask, forwards, backwards and when answering."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.worker.loading import load_base
from engine.worker.row_attention import ROW_BY_ROW, attend_row_by_row
from tests.worker.architectures import architecture

pytestmark = pytest.mark.train

CLOSE = 1e-5


@pytest.fixture(scope="module", params=["Qwen2", "Llama", "Phi3", "Qwen3", "GPT2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architecture(request.param, tmp_path_factory.mktemp("model") / request.param)


def taught(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of three rows end to end, and the gradient of the first block's largest weight."""
    ids = torch.randint(3, 200, (1, 40), generator=torch.Generator().manual_seed(1))
    positions = torch.cat([torch.arange(length) for length in (10, 1, 29)])[None]
    model.zero_grad()
    logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
    logits.logsumexp(-1).sum().backward()
    weight = max((one for one in model.parameters() if one.grad is not None and one.dim() == 2), key=torch.numel)
    assert weight.grad is not None
    return logits.detach(), weight.grad.clone()


def test_it_is_the_same_forwards_and_backwards(folder: Path) -> None:
    model = load_base(folder, method="lora", precision="fp32", device="cpu")
    logits, gradient = taught(model)
    assert attend_row_by_row(model, "fp32", 64) and model.config._attn_implementation == ROW_BY_ROW
    again, gradient_again = taught(model)
    assert (logits - again).abs().max() <= CLOSE
    assert (gradient - gradient_again).abs().max() <= CLOSE * gradient.abs().max().clamp(min=1)


def test_padded_questions_are_answered_alike(folder: Path) -> None:
    model = load_base(folder, method="lora", precision="fp32", device="cpu")
    ids = torch.randint(3, 200, (2, 12), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    options: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    before = model.generate(input_ids=ids, attention_mask=mask, **options)
    assert attend_row_by_row(model, "fp32", 64)
    assert torch.equal(before, model.generate(input_ids=ids, attention_mask=mask, **options))


def test_rows_longer_than_a_models_window_are_left_to_its_mask(tmp_path: Path) -> None:
    model = load_base(architecture("Mistral", tmp_path / "m"), method="lora", precision="fp32", device="cpu")
    window = model.config.sliding_window
    assert window and not attend_row_by_row(model, "fp32", window + 1)
    assert model.config._attn_implementation == "sdpa"
    logits, _ = taught(model)
    assert attend_row_by_row(model, "fp32", window), "no row reaches beyond it"
    assert (logits - taught(model)[0]).abs().max() <= CLOSE
