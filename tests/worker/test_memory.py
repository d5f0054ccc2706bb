"""What the planner says of a model's size, against models that are loaded: each architecture, tiny and random."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from engine.planning.architecture import Architecture, read_architecture
from engine.planning.memory import Batch, activation_bytes, trained_tensors, weight_bytes
from engine.recipe import Recipe, without_auto
from engine.worker.loading import load_base
from engine.worker.probe import HUB_FLASH, best_format, kernel_is_cached, probe

pytestmark = pytest.mark.train

SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2: dict[str, Any] = {"vocab_size": 320, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}
EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "head_dim": 16}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": SIZES | {"attention_bias": True, "mlp_bias": True},
    "qwen2": SIZES | {"tie_word_embeddings": True},
    "qwen3": SIZES | {"head_dim": 32},
    "mistral": SIZES,
    "phi3": SIZES | {"partial_rotary_factor": 0.5},
    "gemma": SIZES | {"head_dim": 16},
    "gemma2": SIZES | {"head_dim": 32},
    "gemma3_text": SIZES | {"head_dim": 16, "num_hidden_layers": 7},
    "gpt2": GPT2 | {"bos_token_id": 1, "eos_token_id": 2},
    "mixtral": SIZES | {"num_local_experts": 4},
    "qwen3_moe": SIZES | EXPERTS | {"mlp_only_layers": [1]},
}


def tiny(name: str) -> tuple[Any, Architecture]:
    """A random model, and what the planner reads from the config that would be saved with it."""
    config = CONFIG_MAPPING[name](**ARCHITECTURES[name])
    torch.manual_seed(0)
    architecture = read_architecture(config.to_dict())
    assert architecture is not None and architecture.known
    return AutoModelForCausalLM.from_config(config), architecture


def held_bytes(model: torch.nn.Module) -> int:
    """Parameters and buffers, and the constants of quantised layers, which are neither."""
    found = sum(one.numel() * one.element_size() for one in (*model.parameters(), *model.buffers()))
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        scales = getattr(weight, "SCB", None)
        parts = [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code] if state else []
        parts += [scales] if scales is not None else []
        found += sum(one.numel() * one.element_size() for one in parts)
    return found


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_are_counted_to_the_last_byte(name: str) -> None:
    model, architecture = tiny(name)
    assert architecture.parameters == sum(weight.numel() for weight in model.parameters())
    assert weight_bytes(architecture, "full", "fp32") == held_bytes(model)


@pytest.mark.parametrize("method", ["qlora", "lora8bit"])
@pytest.mark.parametrize("name", ["llama", "qwen2", "phi3", "gemma", "gpt2"])
def test_quantised_weights_are_counted_to_the_last_byte(name: str, method: str, tmp_path: Path) -> None:
    model, architecture = tiny(name)
    model.save_pretrained(tmp_path)
    loaded = load_base(tmp_path, method=method, precision="bf16", device="cpu")
    assert weight_bytes(architecture, method, "bf16") == pytest.approx(held_bytes(loaded), rel=0.001)


@pytest.mark.parametrize(
    "targets", ["all-linear", ("q_proj", "down_proj"), ("c_attn", "qkv_proj"), r".*[01]\.mlp\..*_proj"]
)
@pytest.mark.parametrize("method", ["lora", "dora"])
def test_adapters_are_counted_to_the_last_weight(method: str, targets: str | tuple[str, ...]) -> None:
    for name in ("llama", "phi3", "gpt2", "qwen3_moe"):
        if name == "qwen3_moe" and (method, targets) != ("lora", "all-linear"):
            continue  # which names stand for an expert's layers is PEFT's own business; it has no magnitudes for them
        model, architecture = tiny(name)
        counted = sum(trained_tensors(architecture, method, 4, targets))
        if not counted:
            continue
        chosen = targets if isinstance(targets, str) else list(targets)
        settings = LoraConfig(r=4, target_modules=chosen, use_dora=method == "dora", task_type="CAUSAL_LM")
        adapted = get_peft_model(model, settings)
        assert counted == sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad), name


KEPT: list[tuple[str, str, str, float, float]] = [
    ("llama", "full", "bf16", 0.0, 0.05),
    ("llama", "full", "fp32", 0.0, 0.05),
    ("llama", "lora", "bf16", 0.05, 0.06),
    ("llama", "lora", "bf16", 0.0, 0.06),
    ("llama", "dora", "bf16", 0.05, 0.08),
    ("qwen3", "lora", "fp32", 0.05, 0.06),
    ("gemma3_text", "full", "bf16", 0.0, 0.05),
    ("phi3", "lora", "bf16", 0.05, 0.06),
]


@pytest.mark.parametrize(("name", "method", "precision", "dropout", "off"), KEPT)
def test_activations_are_what_autograd_keeps(
    name: str, method: str, precision: str, dropout: float, off: float
) -> None:
    wide = SIZES | {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 6, "head_dim": 32}
    config = AutoConfig.for_model(name, **wide)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    if method != "full":
        model = model.to(torch.bfloat16 if precision == "bf16" else torch.float32)
        settings = LoraConfig(
            r=8, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM", use_dora=method == "dora"
        )
        model = get_peft_model(model, settings)
    batch = Batch(4, 64, masked=False)
    architecture = read_architecture(config.to_dict())
    assert architecture is not None
    asked = {"dataset": "d", "method": method, "lora_r": 8, "lora_dropout": dropout}
    recipe = without_auto(Recipe.model_validate(asked))
    size = 2 if precision == "bf16" else 4
    # What the backward works in is not kept by the forward.
    works = batch.tokens * size * (3 * architecture.blocks[0].middle + architecture.hidden)
    counted = activation_bytes(architecture, recipe, batch, precision=precision, kind="cpu") - works
    assert counted == pytest.approx(_kept_bytes(model, batch, precision), rel=off)


def _kept_bytes(model: Any, batch: Batch, precision: str) -> int:
    """What autograd keeps for the backward of one forward up to the output layer, weights left out."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, tuple[int, Any]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes(), tensor  # alive, so that its address is not taken again
        return tensor

    model.train()
    ids = torch.randint(3, 300, (batch.rows, batch.length))
    backbone = (model.get_base_model() if hasattr(model, "get_base_model") else model).model
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"),
    ):
        backbone(input_ids=ids, use_cache=False)
    return sum(size for size, _ in kept.values())


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, Any]]:
    yield probe("cpu")


