"""The memory of a run by parts, from configs alone. `tests/worker/test_memory.py` compares with loaded models."""

from dataclasses import astuple
from typing import Any

import pytest

from engine.planning.architecture import read_architecture
from engine.planning.memory import Batch, estimate_memory, nf4_bytes, optimizer_bytes, weight_bytes
from engine.recipe import Recipe, without_auto
from tests.engine.planned import LARGE, SMALL, architecture


def recipe(**changes: Any) -> Recipe:
    return without_auto(Recipe(dataset="d", **changes))


def total(changes: dict[str, Any], batch: Batch, kind: str = "cuda") -> int:
    return estimate_memory(architecture(LARGE), recipe(**changes), batch, precision="bf16", kind=kind).total


def test_the_parameters_of_well_known_models_are_counted_from_their_configs() -> None:
    assert architecture(LARGE).parameters == 8_030_261_248  # Llama 3.1 8B
    qwen = SMALL | {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28}
    qwen |= {"num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151_936}
    assert architecture(qwen).parameters == 1_543_714_304  # Qwen2.5 1.5B
    gpt2 = architecture({"model_type": "gpt2"})
    assert (gpt2.parameters, gpt2.context) == (124_439_808, 1024)


def test_parts_sum_up_and_none_is_negative() -> None:
    parts = estimate_memory(architecture(LARGE), recipe(), Batch(4, 512), precision="bf16", kind="cuda")
    assert parts.total == sum(astuple(parts))
    assert min(astuple(parts)) > 0


@pytest.mark.parametrize("changes", [{}, {"method": "full"}, {"method": "lora"}, {"gradient_checkpointing": True}])
def test_more_tokens_take_more_memory(changes: dict[str, Any]) -> None:
    sizes = [total(changes, Batch(rows, length)) for rows, length in ((2, 1024), (2, 4096), (4, 4096), (4, 8192))]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)


def test_what_saves_memory_saves_memory() -> None:
    batch = Batch(4, 1024)
    assert total({}, batch) < total({"method": "lora8bit"}, batch) < total({"method": "lora"}, batch)
    assert total({"method": "lora"}, batch) < total({"method": "full"}, batch)
    assert total({"gradient_checkpointing": True}, batch) < total({}, batch)
    assert total({"method": "full", "optim": "adamw_8bit"}, batch) < total({"method": "full"}, batch)
    assert total({"lora_r": 8}, batch) < total({"lora_r": 64}, batch)
    assert total({"attn_implementation": "flash_attention_2"}, batch) < total({}, batch)
    assert total({"attn_implementation": "eager"}, batch) > total({}, batch)
    assert total({"objective": "dpo"}, batch) > total({}, batch)


def test_an_8b_model_in_4_bits_has_the_size_that_it_is_known_to_have() -> None:
    weights = weight_bytes(architecture(LARGE), "qlora", "bf16")
    assert 5.5e9 < weights < 5.8e9  # 4.127 bits a quantised weight, two plain matrices of 128,256 × 4,096
    linear = next(one for _, one in architecture(LARGE).linears())
    assert nf4_bytes(linear) * 8 / (linear.inputs * linear.outputs) == pytest.approx(4.127, abs=0.002)


def test_small_tensors_keep_ordinary_states_in_the_8_bit_optimiser() -> None:
    assert optimizer_bytes((1000,), "adamw_8bit", 4) == 8000
    assert optimizer_bytes((8192,), "adamw_8bit", 4) == 2 * (8192 + 32 * 4)
    assert optimizer_bytes((8192,), "adamw_torch", 2) == 4 * 8192


def test_shared_out_weights_take_a_share_on_each_device() -> None:
    alone = estimate_memory(architecture(LARGE), recipe(method="full"), Batch(1, 64), precision="bf16", kind="cuda")
    shared = estimate_memory(
        architecture(LARGE),
        recipe(method="full", distributed="fsdp", devices=4),
        Batch(1, 64),
        precision="bf16",
        kind="cuda",
    )
    assert shared.weights == pytest.approx(alone.weights / 4, rel=1e-6)


def test_targets_are_found_as_peft_finds_them() -> None:
    model = architecture(LARGE)
    assert len(model.targets("all-linear")) == 32 * 7
    assert len(model.targets(("q_proj", "v_proj"))) == 64
    assert len(model.targets(r"model\.layers\.0\..*_proj")) == 7
    assert model.targets(("lm_head",))[0][0] == "lm_head"
    assert model.targets(("proj",)) == [] and model.targets("(") == []


def test_an_unknown_architecture_takes_its_size_from_the_headers() -> None:
    found = read_architecture(SMALL | {"model_type": "mystery"}, parameters=50_000_000)
    assert found is not None
    assert not found.known and found.parameters == 50_000_000
    assert "mystery" in found.note


@pytest.mark.parametrize(
    "config", [{}, {"model_type": "llama"}, SMALL | {"hidden_size": "wide"}, {"model_type": "rwkv"}]
)
def test_a_config_that_says_too_little_is_no_architecture(config: dict[str, Any]) -> None:
    assert read_architecture(config) is None
