"""Merging, and what is written beside the weights: proved on real adapters of tiny models."""

import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.errors import FinetuiError
from engine.export.spec import Kind, Result, Source, Spec
from engine.worker.export import merge
from engine.worker.export.doing import export
from engine.worker.export.merge import write_merged
from engine.worker.export.ollama import go_template, modelfile, turns_of
from engine.worker.export.whole import write_script
from engine.worker.starter import CHAT_TEMPLATE
from tests.worker.conftest import TinyModel
from tests.worker.exported import pieces


def spec_of(model: TinyModel, adapter: Path | None, dest: Path, kind: Kind = "merged", method: str = "lora") -> Spec:
    source = Source("mine", str(model.base), "tiny", None, method, str(adapter) if adapter else None)
    return Spec("e1", kind, source, "mine", str(dest), str(dest.with_name(f".{dest.name}.part")))


def done(spec: Spec) -> Result:
    return export(spec, lambda _doing, _share: None)


@torch.no_grad()
def logits(model: object, ids: list[int]) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0]  # type: ignore[operator]
    return found


@pytest.mark.parametrize("kind", ["formal", "dora"])
def test_a_merged_folder_says_what_the_adapter_says(tiny_model: TinyModel, tmp_path: Path, kind: str) -> None:
    adapter = tiny_model.dora if kind == "dora" else tiny_model.adapters[kind]
    result = done(spec_of(tiny_model, adapter, tmp_path / "out"))
    assert result.merged is not None and result.saved is not None and result.trained is None
    assert result.merged.relative <= 1e-5 and result.saved.relative <= 1e-5 and result.dtype == "f32"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer("the answer is on its way")["input_ids"]
    base = AutoModelForCausalLM.from_pretrained(tiny_model.base)
    before = logits(base, ids)
    beside = logits(PeftModel.from_pretrained(base, adapter).eval(), ids)
    after = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "out"), ids)
    assert torch.allclose(after, beside, atol=1e-3)
    assert not torch.allclose(after, before, atol=0.1), "the adapter changes something"
    assert not list(tmp_path.glob(".*")), "nothing half written is left"


def test_qlora_is_merged_into_the_weights_it_was_trained_on(tiny_model: TinyModel, tmp_path: Path) -> None:
    spec = spec_of(tiny_model, tiny_model.adapters["formal"], tmp_path / "out", method="qlora")
    trained = done(spec)
    assert "NF4" in trained.base_weights and "dequantised" in trained.base_weights
    assert trained.trained is not None and trained.trained.relative <= 1e-3
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
    other = replace(spec, dest=str(tmp_path / "o"), staging=str(tmp_path / ".o"), base_weights="original")
    original = done(other)
    assert original.merged is not None and original.merged.relative <= 1e-5
    assert original.trained is not None and original.trained.relative > 0.01, "NF4 is not the base"


def test_the_number_format_is_the_bases_own_or_as_asked(tiny_model: TinyModel, tmp_path: Path) -> None:
    spec = replace(spec_of(tiny_model, tiny_model.adapters["terse"], tmp_path / "out"), type="bf16")
    result = done(spec)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert result.saved is not None and result.merged is not None
    assert result.merged.relative < 1e-5 < result.saved.relative < 0.1, "rounding is said, too"


def test_what_a_merge_changes_beyond_rounding_ends_it(
    tiny_model: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "AGREES", 1e-12)
    with pytest.raises(FinetuiError, match="does not say what the adapter says"):
        write_merged(spec_of(tiny_model, tiny_model.adapters["terse"], tmp_path / "out"), tmp_path / "out", _silent)


def test_an_output_layer_that_learnt_is_kept_apart(tiny_model: TinyModel, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model.base)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    merge._keep_apart(model)
    assert model.config.tie_word_embeddings
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight + 1)
    merge._keep_apart(model)
    assert not model.config.tie_word_embeddings