def test_a_device_says_what_it_does_well(measured: dict[str, Any]) -> None:
    assert measured["best"] in measured["seconds"] and "fp16" not in measured["seconds"]
    assert measured["flops"] > 0 and measured["flash"] is None and measured["liger"] is False


def test_a_cpu_gives_up_digits_only_for_speed_and_a_gpu_takes_no_imitation() -> None:
    assert best_format({"fp32": 1.0, "bf16": 0.9}, "cpu") == "fp32"
    assert best_format({"fp32": 1.0, "bf16": 0.5}, "cpu") == "bf16"
    assert best_format({"fp32": 1.0, "bf16": 0.2, "fp16": 0.2}, "cuda:0") == "bf16"
    assert best_format({"fp32": 1.0, "bf16": 0.8, "fp16": 0.2}, "cuda:0") == "fp16"
    assert best_format({"fp32": 1.0}, "cuda:0") == "fp32"


@pytest.mark.parametrize("kind", ["kernels", "models"])
def test_a_kernel_of_the_hub_counts_once_it_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert not kernel_is_cached(HUB_FLASH)
    (tmp_path / f"{kind}--{HUB_FLASH.replace('/', '--')}" / "snapshots" / "0123abcd").mkdir(parents=True)
    assert kernel_is_cached(HUB_FLASH)
