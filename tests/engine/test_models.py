"""What a folder holds is told from its files; what cannot be trained is refused with the reason."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.models import ModelInfo, hub_cache, list_models, resolve_model

CONFIG = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
TEMPLATE = "{% for m in messages %}{%- generation -%}{{ m.content }}{% endgeneration %}{% endfor %}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return Home(tmp_path / "home").ensure()


def weights(path: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    """A real safetensors file of zeros."""
    sizes = {"F32": 4, "BF16": 2, "U8": 1}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + sizes[dtype] * int.__mul__(*[*shape, 1][:2])
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    data = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data + bytes(end))


def model(folder: Path, config: dict[str, Any] | None = None, template: str | None = TEMPLATE) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})))
    tokenizer = {"chat_template": template} if template else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    weights(folder / "model.safetensors", {"embed.weight": ("F32", [10, 4]), "norm.weight": ("BF16", [8])})
    return folder


def cached(name: str, revision: str = "abc", main: bool = True) -> Path:
    repository = hub_cache() / f"models--{name.replace('/', '--')}"
    folder = model(repository / "snapshots" / revision)
    (repository / "refs").mkdir(exist_ok=True)
    if main:
        (repository / "refs" / "main").write_text(revision)
    return folder


def test_the_starter_is_known_before_it_is_built(home: Home) -> None:
    assert list_models(home) == [ModelInfo("starter", "starter", str(home.starter), ready=False)]
    model(home.starter)
    starter = resolve_model("starter", home)
    assert (starter.kind, starter.ready, starter.parameters) == ("starter", True, 48)


def test_code_that_comes_with_a_model_is_seen(home: Home, tmp_path: Path) -> None:
    assert not resolve_model(str(model(tmp_path / "plain")), home).own_code
    folder = model(tmp_path / "own", config={"auto_map": {"AutoModel": "code.Model"}, "model_type": "mine"})
    info = resolve_model(str(folder), home)
    assert (info.own_code, info.model_type, info.problem) == (True, "mine", None)


def test_a_folder_is_described_by_its_files(home: Home, tmp_path: Path) -> None:
    folder = model(tmp_path / "mine")
    info = resolve_model(str(folder), home)
    assert info == ModelInfo(
        name=str(folder),
        kind="folder",
        path=str(folder),
        ready=True,
        parameters=48,
        size_bytes=(folder / "model.safetensors").stat().st_size,
        architecture="Qwen2ForCausalLM",
        model_type="qwen2",
        has_template=True,
        has_generation_block=True,
    )


def test_a_relative_folder_and_a_name_under_the_home_work(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path / "some" / "model")
    model(home.models / "kept")
    monkeypatch.chdir(tmp_path)
    assert resolve_model("some/model", home).path == str(tmp_path / "some" / "model")
    assert resolve_model("kept", home).path == str(home.models / "kept")


@pytest.mark.parametrize(
    ("place", "content", "has_template", "has_block"),
    [
        ("chat_template.jinja", "{{ messages }}", True, False),
        ("chat_template.jinja", TEMPLATE, True, True),
        ("tokenizer_config.json", {"chat_template": [{"name": "default", "template": TEMPLATE}]}, True, True),
        ("chat_template.json", {"chat_template": "{{ generation }}"}, True, False),
        ("tokenizer_config.json", {"chat_template": None}, False, False),
        ("tokenizer_config.json", ["odd"], False, False),
    ],
)
def test_templates_are_found_wherever_they_are(
    home: Home, tmp_path: Path, place: str, content: Any, has_template: bool, has_block: bool
) -> None:
    folder = model(tmp_path / "m", template=None)
    (folder / place).write_text(content if isinstance(content, str) else json.dumps(content))
    info = resolve_model(str(folder), home)
    assert (info.has_template, info.has_generation_block) == (has_template, has_block)


def test_shards_count_together_and_a_missing_one_is_named(home: Home, tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    weights(folder / "model-2.safetensors", {"head.weight": ("BF16", [10, 10])})
    index = {"weight_map": {"embed.weight": "model-1.safetensors", "head.weight": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert resolve_model(str(folder), home).parameters == 148
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(BadInput) as error:
        resolve_model(str(folder), home)
    assert "lacks 1 of its 2 weight files, model-2.safetensors" in error.value.why


def test_packed_4_bit_weights_count_as_what_they_stand_for(home: Home, tmp_path: Path) -> None:
    config = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    folder = model(tmp_path / "m", config)
    weights(
        folder / "model.safetensors",
        {
            "layer.weight": ("U8", [50, 1]),
            "layer.weight.absmax": ("F32", [2]),
            "layer.weight.quant_map": ("F32", [16]),
            "layer.weight.quant_state.bitsandbytes__nf4": ("U8", [70]),
            "norm.weight": ("BF16", [8]),
        },
    )
    info = resolve_model(str(folder), home)
    assert (info.parameters, info.quantised) == (108, "bitsandbytes 4-bit")


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def drop_type(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def pickle_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_weights(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate((folder / "model.safetensors").stat().st_size - 1)


def pointer_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def odd_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 8) + b'{"a": 1}')


def make_adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


def make_bert(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForMaskedLM"]}')


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (break_config, "has a config.json that cannot be read"),
        (drop_type, "without model_type"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (make_adapter, "is an adapter"),
        (make_bert, "is a BertForMaskedLM, which does not write text"),
        (lambda folder: (folder / "tokenizer_config.json").unlink(), "has no tokenizer"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
        (pickle_weights, "pickled files"),
        (cut_weights, "cut short (model.safetensors)"),
        (pointer_weights, "no safetensors file"),
        (odd_header, "header cannot be read"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("[]"), "index.json that cannot be read"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_with_the_reason(home: Home, spoil: Any, problem: str) -> None:
    folder = model(home.models / "bad")
    spoil(folder)
    with pytest.raises(BadInput, match="is not a model that finetui can train") as error:
        resolve_model(str(folder), home)
    assert problem in error.value.why
    listed = list_models(home)[-1]
    assert (listed.name, listed.ready) == ("bad", False)
    assert problem in (listed.problem or "")


def test_a_file_and_an_empty_folder_are_no_models(home: Home, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(BadInput, match="not a model"):
        resolve_model(str(tmp_path / "model.gguf"), home)
    with pytest.raises(BadInput) as error:
        resolve_model(str(home.runs), home)
    assert "no config.json" in error.value.why


def test_a_hub_model_is_ready_once_it_is_cached(home: Home) -> None:
    absent = resolve_model("org/name-1.5B", home)
    assert absent == ModelInfo("org/name-1.5B", "hub", "org/name-1.5B", ready=False)
    cached("org/name-1.5B")
    found = resolve_model("org/name-1.5B", home)
    assert (found.kind, found.path, found.ready, found.parameters) == ("hub", "org/name-1.5B", True, 48)
    assert found in list_models(home)


def test_a_hub_model_from_before_organisations_works_when_cached(home: Home) -> None:
    cached("gpt2")
    assert resolve_model("gpt2", home).ready


def test_the_revision_called_main_is_looked_at(home: Home) -> None:
    cached("org/name", "old")
    newer = cached("org/name", "newer", main=False)
    weights(newer / "model.safetensors", {"embed.weight": ("F32", [100, 4])})
    os.utime(newer, (2**31, 2**31))
    assert resolve_model("org/name", home).parameters == 48
    (newer.parents[1] / "refs" / "main").unlink()
    assert resolve_model("org/name", home).parameters == 400


def test_a_half_downloaded_model_is_listed_with_its_problem(home: Home) -> None:
    (cached("org/half") / "model.safetensors").unlink()
    found = resolve_model("org/half", home)
    assert not found.ready
    assert found.problem == "has no weights (.safetensors)"


def test_offline_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in (resolve_model("org/name", home).problem or "")


NOTHING = ["", "startr", "/no/such/folder", "./here", "a b", "~nobody-here/x", "../../etc/none", "a" * 5000, "a\0b"]


@pytest.mark.parametrize("text", NOTHING, ids=range(len(NOTHING)))
def test_a_name_that_is_nothing_is_not_found(home: Home, text: str) -> None:
    with pytest.raises(NotFound) as error:
        resolve_model(text, home)
    assert "starter" in error.value.fix
    if text == "startr":
        assert "starter" in error.value.why


def test_the_caches_variables_are_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert hub_cache() == Path.home() / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert hub_cache() == Path("/x/huggingface/hub")
    monkeypatch.setenv("HF_HOME", "/y")
    assert hub_cache() == Path("/y/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "/z")
    assert hub_cache() == Path("/z")
