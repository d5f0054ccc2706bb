"""Several adapters in one forward pass, against PEFT's own way of doing it."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from engine.worker.loading import load_base
from engine.worker.mixing import can_mix, mixed
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train

IDS = torch.arange(10, 34).reshape(4, 6)
NAMES: list[str | None] = ["narrow", None, "wide", "narrow"]


def config(rank: int, modules: Any, **fields: Any) -> LoraConfig:
    return LoraConfig(r=rank, lora_alpha=3 * rank, target_modules=modules, init_lora_weights=False, **fields)


def model_of(tiny_model: TinyModel, method: str = "lora") -> PeftModel:
    """Two adapters that differ in rank, by layer too, and in the layers that they change."""
    torch.manual_seed(0)
    base = load_base(tiny_model.base, method=method, device="cpu")
    model = get_peft_model(base, config(4, ["q_proj", "v_proj"]), "narrow")
    model.add_adapter("wide", config(8, "all-linear", rank_pattern={"down_proj": 3}))
    return model.eval()


@torch.no_grad()
def by_peft(model: PeftModel, names: list[str | None]) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=IDS, adapter_names=[name or "__base__" for name in names]).logits
    return logits


@torch.no_grad()
def at_once(model: PeftModel, names: list[str | None]) -> torch.Tensor:
    assert can_mix(model, names)
    with mixed(names):
        logits: torch.Tensor = model.get_base_model()(input_ids=IDS).logits
    return logits


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_rows_get_what_peft_gives_them(tiny_model: TinyModel, method: str) -> None:
    model = model_of(tiny_model, method)
    kinds: list[list[str | None]] = [NAMES, [None] * 4, ["wide"] * 4, [None, None, "wide", "wide"]]
    for names in kinds:
        expected = by_peft(model, names)
        assert torch.allclose(at_once(model, names), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not torch.allclose(by_peft(model, NAMES), by_peft(model, [None] * 4), atol=0.1)


def test_adapters_that_come_and_go_are_noticed(tiny_model: TinyModel) -> None:
    model = model_of(tiny_model)
    before = at_once(model, NAMES)
    model.add_adapter("late", config(2, ["o_proj"]))
    late = at_once(model, ["late", None, "wide", "narrow"])
    assert torch.equal(late[1], before[1]) and not torch.allclose(late[0], before[0], atol=1e-2)
    model.delete_adapter("wide")
    model.add_adapter("wide", config(8, ["q_proj"]))  # another one of that name
    assert torch.allclose(at_once(model, NAMES), by_peft(model, NAMES), rtol=1e-4, atol=1e-3)
    with torch.no_grad():
        assert torch.allclose(
            model.get_base_model()(input_ids=IDS).logits, by_peft(model, [model.active_adapter] * 4), atol=1e-4
        ), "outside, a forward pass has the active adapter"


def test_what_is_out_of_the_ordinary_is_left_to_peft(tiny_model: TinyModel) -> None:
    model = model_of(tiny_model)
    model.add_adapter("dora", config(4, ["q_proj"], use_dora=True))
    model.add_adapter("bias", config(4, ["q_proj"], lora_bias=True))
    assert can_mix(model, NAMES) and not can_mix(model, ["dora"]) and not can_mix(model, [None, "bias"])
    assert torch.allclose(at_once(model, NAMES), by_peft(model, NAMES), rtol=1e-4, atol=1e-3)
    model.add_adapter("words", config(4, ["embed_tokens"]))
    assert not can_mix(model, [None])
    saved = get_peft_model(
        load_base(tiny_model.base, method="lora", device="cpu"), config(4, ["q_proj"], modules_to_save=["lm_head"])
    )
    assert not can_mix(saved, [None])


def test_a_batch_of_another_size_is_refused(tiny_model: TinyModel) -> None:
    model = model_of(tiny_model)
    assert can_mix(model, NAMES)
    with mixed(NAMES[:3]), pytest.raises(ValueError, match="4 rows in a layer, 3 in the batch"):
        model.get_base_model()(input_ids=IDS)