def test_vllm_and_the_card(tiny_model: TinyModel, tmp_path: Path) -> None:
    result = done(spec_of(tiny_model, tiny_model.adapters["formal"], tmp_path / "served", "vllm"))
    script = tmp_path / "served" / "serve.sh"
    assert script.stat().st_mode & stat.S_IXUSR and "--max-model-len 256" in script.read_text()
    assert result.commands == (f"vllm serve {tmp_path / 'served'} --served-model-name mine --max-model-len 256",)
    card = (tmp_path / "served" / "README.md").read_text()
    assert card.startswith("---\n") and "base_model: tiny" in card and "## Merged" in card
    assert str(tmp_path) not in card, "folders of this machine are nobody's business"


@pytest.mark.parametrize("text", ["$(touch {0})", "`touch {0}`", "'; touch {0} #", '"; touch {0} #', "a\ntouch {0}"])
def test_the_script_for_vllm_runs_nothing_of_a_name(tiny_model: TinyModel, tmp_path: Path, text: str) -> None:
    made, given = tmp_path / "made", tmp_path / "given"
    name = text.format(made)
    vllm = tmp_path / "vllm"
    vllm.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {given}\n')
    vllm.chmod(0o755)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_bytes((tiny_model.base / "config.json").read_bytes())
    write_script(replace(spec_of(tiny_model, None, tmp_path / "out", "vllm"), name=name), tmp_path / "out")
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([tmp_path / "out" / "serve.sh"], env=path, check=True, timeout=20)
    words = given.read_text().split("\0")
    assert words[words.index("--served-model-name") + 1] == name, "word for word"
    assert not made.exists()


def test_gguf_and_ollama_leave_only_what_they_are(tiny_model: TinyModel, tmp_path: Path) -> None:
    adapter = tiny_model.adapters["formal"]
    one = done(replace(spec_of(tiny_model, adapter, tmp_path / "mine.gguf", "gguf"), type="f16"))
    assert one.gguf["type"] == "f16" and one.bytes == (tmp_path / "mine.gguf").stat().st_size
    two = done(replace(spec_of(tiny_model, adapter, tmp_path / "mine", "ollama"), type="q8_0"))
    assert [name for name, _ in two.files] == ["Modelfile", "mine-q8_0.gguf"]
    text = (tmp_path / "mine" / "Modelfile").read_text()
    assert text.startswith("FROM ./mine-q8_0.gguf\n") and 'PARAMETER stop "<|im_end|>"' in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.gguf"]


def test_the_hub_is_told_nothing_unless_asked(
    tiny_model: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    spec = replace(spec_of(tiny_model, tiny_model.adapters["formal"], tmp_path / "up", "hub"), repo="me/mine")
    result = done(spec)
    assert result.uploaded is not None and not result.uploaded.pushed and result.uploaded.signed_in
    assert {"adapter_model.safetensors", "README.md"} <= {name for name, _ in result.uploaded.files}
    assert str(tmp_path.parent) not in (tmp_path / "up" / "adapter_config.json").read_text()
    assert "hf_secret" not in json.dumps(result.to_json()), "a token is never told"
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    with pytest.raises(FinetuiError, match="was not pushed") as refused:
        done(replace(spec, dest=str(tmp_path / "again"), push=True))
    assert "HF_HUB_OFFLINE" in refused.value.why and (tmp_path / "again").is_dir()


# Ollama's template


@pytest.mark.parametrize("template", ["chatml", "starter", "gemma", "llama-2"])
def test_turns_are_those_of_the_chat_template(template: str) -> None:
    from copy import deepcopy

    tokenizer = deepcopy(pieces("prepend"))
    gemma = (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] }}<end_of_turn>\n"
        "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    )
    folded = "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
    tokenizer.chat_template = {"chatml": tokenizer.chat_template, "starter": CHAT_TEMPLATE, "gemma": gemma}.get(
        template, folded
    )
    turns = turns_of(tokenizer)
    if template == "llama-2":
        assert turns is None, "it drops what the assistant said"
        return
    assert turns is not None and ("system" in turns.around) == (template != "gemma")
    roles, said = ("user", "assistant", "user"), ("{{ a }}", "b", "c")
    wanted = tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert turns.text(roles, said) == wanted
    assert go_template(turns).count("{{ $m.Content }}") == len(turns.around)
    if template == "gemma":
        assert turns.start == "<s>" and "<s>" not in modelfile("a.gguf", turns, [], None, adds_start=True)


def _silent(_doing: str, _share: float) -> None:
    pass
