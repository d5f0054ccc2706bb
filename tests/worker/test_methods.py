"""Every method on every architecture: it trains, and what it leaves loads again."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from engine.recipe import Recipe
from engine.runs.rundir import RunDir
from engine.worker.loading import load_base
from engine.worker.refusal import Refusal
from engine.worker.targets import linear_layers, resolve_targets
from tests.worker.architectures import LAYERS, architecture
from tests.worker.builds import built, train_losses
from tests.worker.runs import events, make_run

pytestmark = pytest.mark.train

Models = Callable[[str], Path]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A model of an architecture by its name, made once."""
    root = tmp_path_factory.mktemp("models")
    return lambda name: root / name if (root / name).exists() else architecture(name, root / name)


def trained(run: RunDir) -> Any:
    """The run's trainer after its steps."""
    trainer = built(run).trainer
    trainer.train_from(None)
    loss = train_losses(trainer)
    assert all(map(math.isfinite, loss.values()))
    assert loss[max(loss)] < loss[1]
    return trainer


def short(folder: Path, model: Path, **recipe: Any) -> RunDir:
    """A run of three steps over the same rows, without evaluations, saved at its end."""
    fixed = {"max_steps": 3, "eval_steps": 3, "learning_rate": 2e-2, "per_device_train_batch_size": 8}
    return make_run(folder, model, rows=8, validation=0, **fixed | recipe)


def logits(model: Any) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(3, 35)[None]).logits
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_qlora_trains_every_linear_layer_of_each_architecture(name: str, models: Models, tmp_path: Path) -> None:
    trainer = trained(short(tmp_path, models(name), method="qlora"))
    adapted = Counter(
        module.rpartition(".")[2] for module, layer in trainer.model.named_modules() if hasattr(layer, "lora_A")
    )
    assert set(adapted) == set(LAYERS[name])
    folder = tmp_path / "checkpoints" / "step-000003"
    assert [file.name for file in folder.glob("*.bin")] == ["training_args.bin"]
    fresh = PeftModel.from_pretrained(load_base(models(name), method="qlora", device="cpu"), str(folder))
    torch.testing.assert_close(logits(fresh), logits(trainer.model), rtol=0, atol=1e-5)


def test_four_bit_weights_keep_their_layout_on_processors_that_compute_in_bf16(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    model = load_base(models("Llama"), method="qlora", device="cpu")
    layers = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    before = [layer.weight.data.clone() for layer in layers]
    logits(model)
    model.train()
    model.enable_input_require_grads()
    model(torch.arange(3, 35)[None], labels=torch.arange(3, 35)[None]).loss.backward()
    assert layers
    for layer, weight in zip(layers, before, strict=True):
        assert torch.equal(layer.weight.data, weight)


@pytest.mark.parametrize(
    ("name", "method"),
    [("Llama", "lora"), ("Llama", "lora8bit"), ("Llama", "dora"), ("Llama", "full"), ("GPT2", "lora")],
)
def test_what_each_method_leaves_loads_again(name: str, method: str, models: Models, tmp_path: Path) -> None:
    trainer = trained(short(tmp_path, models(name), method=method, learning_rate=5e-3))
    folder = tmp_path / "checkpoints" / "step-000003"
    if method == "full":
        torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(folder)), logits(trainer.model))
        return
    weights = load_file(folder / "adapter_model.safetensors")
    assert any("lora_magnitude_vector" in name for name in weights) == (method == "dora")
    fresh = PeftModel.from_pretrained(load_base(models(name), method=method, device="cpu"), str(folder))
    torch.testing.assert_close(logits(fresh), logits(trainer.model), rtol=0, atol=1e-5)
    if method == "lora8bit":
        kinds = {type(layer).__name__ for layer in trainer.model.modules()}
        assert "Linear8bitLt" in kinds
    elif name == "GPT2":
        assert trainer.model.peft_config["default"].fan_in_fan_out


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_known_from_the_config_alone(name: str, models: Models) -> None:
    found = linear_layers(models(name))
    assert (found.names, found.head) == (LAYERS[name], "lm_head")
    assert found.transposed == (set(LAYERS[name]) if name == "GPT2" else set())


def test_named_layers_alone_get_an_adapter(models: Models, tmp_path: Path) -> None:
    model = built(short(tmp_path, models("GPT2"), method="lora", target_modules=["c_attn"])).trainer.model
    adapted = {name.rpartition(".")[2] for name, layer in model.named_modules() if hasattr(layer, "lora_A")}
    assert adapted == {"c_attn"}


@pytest.mark.parametrize(
    ("asked", "reason", "fix"),
    [
        (("q_proj", "c_attn"), "no linear layer called c_attn", "q_proj, k_proj, v_proj, o_proj, gate_proj"),
        ("lm_head", "would never be trained", "Leave lm_head out"),
    ],
)
def test_layers_the_model_does_not_have_are_refused_before_weights_are_read(
    models: Models, tmp_path: Path, asked: Any, reason: str, fix: str
) -> None:
    run = short(tmp_path, models("Llama"), target_modules=asked)
    with pytest.raises(Refusal, match=reason) as refused:
        built(run)
    assert fix in refused.value.fix
    assert not any(event.get("phase", "").startswith("loading") for event in events(run, "state"))


def test_names_may_be_said_in_one_text(models: Models) -> None:
    layers = linear_layers(models("Qwen2"))
    recipe = Recipe(dataset="plain", target_modules="q_proj, v_proj")
    assert resolve_targets(recipe, layers) == (["q_proj", "v_proj"], False)


@pytest.mark.parametrize("optim", ["adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"])
def test_optimisers_of_few_bits_train_on_a_cpu(optim: str, models: Models, tmp_path: Path) -> None:
    trainer = trained(run := short(tmp_path, models("Llama"), optim=optim))
    assert bool(events(run, "alert")) == optim.startswith("paged")
    assert not getattr(trainer.optimizer.optimizer, "is_paged", False), "a CPU has nothing to page to"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ({"attn_implementation": "flash_attention_2"}, "flash_attention_2 needs a GPU"),
        ({"attn_implementation": "kernels-community/flash-attn2"}, "flash-attn2 needs a GPU"),
        ({"use_liger_kernel": True}, "use_liger_kernel: it needs a GPU"),
    ],
)
def test_what_needs_a_gpu_is_refused_without_one(
    recipe: dict[str, Any], reason: str, models: Models, tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match=reason) as refused:
        built(short(tmp_path, models("Llama"), **recipe))
    assert refused.value.fix
